"""A model and faces to look at, also right after a clone: what is trained and prepared here, or else small substitutes.

A notebook asks for `models/stage2` and for validation faces. Where the model is missing, the one that ships with the
package answers. Where the data set is missing, the pipeline draws and prepares a few faces of it, once, below
`runs/material/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path

from faceptor.analysis.task_faces import TaskFaces
from faceptor.config.params import Synthesis
from faceptor.config.sections import spelled
from faceptor.datasets.subset import spread
from faceptor.datasets.values import landmark_box
from faceptor.errors import ConfigError, DataError
from faceptor.evaluation.samples import open_samples
from faceptor.io.files import MODELS, RUNS
from faceptor.io.paths import find_root
from faceptor.models.base import FaceModel
from faceptor.pipeline.data import prepare_set, synthesize_set
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.samples import label_names
from faceptor.prepared.reading import content_hashes, held_out_split, read_card
from faceptor.synthesis import LAYOUTS
from faceptor.tasks import TaskSpec, kind_of
from faceptor.transforms.framing import own_crop
from faceptor.weights.folder import DESCRIPTION, load_model

MATERIAL = RUNS / "material"
FACES = 96  # drawn of a data set that is missing
OTHER_FACES = 1_000_003  # added to data.seed: with that seed itself, some would be faces that a model was trained on
HELD_OUT = 0.5  # of them for validation
PICTURES_OF_A_PERSON = 6  # at least, in a small recognition set
SPLITS = ("train", "validation")  # what a notebook may look at


def model_of(name: str, root: Path | None = None, *, device: str = "cpu") -> FaceModel:
    """The model of models/<name>, in evaluation mode; where it is missing, the one that ships with the package, which
    is said. root: of the repository, None: found."""
    folder = (root or find_root()) / MODELS / name
    if (folder / DESCRIPTION).is_file():
        return load_model(folder, device)
    print(f"models/{name} is not there (`make repro` trains it): the model that ships with the package answers instead")
    return load_model(device=device)


def samples_of(
    found: Experiment, task: str, split: str = "validation", *, faces: int, root: Path | None = None
) -> list[Mapping]:
    """Up to `faces` samples of a task, spread over the "train" or "validation" split of its prepared data set.

    A sample is what `faceptor.prepared.reading.Split` gives: key, image (H, W, 3) uint8 RGB, and the labels in its
    pixels. Neighbours that only mean something together stay together. Where `validation: 0` left no split, the test
    split is looked at. The data set is generated small where it is missing; ConfigError where it cannot be.
    """
    if split not in SPLITS:
        raise ConfigError(f"split {split!r}: expected one of {', '.join(SPLITS)}; only evaluate and transfer test")
    spec = found.spec(task)
    return _some_of(spec, prepared_of(found, spec.dataset, root=root), split, faces)


def _some_of(spec: TaskSpec, folder: Path, split: str, faces: int) -> list[Mapping]:
    part = held_out_split(folder) if split == "validation" else split
    opened = open_samples(spec, folder, part)
    if not len(opened):
        raise DataError(f"{folder}: the {part} split is empty; raise data.validation and preprocess again")
    return [opened[index] for index in spread(len(opened), faces, run=kind_of(spec).run_length)]


def prepared_of(found: Experiment, dataset: str, *, root: Path | None = None) -> Path:
    """Folder of a prepared data set; where it is missing, of the same data set generated small and prepared here."""
    root = root or find_root()
    folder = root / found.prepared(dataset)
    if (folder / "card.json").is_file():
        return folder
    small = _small(found, dataset, root)
    folder = small.prepared(dataset)
    if not (folder / "card.json").is_file():
        print(f"{dataset}: not prepared here (`make repro` does it), so {FACES} faces are drawn below {RUNS}")
        with redirect_stderr(StringIO()):  # seconds: no progress in a notebook
            synthesize_set(small, dataset, sheet=False)
            prepare_set(small, dataset)
    return folder


def _small(found: Experiment, dataset: str, root: Path) -> Experiment:
    """The experiment with a few faces of one data set, in a folder that is named after all that shapes them."""
    if dataset not in found.params.synthesis or dataset not in LAYOUTS:
        raise ConfigError(
            f"datasets.{spelled(dataset)}: {found.prepared(dataset)} is not prepared, and nothing below synthesis says "
            f"that it may be drawn; run `faceptor preprocess {dataset}`"
        )
    params = found.params
    block = params.datasets[dataset].model_copy(update={"validation": None})
    order = _order(params.synthesis[dataset], LAYOUTS[dataset].min_pictures)
    seed = params.data.seed + OTHER_FACES
    shaped_by = {"seed": seed, "block": block.model_dump(mode="json"), "order": order.model_dump()}
    home = root / MATERIAL / f"{spelled(dataset)}-{hashlib.sha256(json.dumps(shaped_by).encode()).hexdigest()[:8]}"
    places = {"seed": seed, "root": home / "generated", "prepared": home / "prepared", "validation": HELD_OUT}
    changed = {
        "data": params.data.model_copy(update=places),
        "datasets": {**params.datasets, dataset: block},
        "synthesis": {**params.synthesis, dataset: order},
    }
    return replace(found, params=params.model_copy(update=changed))


def _order(order: Synthesis, least: Mapping[str, int]) -> Synthesis:
    """What to draw where params.yaml asks for `order`: at most FACES, and no more for tests than the layout needs."""
    if not order.train:  # a set that its owner made for tests only
        return order.model_copy(update={"test": min(order.test, FACES)})
    fewer = {"train": min(order.train, FACES), "test": least.get("test", 0)}
    if order.identities:
        fewer |= {"identities": fewer["train"] // PICTURES_OF_A_PERSON, "pairs": 2}
    return order.model_copy(update=fewer)


# --- tasks and the faces that judge them ------------------------------------------------------------------------------


def faces_of(found: Experiment, network: FaceModel, *, faces: int, root: Path | None = None) -> list[TaskFaces]:
    """Every task of a model whose data set params.yaml names, with up to `faces` validation faces of that data set."""
    known = [name for name, spec in network.tasks.items() if spec.dataset in found.params.datasets]
    if not known:
        raise ConfigError(f"datasets: none of those of the model's tasks is there ({', '.join(network.tasks)})")
    return [task_faces(found, network, name, faces=faces, root=root) for name in known]


def turned_faces(found: Experiment, network: FaceModel, *, faces: int, root: Path | None = None) -> list[TaskFaces]:
    """Landmark tasks on validation faces of a data set that knows how far each head is turned, of those prepared here.

    Boxes are those of the landmarks, as in 300W: other sets draw them wider. The error is in diagonals of that box,
    because the eyes of a turned head come together in the picture.
    """
    root = root or find_root()
    posed = [name for name in found.params.datasets if _has_pose(root / found.prepared(name))]
    tasks = [name for name, spec in network.tasks.items() if spec.dataset in found.params.datasets]
    return [
        _by_landmark_box(task_faces(found, network, name, faces=faces, dataset=dataset, root=root))
        for name in tasks
        for dataset in posed
        if network.tasks[name].kind == "landmarks" and _fits(found, network.tasks[name], dataset)
    ]


def _has_pose(folder: Path) -> bool:
    there = (folder / "card.json").is_file()
    return there and "pose" in read_card(folder)["columns"] and "val" in content_hashes(folder)


def _fits(found: Experiment, spec: TaskSpec, dataset: str) -> bool:
    try:
        return spec.dataset != dataset and bool(found.judged_on(spec, dataset))
    except ConfigError:
        return False


def _by_landmark_box(task: TaskFaces) -> TaskFaces:
    by_box = {"normalisers": {"nme_diag": "diag"}, "auc": {}, "headline": "nme_diag"}
    samples = [sample | {"box": landmark_box(sample["landmarks"])} for sample in task.samples]
    return replace(task, spec=replace(task.spec, options=task.spec.options | by_box), samples=samples)


def task_faces(
    found: Experiment, network: FaceModel, task: str, *, faces: int, dataset: str | None = None,
    root: Path | None = None,
) -> TaskFaces:  # fmt: skip
    """One task of a model, with faces of its own data set or of another one that fits (else ConfigError)."""
    spec, crop = network.require_task(task), own_crop(network, task)
    train = open_samples(spec, prepared_of(found, spec.dataset, root=root), "train")
    baseline = kind_of(spec).constant_baseline(spec, train, crop.place_sample)
    judged = found.judged_on(spec, dataset or spec.dataset)
    folder = prepared_of(found, judged.dataset, root=root)
    samples = _some_of(judged, folder, "validation", faces)
    return TaskFaces(network, judged, samples, crop, baseline, label_names(folder))
