"""Any photograph in, typed answers in its own pixels and units out.

>>> model = faceptor.load("models/stage2")
>>> for face in faceptor.predict(model, "party.jpg"):
...     print(face.box, face.results["age_morph2"].years)
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from faceptor.datasets.formats.images import LARGEST_IMAGE, TooManyPixels
from faceptor.datasets.reader import BadSample
from faceptor.errors import DataError
from faceptor.io.regular import read_regular
from faceptor.predict.crops import Cuts, Plan, answers_of, cut_faces, plan_of
from faceptor.predict.detector import Detection, detect_faces
from faceptor.predict.engine import Engine, engine_of
from faceptor.predict.layout import Crops
from faceptor.predict.photographs import FORMATS, LARGEST_PHOTO_FILE, Photo, decode_photo
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.framing import square

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

    @property
    def warning(self) -> str:
        """Of its answers; see `generated_warning`."""
        return generated_warning(self.generated, of=len(self.results))

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
    """What is said wherever an answer meets a photograph; tasks: those taught by generated faces, out of `of` asked.
    Empty where there are none."""
    if not tasks:
        return ""
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
    *,
    crops: str = "own",
    detector: Any = None,
    min_score: float | None = None,
) -> list[Face]:
    """All tasks (None) or some, for the faces of one photograph; detected faces come largest first.

    model: a model, or an `Engine` of one. image: a file, or an (H, W, 3) uint8 RGB array. boxes: face boxes (x1, y1,
    x2, y2) in its pixels, from the brows to the chin; None looks for faces with `detector`, a Detector (None: the one
    that ships with the package), and takes those it is at least `min_score` sure of. crops: "own", every task sees the
    face framed as in its training pictures, or "shared", the tasks of an input group see one crop, which is faster and
    less exact (`faceptor.predict.crops`). Images of one size go through the network together, faces and tasks alike.

    A JPEG above 89 megapixels is looked at reduced by 2, 4 or 8: boxes and points are in its own pixels, class maps
    have the reduced size. Raises DataError if the image cannot be read, a box is impossible, or no face is found.
    """
    work = Work.of(model, tasks, crops=crops, detector=detector, min_score=min_score)
    if work.warning:
        warnings.warn(work.warning, GeneratedFacesWarning, stacklevel=3)
    if isinstance(image, str | Path):
        name, (photo, _) = str(image), open_photo(image)
    else:
        name, photo = "image", Photo(checked_image(image), image.shape[:2])
    faces = work.faces(photo.pixels, work.find(photo, boxes, name=name), given=boxes is not None)
    return [face.magnified(photo.reduction) for face in faces]


def answer_image(model: Any, rgb: np.ndarray, *, boxes=None, tasks=None, **settings) -> list[Face]:
    """`predict` without its warning, for an (H, W, 3) image at hand; settings: `crops`, `detector` and `min_score`."""
    work = Work.of(model, tasks, **settings)
    places = work.find(Photo(rgb, rgb.shape[:2]), boxes, name="image")
    return work.faces(rgb, places, given=boxes is not None)


@dataclass(frozen=True, eq=False)
class Work:
    """What is done with every photograph of a call.

    >>> work = Work.of(model, ["age_morph2"])
    >>> places = work.find(photo, None, name="party.jpg")
    >>> cuts = work.cut(photo.pixels, places)
    >>> work.told(places, cuts, work.raw(cuts.images), given=False)
    """

    engine: Engine
    plan: Plan
    specs: dict[str, TaskSpec]
    generated: tuple[str, ...]
    detector: Any
    min_score: float | None

    @classmethod
    def of(cls, model: Any, tasks=None, *, crops: str = "own", detector=None, min_score=None) -> Work:
        """ConfigError for a task that the model does not have, or other `crops` than there are."""
        engine = engine_of(model)
        names = engine.choose_tasks(tasks)
        specs = {task: engine.require_task(task) for task in names}
        generated = taught_by_generated(engine.provenance, names)
        return cls(engine, plan_of(engine, names, crops), specs, generated, detector, min_score)

    @property
    def warning(self) -> str:
        """Of its answers; see `generated_warning`."""
        return generated_warning(self.generated, of=len(self.specs))

    def find(self, photo: Photo, boxes: Sequence[Sequence[float]] | None, *, name: str) -> list[Detection]:
        """Faces in the pixels that were decoded: given ones (in the photograph's own pixels), else detected ones."""
        if boxes is None:
            return find_faces(photo.pixels, name=name, detector=self.detector, min_score=self.min_score)
        given = given_faces(boxes, photo.size, name=name)
        if photo.reduction == 1:
            return given
        own = np.stack([place.box for place in given])
        return given_faces((own + 0.5) / photo.reduction - 0.5, photo.pixels.shape[:2], name=name)

    def cut(self, rgb: np.ndarray, places: Sequence[Detection]) -> Cuts:
        return cut_faces(self.plan, rgb, places)

    def raw(self, crops: Crops) -> dict[str, Tensor]:
        """The network's numbers of any faces, on the CPU."""
        return {task: values.cpu() for task, values in self.engine.answer(crops).items()}

    def told(self, places: Sequence[Detection], cuts: Cuts, raw: dict[str, Tensor], *, given: bool) -> list[Face]:
        """Raw numbers of the faces that were cut as answers in the pixels of their picture."""
        return [
            Face(
                box=place.box, score=None if given else place.score, results=result, roll=place.roll, specs=self.specs,
                generated=self.generated,
            )
            for place, result in zip(places, answers_of(self.engine, cuts, raw, list(self.specs)), strict=True)
        ]  # fmt: skip

    def faces(self, rgb: np.ndarray, places: Sequence[Detection], *, given: bool) -> list[Face]:
        """All of this for one picture, a few faces at a time, so that a group photograph takes bounded memory."""
        found = []
        for start in range(0, len(places), self.engine.faces_per_pass):
            some = places[start : start + self.engine.faces_per_pass]
            cuts = self.cut(rgb, some)
            found += self.told(some, cuts, self.raw(cuts.images), given=given)
        return found


# --- faces -----------------------------------------------------------------------------------------------------------


def find_faces(rgb: np.ndarray, *, name: str, detector: Any = None, min_score: float | None = None) -> list[Detection]:
    """Detected faces, largest first; NoFaceError if there is none."""
    detect = detector.detect if detector else detect_faces
    found = detect(rgb) if min_score is None else detect(rgb, min_score=min_score)
    if not found:
        raise NoFaceError(
            f"{name}: no face found (the detector sees faces of 2 % of the picture's longer side and more); say where "
            "it is with --box x1,y1,x2,y2 (in Python boxes=[(x1, y1, x2, y2)]), from the brows to the chin"
        )
    return found


def given_faces(boxes: Sequence[Sequence[float]], size: tuple[int, int], *, name: str) -> list[Detection]:
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


def checked_image(image: Any) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"image: expected a path or an (H, W, 3) uint8 RGB array, found {found}; convert it")
    if not image.size:
        raise DataError(f"image: expected pixels, found shape {image.shape}; give the photograph itself")
    return image
