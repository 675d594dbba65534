"""What a notebook shows faces of: one picture to ask about, the faces of a data set, the tasks whose faces are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceptor.datasets.subset import spread
from faceptor.errors import ConfigError, DataError
from faceptor.io.paths import find_root
from faceptor.models.base import FaceModel
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.material import prepared_of, samples_of
from faceptor.pipeline.samples import label_names
from faceptor.predict.framing import face_box
from faceptor.predict.predictor import generated_warning, read_photo
from faceptor.prepared.reading import content_hashes, open_split, read_card

NUMBERED = 12  # validation faces, spread over the split, that a number chooses from


@dataclass(frozen=True, eq=False)
class Picture:
    """rgb: (H, W, 3) uint8; boxes: face boxes in its pixels, None where the detector is to look; origin: in words."""

    rgb: np.ndarray
    boxes: list[np.ndarray] | None
    origin: str
    photograph: bool

    def title(self, generated: Sequence[str]) -> str:
        """Of a figure of answers; `generated`: tasks that learned from generated faces alone."""
        if self.photograph and generated:
            return "Every task's answer, LEARNED FROM GENERATED FACES ALONE: do not rely on it about photographs"
        return "Every task's answer"

    def notes(self, generated: Sequence[str], *, of: int) -> list[str]:
        """What must be known to read an answer: where the picture is from and, of a photograph that is met by a model
        which learned some tasks (`generated`, out of `of`) from generated faces, that it did."""
        said = [f"The picture: {self.origin}."]
        if self.photograph and generated:
            return [*said, f"This model {generated_warning(generated, of=of)}."]
        return said


def picture_of(found: Experiment, *, photo: str = "", task: str, number: int = 0, root: Path | None = None) -> Picture:
    """A photograph, or where none is named the validation face of that number of the task's data set.

    photo: a file, below the repository unless its path is absolute. Raises DataError for one that cannot be read.
    """
    root = root or find_root()
    if photo:
        path = root / Path(photo).expanduser()
        return Picture(read_photo(path), None, f"the photograph {path.name}", photograph=True)
    samples = samples_of(found, task, faces=max(NUMBERED, number + 1), root=root)
    if number >= len(samples):
        raise ConfigError(f"number {number}: expected one below {len(samples)}, the validation faces of {task}")
    sample = samples[number]
    box, spec = face_box(found.spec(task), sample), found.spec(task)
    drawn = bool(read_card(prepared_of(found, spec.dataset, root=root))["generated"])
    origin = f"a {'generated' if drawn else 'validation'} face in the layout of {spec.dataset}, {sample['key']}"
    return Picture(sample["image"], None if box is None else [box], origin, photograph=not drawn)


# --- data sets and tasks ----------------------------------------------------------------------------------------------


def faces_of(found: Experiment, dataset: str, *, faces: int, root: Path | None = None) -> list[Mapping]:
    """Up to `faces` samples of a data set, whatever its tasks, spread over its validation split, else over training;
    none of a set that has test faces alone."""
    folder = prepared_of(found, dataset, root=root)
    part = next((part for part in ("val", "train") if part in content_hashes(folder)), None)
    opened = open_split(folder, part) if part else ()
    return [opened[index] for index in spread(len(opened), faces)]


def names_of(found: Experiment, dataset: str, *, root: Path | None = None) -> dict[str, list[str]]:
    """The names of the classes of every label of a data set, from its card."""
    return label_names(prepared_of(found, dataset, root=root))


def within_reach(found: Experiment, model: FaceModel, tasks: Iterable[str] = ()) -> list[str]:
    """Of these tasks of a model (none named: all) those whose data set params.yaml has, prepared or to be drawn."""
    root, named = find_root(), list(tasks) or list(model.tasks)
    sets = {name: model.require_task(name).dataset for name in named}
    ready = {
        dataset: dataset in found.params.synthesis or (root / found.prepared(dataset) / "card.json").is_file()
        for dataset in found.params.datasets
    }
    reached = [name for name in named if ready.get(sets[name])]
    if not reached:
        raise DataError(f"{found.params.data.prepared}: no data set of {', '.join(named)}; run `faceptor preprocess`")
    return reached
