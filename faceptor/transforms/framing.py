"""How much around a face a task's network was trained to see, so that a photograph can be cut the same way.

A *face box* is the square about the 68 landmarks of 300W, from the brows to the chin and from ear to ear: the centre of
their bounds, the longer side (the box that `landmarks_300w` is trained on). Boxes are (x1, y1, x2, y2) in pixels,
pixel centres at integers.

Every data set crops its faces differently. A `Framing` says which rectangle about the face box the network saw; it is
measured from the training pictures (`faceptor.predict.framing`) and kept in the model folder beside the crop. A model
without one falls back on what is known of the published pictures (`known_framing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from faceptor.errors import ConfigError
from faceptor.transforms import geometry
from faceptor.transforms.crop import CropSpec, PlacedCrop

# Proportions of an upright adult face in units of the distance between the eyes (IPD), brows at -0.35 and the chin at
# +1.70 of the eye line, 2.05 from ear to ear; the mouth corners lie 1.10 below the eyes (between ArcFace's template,
# 1.16, and the head of `faceptor.synthesis`). In units of the face box's side:
EYES_APART = 1 / 2.05
EYES_TO_MOUTH = 1.10 * EYES_APART
EYES_ABOVE_CENTRE = (1.70 - 2.05 / 2) * EYES_APART

NEGLIGIBLE = 0.005  # of the face box's side: not worth a word


# --- face boxes ------------------------------------------------------------------------------------------------------


def square(box: np.ndarray) -> np.ndarray:
    """(..., 4) boxes -> squares with the same centres and the longer sides."""
    box = np.asarray(box, np.float64)
    centre, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]).max(-1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def face_box_of_points5(points5: np.ndarray) -> np.ndarray:
    """Face box (4,) from eyes, nose tip and mouth corners (5, 2), by the proportions of an upright face.

    Turned heads lose width, raised ones height: the larger of the two estimates is taken.
    """
    points5 = np.asarray(points5, np.float64)
    eyes, mouth = points5[:2].mean(0), points5[3:].mean(0)
    down = mouth - eyes
    height = max(np.linalg.norm(down), 1e-6)
    side = max(np.linalg.norm(points5[1] - points5[0]) / EYES_APART, height / EYES_TO_MOUTH)
    centre = eyes + down / height * EYES_ABOVE_CENTRE * side
    return np.concatenate([centre - side / 2, centre + side / 2])


# --- framings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Framing:
    """Edges of the seen rectangle, from the centre of the face box in units of its side (x right, y down).

    The face box itself is (-0.5, -0.5, 0.5, 0.5).
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        edges = np.array([self.left, self.top, self.right, self.bottom], float)
        if not np.isfinite(edges).all() or self.right <= self.left or self.bottom <= self.top:
            raise ConfigError(f"framing: expected finite left < right and top < bottom, found {edges.tolist()}")

    def to_list(self) -> list[float]:
        """Four numbers, fit for JSON; `Framing(*numbers)` is the inverse."""
        return [round(float(edge), 4) for edge in (self.left, self.top, self.right, self.bottom)]

    def zoomed(self, scale: float) -> Framing:
        """What is seen after a magnification about the middle."""
        x, y = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        w, h = (self.right - self.left) / 2 / scale, (self.bottom - self.top) / 2 / scale
        return Framing(x - w, y - h, x + w, y + h)

    def around(self, box: np.ndarray) -> np.ndarray:
        """The rectangle (4,) for a face box (4,)."""
        box = square(box)
        side, centre = box[2] - box[0], (box[:2] + box[2:]) / 2
        return np.tile(centre, 2) + side * np.array([self.left, self.top, self.right, self.bottom])


def framing_of(rectangle: np.ndarray, face_box: np.ndarray) -> Framing:
    """A rectangle (4,) seen from a face box (4,)."""
    box = square(face_box)
    edges = (np.asarray(rectangle, np.float64) - np.tile((box[:2] + box[2:]) / 2, 2)) / (box[2] - box[0])
    return Framing(*(float(edge) for edge in edges))


def place_face(
    spec: CropSpec, framing: Framing, *, image_size: tuple[int, int], box: np.ndarray, roll: float = 0.0
) -> PlacedCrop:
    """The crop of a face in a photograph: what `spec` gives on the data set's own pictures, size and warp included.

    box: face box (4,) in pixels of the photograph; roll: degrees by which the face is turned about its centre.
    """
    box = square(box)
    centre, a = (box[:2] + box[2:]) / 2, geometry.rotation(np.deg2rad(-roll))
    upright = np.eye(3)
    upright[:2, :2], upright[:2, 2] = a, centre - a @ centre
    matrix = geometry.box_matrix(framing.around(box), spec.size) @ upright
    # Photographs are mostly much larger than crops: always smooth before shrinking.
    return PlacedCrop(matrix=matrix, size=spec.size, warp=float(spec.warp), image_size=image_size, antialias=True)


def crop_of(model: Any, task: str) -> tuple[CropSpec, Framing]:
    """Crop and framing of a model's task; what the model does not carry comes from `known_framing`."""
    crop, framing = own_crop(model, task), (model.crops.get(task) or {}).get("framing")
    return crop, Framing(*framing) if framing else known_framing(model.tasks[task].dataset, crop)


