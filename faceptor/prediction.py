"""Any photograph in, typed answers in its own pixels and units out.

>>> model = faceptor.load("models/stage2")
>>> for face in faceptor.predict(model, "party.jpg"):
...     print(face.box, face.results["age_morph2"].years)
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from faceptor.data.batches import to_tensor
from faceptor.data.crop import Crop
from faceptor.datasets.base import BadSample
from faceptor.datasets.images import decode_image, picture, read_bytes
from faceptor.errors import DataError
from faceptor.faces import Detection, detect_faces, square
from faceptor.framing import crop_of, place_face
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec

CHUNK = 8  # faces answered together; bounds the memory that a group photograph takes


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photograph.

    box      (4,) float64 x1, y1, x2, y2 in pixels: square, brows to chin (see `faceptor.faces`), or as it was given
    score    how sure the detector is, 0 to 1; None where the box was given
    roll     degrees by which the face is turned about the box's centre, clockwise as seen
    results  task -> prediction, in pixels of the photograph, years, probabilities
    """

    box: np.ndarray
    score: float | None
    results: dict[str, Prediction]
    roll: float = 0.0
    specs: dict[str, TaskSpec] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        box = ", ".join(f"{edge:.1f}" for edge in self.box)
        return f"Face(box=({box}), score={self.score}, results of {', '.join(self.results)})"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return {
            "box": [round(float(edge), 2) for edge in self.box],
            "score": self.score,
            "roll": self.roll,
            "tasks": {name: prediction.to_json(self.specs[name]) for name, prediction in self.results.items()},
        }


def predict(
    model: Any,
    image: str | Path | np.ndarray,
    boxes: Sequence[Sequence[float]] | None = None,
    tasks: Sequence[str] | None = None,
) -> list[Face]:
    """All tasks (None) or some, for the faces of one photograph; detected faces come largest first.

    image: a file, or an (H, W, 3) uint8 RGB array. boxes: face boxes (x1, y1, x2, y2) in its pixels, from the brows to
    the chin; None looks for faces. Every task sees the face framed as in its training pictures. Images of one size go
    through the network together, faces and tasks alike. Raises DataError if the image cannot be read, a box is
    impossible, or no face is found.
    """
    if isinstance(image, str | Path):
        return answer_photo(model, read_photo(image), boxes=boxes, tasks=tasks, name=str(image))
    return answer_photo(model, _checked(image), boxes=boxes, tasks=tasks)


@torch.inference_mode()
def answer_photo(model: Any, rgb: np.ndarray, *, boxes=None, tasks=None, name: str = "image") -> list[Face]:
    """`predict` for an image at hand; `name` stands for it in errors."""
    names = model.choose_tasks(tasks)
    places = find_faces(rgb, name=name) if boxes is None else given_faces(boxes, rgb.shape[:2], name=name)
    specs = {task: model.require_task(task) for task in names}
    was_training = model.training
    model.eval()
    try:
        results = [
            answer
            for start in range(0, len(places), CHUNK)
            for answer in _answer(model, rgb, places[start : start + CHUNK], specs)
        ]
    finally:
        model.train(was_training)
    return [
        Face(box=place.box, score=place.score if boxes is None else None, results=result, roll=place.roll, specs=specs)
        for place, result in zip(places, results, strict=True)
    ]


def _answer(model, rgb: np.ndarray, places: list[Detection], specs: dict[str, TaskSpec]) -> Iterator[dict]:
    """Results of a few faces: one pass per image size for all of them and all tasks."""
    device = next(model.parameters()).device
    crops: dict[str, list[Crop]] = {}
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
    for index in range(len(places)):
        # Kinds that want the mirror image get rows (face, mirrored face).
        yield {
            task: kind_of(spec).restore(
                spec, raw[task][index :: len(places)] if kind_of(spec).mirror else raw[task][index], crops[task][index]
            )
            for task, spec in specs.items()
        }


# --- faces -----------------------------------------------------------------------------------------------------------


def find_faces(rgb: np.ndarray, *, name: str = "image") -> list[Detection]:
    """Detected faces, largest first; DataError if there is none."""
    found = detect_faces(rgb)
    if not found:
        raise DataError(
            f"{name}: no face found (the detector sees near-frontal faces of 5 % of the picture and more); say where "
            "it is with --box x1,y1,x2,y2 (in Python boxes=[(x1, y1, x2, y2)]), from the brows to the chin"
        )
    return found


def given_faces(boxes: Sequence[Sequence[float]], size: tuple[int, int], *, name: str = "image") -> list[Detection]:
    """Boxes as faces; DataError for a box without area or outside the (H, W) image."""
    given = np.asarray(boxes, np.float64) if len(boxes) else np.zeros((0, 4))
    if given.ndim != 2 or given.shape[1] != 4 or not len(given):
        raise DataError(f"{name}: boxes: expected a list of (x1, y1, x2, y2), found {boxes!r}; None detects faces")
    height, width = size
    for x1, y1, x2, y2 in given:
        found = f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if not np.isfinite([x1, y1, x2, y2]).all() or x2 <= x1 or y2 <= y1:
            raise DataError(f"{name}: box: expected finite x1 < x2 and y1 < y2 in pixels, found {found}; correct it")
        centre = (x1 + x2) / 2, (y1 + y2) / 2
        if not (-0.5 <= centre[0] <= width - 0.5 and -0.5 <= centre[1] <= height - 0.5):
            raise DataError(
                f"{name}: box: expected its centre inside the {width} x {height} image, found {found}; "
                "give pixels of the upright picture, x before y"
            )
    return [Detection(box, 1.0) for box in square(given)]


# --- photographs -----------------------------------------------------------------------------------------------------


def read_photo(path: str | Path) -> np.ndarray:
    """A picture file -> (H, W, 3) uint8 RGB: upright as its EXIF says, transparency on white, 16 bits to 8.

    Raises DataError for what is missing, damaged or no picture.
    """
    try:
        data = read_bytes(Path(path))
        picture(data)  # the declared size, before memory is taken
        with Image.open(io.BytesIO(data)) as image:
            if "A" in image.getbands() or "transparency" in image.info:
                rgba = ImageOps.exif_transpose(image).convert("RGBA")
                return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
        return decode_image(data, strict=True)
    except BadSample as error:
        raise DataError(f"{path}: {error}; expected a photograph as JPEG, PNG, WebP, TIFF, BMP or GIF") from error
    except (OSError, ValueError, SyntaxError) as error:  # what PIL raises on damaged data
        raise DataError(f"{path}: image cannot be decoded ({error}); save it again as JPEG or PNG") from error


def _checked(image: Any) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"image: expected a path or an (H, W, 3) uint8 RGB array, found {found}; convert it")
    if not image.size:
        raise DataError(f"image: expected pixels, found shape {image.shape}; give the photograph itself")
    return image
