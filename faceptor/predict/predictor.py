"""Any photograph in, typed answers in its own pixels and units out.

>>> model = faceptor.load("models/stage2")
>>> for face in faceptor.predict(model, "party.jpg"):
...     print(face.box, face.results["age_morph2"].years)
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceptor.datasets.formats.images import LARGEST_IMAGE, TooManyPixels
from faceptor.datasets.reader import BadSample
from faceptor.errors import DataError, WeightsError
from faceptor.io.regular import read_regular
from faceptor.predict.detector import Detection, detect_faces
from faceptor.predict.folder import FORMATS
from faceptor.predict.photographs import LARGEST_PHOTO_FILE, Photo, decode_photo
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.crop import PlacedCrop
from faceptor.transforms.framing import crop_of, place_face, square
from faceptor.transforms.tensors import to_tensor

FACES_PER_PASS = 8  # bounds the memory that a group photograph takes
MAX_BOX_SIDES = 4  # sides of a given face box, in longer sides of the photograph


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photograph.

    box      (4,) float64 x1, y1, x2, y2 in pixels: square, brows to chin (`faceptor.transforms.framing`), or as it was
             given
    score    how sure the detector is, 0 to 1; None where the box was given
    roll     degrees by which the face is turned about the box's centre, clockwise as seen
    results  task -> prediction, in pixels of the photograph, years, probabilities
    generated  tasks that were taught by generated faces alone: what they say about a photograph is no measurement
    """

    box: np.ndarray
    score: float | None
    results: dict[str, Prediction]
    roll: float = 0.0
    specs: dict[str, TaskSpec] = field(default_factory=dict, repr=False)
    generated: tuple[str, ...] = ()

    def __repr__(self) -> str:
        box = ", ".join(f"{edge:.1f}" for edge in self.box)
        return f"Face(box=({box}), score={self.score}, results of {', '.join(self.results)})"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings; an answer taught by generated faces says so."""
        told = {name: prediction.to_json(self.specs[name]) for name, prediction in self.results.items()}
        marks = {name: {"generated": True} for name in self.generated}
        return {
            "box": [round(float(edge), 2) for edge in self.box],
            "score": self.score,
            "roll": self.roll,
            "tasks": {name: marks.get(name, {}) | entry for name, entry in told.items()},
        }

    def magnified(self, k: int) -> Face:
        """The same face in a photograph k times as large; class maps stay as they are (see `Photo`)."""
        results = {name: answer.magnified(k) for name, answer in self.results.items()}
        return self if k == 1 else replace(self, box=(self.box + 0.5) * k - 0.5, results=results)


def taught_by_generated(provenance: Mapping[str, Any], tasks: Iterable[str]) -> tuple[str, ...]:
    """Of some tasks those that learned from generated faces, by the provenance of a model folder."""
    taught = provenance.get("data")
    facts = {name: taught.get(name) for name in tasks} if isinstance(taught, Mapping) else {}
    return tuple(name for name, about in facts.items() if isinstance(about, Mapping) and about.get("generated"))


def generated_warning(tasks: Sequence[str], *, of: int) -> str:
    """What is said wherever an answer meets a photograph; tasks: those taught by generated faces, out of `of` asked."""
    which = "" if len(tasks) == of else f" ({', '.join(tasks)})"
    return f"learned from generated faces alone{which}; do not rely on what it says about photographs"


class NoFaceError(DataError):
    """A picture was looked at, and the detector found no face in it."""


class GeneratedFacesWarning(UserWarning):
    """A model that has seen no photograph answers one."""


def predict(
    model: Any,
    image: str | Path | np.ndarray,
    boxes: Sequence[Sequence[float]] | None = None,
    tasks: Sequence[str] | None = None,
) -> list[Face]:
    """All tasks (None) or some, for the faces of one photograph; detected faces come largest first.

    image: a file, or an (H, W, 3) uint8 RGB array. boxes: face boxes (x1, y1, x2, y2) in its pixels, from the brows to
    the chin; None looks for faces. Every task sees the face framed as in its training pictures. Images of one size go
    through the network together, faces and tasks alike. A JPEG above 89 megapixels is looked at reduced by 2, 4 or 8:
    boxes and points are in its own pixels, class maps have the reduced size. Raises DataError if the image cannot be
    read, a box is impossible, or no face is found.
    """
    names = model.choose_tasks(tasks)
    generated = taught_by_generated(model.provenance, names)
    if generated:
        warnings.warn(generated_warning(generated, of=len(names)), GeneratedFacesWarning, stacklevel=3)
    if not isinstance(image, str | Path):
        return answer_image(model, _checked(image), boxes=boxes, tasks=tasks)
    photo, _ = open_photo(image)
    return [face.magnified(photo.reduction) for face in answer_photo(model, photo, boxes, tasks, name=str(image))]


def answer_photo(
    model: Any, photo: Photo, boxes=None, tasks=None, *, name: str, min_score: float | None = None
) -> list[Face]:
    """Faces of a photograph in the pixels that were decoded (`Face.magnified` takes them to its own); `boxes` in its
    own pixels."""
    if boxes is None:
        return answer_image(model, photo.pixels, tasks=tasks, name=name, min_score=min_score)
    own = np.stack([place.box for place in given_faces(boxes, photo.size, name=name)])
    return answer_image(model, photo.pixels, boxes=(own + 0.5) / photo.reduction - 0.5, tasks=tasks, name=name)


@torch.inference_mode()
def answer_image(
    model: Any, rgb: np.ndarray, *, boxes=None, tasks=None, name: str = "image", min_score: float | None = None
) -> list[Face]:
    """`predict` for an (H, W, 3) image at hand; `name` stands for it in errors. min_score: of a face, 0 to 1; None: the
    detector's own."""
    names = model.choose_tasks(tasks)
    if boxes is None:
        places = find_faces(rgb, name=name, min_score=min_score)
    else:
        places = given_faces(boxes, rgb.shape[:2], name=name)
    specs = {task: model.require_task(task) for task in names}
    generated = taught_by_generated(model.provenance, names)
    was_training = model.training
    model.eval()
    try:
        results = [
            answer
            for start in range(0, len(places), FACES_PER_PASS)
            for answer in _answer(model, rgb, places[start : start + FACES_PER_PASS], specs)
        ]
    finally:
        model.train(was_training)
    return [
        Face(
            box=place.box, score=place.score if boxes is None else None, results=result, roll=place.roll, specs=specs,
            generated=generated,
        )
        for place, result in zip(places, results, strict=True)
    ]  # fmt: skip