def own_crop(model: Any, task: str) -> CropSpec:
    """How a model's task has its data set's own pictures cut; the whole picture if the model does not say."""
    model.require_task(task)
    stored = {key: value for key, value in (model.crops.get(task) or {}).items() if key != "framing"}
    return CropSpec.from_dict(stored) if stored else CropSpec(kind="whole", size=model.inputs[model.group[task]].size)


def describe_crop(spec: CropSpec, framing: Framing) -> str:
    """How a face box becomes the crop, in words: `1.26 x the face box, centred 0.20 up -> 128 x 128`."""
    width, height = framing.right - framing.left, framing.bottom - framing.top
    across, down = (framing.left + framing.right) / 2, (framing.top + framing.bottom) / 2
    size = f"{width:.2f}" if abs(width - height) < NEGLIGIBLE else f"{width:.2f} by {height:.2f}"
    moves = [
        f"{abs(amount):.2f} {sides[amount > 0]}"
        for amount, sides in ((across, ("left", "right")), (down, ("up", "down")))
        if abs(amount) >= NEGLIGIBLE
    ]
    words = f"{size} x the face box" + (f", centred {', '.join(moves)}" if moves else "")
    words += f" -> {spec.size} x {spec.size}"
    if abs(width / height - 1) > 0.05:
        squeezed, ratio = ("width", width / height) if width > height else ("height", height / width)
        words += f", {squeezed} squeezed by {ratio:.2f}"
    return words + (f", tanh warp {spec.warp:g}" if spec.warp else "")


# --- known from publications ------------------------------------------------------------------------------------------


def _by_points(points5: np.ndarray, width: float, height: float) -> Framing:
    """Framing of a picture of width x height pixels in which the five points are known."""
    return framing_of(np.array([-0.5, -0.5, width - 0.5, height - 0.5]), face_box_of_points5(points5))


def _by_eyes(eyes_y: float, apart: float, width: float, height: float) -> Framing:
    """The same from the eye line's height and the distance between the eyes, the face in the middle."""
    x, mouth = (width - 1) / 2, eyes_y + 1.10 * apart
    eyes = [[x - apart / 2, eyes_y], [x + apart / 2, eyes_y]]
    rest = [[x, (eyes_y + mouth) / 2], [x - 0.4 * apart, mouth], [x + 0.4 * apart, mouth]]
    return _by_points(np.array([*eyes, *rest]), width, height)


# The whole published picture of each data set.
PICTURES: dict[str, Framing] = {
    # Side 4 eye distances, its centre 0.1 eye-mouth distances below the eye line: the rule of the CelebA-HQ authors.
    "celebamaskhq": _by_eyes(eyes_y=483, apart=256, width=1024, height=1024),
    # Aligned pictures, eyes at about (69, 111) and (108, 111) of 178 x 218.
    "celeba": _by_eyes(eyes_y=111, apart=39, width=178, height=218),
    # The alignment template itself.
    "ms1mv3": _by_points(geometry.ARCFACE_TEMPLATE, 112, 112),
    # Detector boxes of 250 x 250, eyes about 42 pixels apart, a little above the middle.
    "lfw73": _by_eyes(eyes_y=112, apart=42, width=250, height=250),
    # 100 x 100, forehead to chin: eyes about 40 apart at a third of the height.
    "rafdb": _by_eyes(eyes_y=36, apart=40, width=100, height=100),
    # Aligned copies in common use, 200 x 240, head to neck: eyes a third of the width apart.
    "morph2": _by_eyes(eyes_y=110, apart=66, width=200, height=240),
    # 200 x 200 chips, hair to chin.
    "utkface": _by_eyes(eyes_y=78, apart=68, width=200, height=200),
    # 48 x 48, eyebrows to chin.
    "ferplus": _by_eyes(eyes_y=19, apart=20, width=48, height=48),
    # Published crops and boxes alike: forehead to chin, a little looser than the face box.
    "affectnet": _by_eyes(eyes_y=82, apart=84, width=224, height=224),
}
LABEL_BOX = Framing(-0.5, -0.5, 0.5, 0.5)  # landmark sets: the label box is the face box
BOXES: dict[str, Framing] = {"affectnet": PICTURES["affectnet"]}
TIGHT = PICTURES["ms1mv3"]  # for data sets nothing is known of


def _of_square(picture: Framing) -> Framing:
    """Centre square of a picture."""
    width, height = picture.right - picture.left, picture.bottom - picture.top
    x, y, half = (picture.left + picture.right) / 2, (picture.top + picture.bottom) / 2, min(width, height) / 2
    return Framing(x - half, y - half, x + half, y + half)


KNOWN: dict[str, Callable[[str], Framing]] = {
    "box": lambda dataset: BOXES.get(dataset, LABEL_BOX),
    "align5": lambda dataset: _by_points(geometry.farl_points(512), 512, 512),
    "arcface": lambda dataset: _by_points(geometry.ARCFACE_TEMPLATE, 112, 112),
    "whole": lambda dataset: PICTURES.get(dataset, TIGHT),
    "square": lambda dataset: _of_square(PICTURES.get(dataset, TIGHT)),
}


def known_framing(dataset: str, crop: CropSpec) -> Framing:
    """What a crop of a data set's published pictures shows, from what is known of these pictures."""
    return KNOWN[crop.kind](dataset).zoomed(crop.scale)
