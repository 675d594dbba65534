"""How faces lie in the crops of a data set, measured once: every model and every task that is cut alike shares it.

Looking for faces takes longer than cutting them, so what was measured is kept in runs/framings/<dataset>.json, and is
measured again only if the training pictures, the crop, the labels that tell where a face is, or the code are others.
"""

from __future__ import annotations

from typing import Any

from faceptor.config.sections import spelled
from faceptor.errors import DataError
from faceptor.io.files import RUNS, read_json, write_json
from faceptor.pipeline.experiment import Experiment
from faceptor.predict.framing import face_source, framing_version, measure_framing
from faceptor.prepared.reading import content_hashes, open_split
from faceptor.tasks import TaskSpec
from faceptor.transforms.framing import Framing

FRAMINGS = RUNS / "framings"


def framing_of(experiment: Experiment, spec: TaskSpec, *, pictures: int) -> Framing | None:
    """Framing of a task's test crop on up to `pictures` training pictures; None where too few faces can be located."""
    folder, crop = experiment.prepared(spec.dataset), experiment.crop(spec.name, "test")
    split = open_split(folder, "train")
    source = face_source(split[0]) if len(split) else "nothing"
    about: dict[str, Any] = {"by": source, "crop": crop.to_dict(), "pictures": pictures}
    if source == "mask":
        about["labels"] = list(spec.labels)
    path = FRAMINGS / f"{spelled(spec.dataset)}.json"
    facts = {"split": content_hashes(folder)["train"], "code": framing_version()}
    kept = _kept(path, facts)
    known = [each for each in kept if about.items() <= each.items()]
    if not known:
        framing = measure_framing(spec, split, crop, limit=pictures)
        known = [about | {"framing": framing.to_list() if framing else None}]
        write_json(path, facts | {"framings": [*kept, *known]})
    edges = known[0]["framing"]
    return Framing(*edges) if edges else None


def _kept(path, facts: dict[str, str]) -> list[dict[str, Any]]:
    """What was measured on the same pictures by the same code; a file that says nothing useful is written anew."""
    try:
        found = read_json(path) if path.is_file() else {}
    except DataError:
        return []
    measured = found.get("framings") if facts.items() <= found.items() else None
    return measured if isinstance(measured, list) else []