def _answer(model, rgb: np.ndarray, places: list[Detection], specs: dict[str, TaskSpec]) -> Iterator[dict]:
    """Results of a few faces: one pass per image size for all of them and all tasks."""
    device = next(model.parameters()).device
    crops: dict[str, list[PlacedCrop]] = {}
    batches = {}
    for task, spec in specs.items():
        crop, framing = crop_of(model, task)
        crops[task] = [
            place_face(crop, framing, image_size=rgb.shape[:2], box=place.box, roll=place.roll) for place in places
        ]
        images = torch.stack([to_tensor(one.image(rgb)) for one in crops[task]])
        batches[task] = torch.cat([images, images.flip(-1)]) if kind_of(spec).mirror else images
    raw = model.forward_tasks({task: images.to(device) for task, images in batches.items()})
    raw = {task: values.float().cpu() for task, values in raw.items()}
    for task, values in raw.items():
        if not torch.isfinite(values).all():
            raise WeightsError(f"{task}: the network answers NaN or infinity; restore its weights or train again")
    for index in range(len(places)):
        # Kinds that want the mirror image get rows (face, mirrored face).
        yield {
            task: kind_of(spec).decode(
                spec, raw[task][index :: len(places)] if kind_of(spec).mirror else raw[task][index], crops[task][index]
            )
            for task, spec in specs.items()
        }


# --- faces -----------------------------------------------------------------------------------------------------------


def find_faces(rgb: np.ndarray, *, name: str = "image", min_score: float | None = None) -> list[Detection]:
    """Detected faces, largest first; NoFaceError if there is none."""
    found = detect_faces(rgb) if min_score is None else detect_faces(rgb, min_score=min_score)
    if not found:
        raise NoFaceError(
            f"{name}: no face found (the detector sees near-frontal faces of 5 % of the picture and more); say where "
            "it is with --box x1,y1,x2,y2 (in Python boxes=[(x1, y1, x2, y2)]), from the brows to the chin"
        )
    return found


def given_faces(boxes: Sequence[Sequence[float]], size: tuple[int, int], *, name: str = "image") -> list[Detection]:
    """Boxes as faces; DataError for a box without area, outside the (H, W) image or out of all proportion to it."""
    given = np.asarray(boxes, np.float64) if len(boxes) else np.zeros((0, 4))
    if given.ndim != 2 or given.shape[1] != 4 or not len(given):
        raise DataError(f"{name}: boxes: expected a list of (x1, y1, x2, y2), found {boxes!r}; None detects faces")
    height, width = size
    largest = MAX_BOX_SIDES * max(size)
    for x1, y1, x2, y2 in given:
        found = f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if not np.isfinite([x1, y1, x2, y2]).all() or x2 <= x1 or y2 <= y1:
            raise DataError(f"{name}: box: expected finite x1 < x2 and y1 < y2 in pixels, found {found}; correct it")
        if not (-0.5 <= (x1 + x2) / 2 <= width - 0.5 and -0.5 <= (y1 + y2) / 2 <= height - 0.5):
            raise DataError(
                f"{name}: box: expected its centre inside the {width} x {height} image, found {found}; "
                "give pixels of the upright picture, x before y"
            )
        if not 1 <= max(x2 - x1, y2 - y1) <= largest:
            raise DataError(
                f"{name}: box: expected a face of 1 to {largest} pixels in the {width} x {height} image, "
                f"found {found}; give x1,y1,x2,y2 from the brows to the chin"
            )
    return [Detection(box, 1.0) for box in square(given)]


# --- photographs -----------------------------------------------------------------------------------------------------


def open_photo(path: str | Path) -> tuple[Photo, str]:
    """A picture file, decoded upright, and the SHA-256 of its bytes in hexadecimal.

    Raises DataError for what is missing, damaged, no regular file or no picture.
    """
    data = read_regular(path, largest=LARGEST_PHOTO_FILE, remedy=f"give a photograph as {FORMATS}")
    return photo_of(data, path), hashlib.sha256(data).hexdigest()


def photo_of(data: bytes, name: str | Path) -> Photo:
    """An encoded photograph, decoded upright; `name` stands for it in errors, which are as of `open_photo`."""
    try:
        return decode_photo(data)
    except TooManyPixels as error:
        remedy = f"save it as a baseline JPEG, which may have any size, or scale it to {LARGEST_IMAGE:,} pixels"
        raise DataError(f"{name}: {error}; {remedy}") from error
    except BadSample as error:
        raise DataError(f"{name}: {error}; expected a photograph as {FORMATS}") from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def read_photo(path: str | Path) -> np.ndarray:
    """The (H, W, 3) uint8 RGB pixels of `open_photo`."""
    return open_photo(path)[0].pixels


def _checked(image: Any) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"image: expected a path or an (H, W, 3) uint8 RGB array, found {found}; convert it")
    if not image.size:
        raise DataError(f"image: expected pixels, found shape {image.shape}; give the photograph itself")
    return image
