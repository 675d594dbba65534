"""CenterFace (Xu et al. 2019, arXiv:1911.03599): a small network without anchors, for photographs of any size.

For every 4 x 4 pixels it says how likely the centre of a face lies there, and if so where exactly, how large the face
is, and where eyes, nose and corners of the mouth are. A picture is looked at reduced (`sides`), then once more at full
size where a face was small or none was found. Every face that was seen is then looked at again, upright and at one
size: box and points no longer depend on how large or how turned it lies in the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from faceptor.io.files import SHIPPED
from faceptor.predict.detectors.base import (
    NOTHING,
    Detection,
    Sight,
    as_rgb,
    distinct,
    joined,
    resized,
)
from faceptor.predict.detectors.heads import face_box_of_head, largest_first, placed, roll_of
from faceptor.predict.detectors.network import Network, blob_of
from faceptor.transforms.geometry import rotation

FILE = SHIPPED.parent / "detector" / "centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
HEAT, SIZES, OFFSETS, POINTS = "537", "538", "539", "540"  # the names in the file
CELL = 4  # pixels of the picture to one of the heat map
MULTIPLE = 32  # width and height that the network takes are multiples of

MIN_SCORE = 0.5  # photographs without faces stay below 0.4 upright; nine in ten of 6-pixel faces are above
MAX_SHARED = 0.3  # of two boxes of one face in one heat map
MAX_FACES = 200  # of one picture, the surest
SMALL_FACE = 64  # pixels, a box in the reduced picture: where one is smaller, others may have been too small

PATCH, PATCH_FACE = 160, 64  # the second look: its side, and the height of the box in it, pixels
PATCH_SCORE = 0.2  # of a face in the second look; below, the first one stands
STEADY_ROLL = 8.0  # degrees between two looks, at which a third is not needed
MAX_LOOKS = 4  # a face upside down is straightened step by step


@dataclass(frozen=True)
class CenterFace:
    """The default detector.

    sides: longer sides of the picture in pixels: the first search's, then the full search's, of pictures that are
    larger. smallest: what smaller pictures are enlarged to, and the size at which a face is looked for that fills the
    picture. second_look: whether each face is looked at again (about 10 ms a face).
    """

    sides: tuple[int, int] = (640, 1280)
    smallest: int = 320
    min_score: float = MIN_SCORE
    second_look: bool = True
    path: Path = FILE
    name: str = "centerface"

    @cached_property
    def _network(self) -> Network:
        return Network(
            self.path, what="CenterFace of this package", sha256=SHA256, outputs=(HEAT, SIZES, OFFSETS, POINTS),
            remedy="install the package again, or name another detector",
        )  # fmt: skip

    def detect(self, image: np.ndarray, min_score: float | None = None) -> list[Detection]:
        """See `faceptor.predict.detectors.base.Detector`."""
        rgb, least = as_rgb(image), self.min_score if min_score is None else min_score
        seen = self._search(rgb, least)
        heads = [_Head.of(seen.rows([row])) for row in range(len(seen))]
        if self.second_look:
            heads = [self._straightened(rgb, head) for head in heads]
        found = _distinct_heads([head.detection() for head in heads])
        return largest_first(found)

    # --- searching the picture ---------------------------------------------------------------------------------------

    def _search(self, rgb: np.ndarray, least: float) -> Sight:
        longer = max(rgb.shape[:2])
        first, full = self.sides
        side = min(max(longer, self.smallest), first)
        seen = self.look(rgb, side, least)
        if not len(seen) and side > self.smallest:  # a face that fills the picture
            seen = self.look(rgb, self.smallest, least)
        if longer > side and (not len(seen) or _smallest(seen) * side / longer < SMALL_FACE):
            seen = joined(seen, self.look(rgb, min(full, longer), least))
        return distinct(seen, min_score=least).rows(slice(MAX_FACES))

    def look(self, rgb: np.ndarray, side: int, least: float) -> Sight:
        """Faces of at least a score in an (H, W, 3) picture, seen with its longer side scaled to `side` pixels."""
        height, width = rgb.shape[:2]
        scale = side / max(height, width)
        small = resized(rgb, max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = cv2.copyMakeBorder(small, 0, -small.shape[0] % MULTIPLE, 0, -small.shape[1] % MULTIPLE, 0)
        seen = distinct(decoded(self._network(blob_of(canvas)), least), min_score=least, max_shared=MAX_SHARED)
        return seen.scaled(width / small.shape[1], height / small.shape[0])

    # --- looking at one face again ------------------------------------------------------------------------------------

    def _straightened(self, rgb: np.ndarray, head: _Head) -> _Head:
        """The head as it is seen turned upright and at one size; as it was where it is not seen so."""
        for _ in range(MAX_LOOKS):
            again = self._again(rgb, head)
            if again is None:
                return head
            turned = abs(again.roll - head.roll)
            head = again
            if min(turned, 360 - turned) < STEADY_ROLL:
                return head
        return head

    def _again(self, rgb: np.ndarray, head: _Head) -> _Head | None:
        patch, matrix = upright_patch(rgb, head.centre, head.height, head.roll)
        seen = self.look(patch, PATCH, PATCH_SCORE)
        if not len(seen):
            return None
        away = np.linalg.norm((seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2 - (PATCH - 1) / 2, axis=1)
        nearest = int(away.argmin())
        if away[nearest] > PATCH_FACE / 2:
            return None
        return _Head.of(seen.rows([nearest]), score=head.score).placed_back(matrix, head.roll)


def decoded(answers: dict[str, np.ndarray], least: float) -> Sight:
    """The cells of a heat map (1, 1, h, w) with at least a score, as boxes and points in pixels of the network's input.

    Sizes are (1, 2, h, w): logarithms of height and width in cells; offsets (1, 2, h, w): of the centre from the cell's
    middle, y and x, in cells; points (1, 10, h, w): y and x of five points from the box's corner, in box sizes.
    """
    heat = answers[HEAT][0, 0]
    rows, columns = np.nonzero(heat >= least)
    if not len(rows):
        return NOTHING
    size, offset = (answers[name][0][:, rows, columns].astype(np.float64) for name in (SIZES, OFFSETS))
    centre = (np.stack([columns, rows]) + 0.5 + offset[::-1]) * CELL  # pixel edges at integers
    size = np.exp(np.clip(size[::-1], None, 12)) * CELL
    corner = centre - size / 2
    points = answers[POINTS][0][:, rows, columns].astype(np.float64).reshape(5, 2, -1)[:, ::-1] * size + corner
    boxes = np.concatenate([corner, corner + size]).T - 0.5
    return Sight(boxes, heat[rows, columns].astype(np.float64), points.transpose(2, 0, 1) - 0.5)


@dataclass(frozen=True)
class _Head:
    """One face: its box's centre (2,), height and width, and points (5, 2) in pixels of the photograph.

    upright: the points as they lie with the head turned back by `roll` degrees about the box's centre, from which the
    box was seen, too; a head that was seen turned has roll 0 there until it is looked at again.
    """

    centre: np.ndarray
    size: np.ndarray  # (2,) width, height
    points: np.ndarray
    upright: np.ndarray
    score: float
    roll: float

    @classmethod
    def of(cls, seen: Sight, score: float | None = None) -> _Head:
        box, points = seen.boxes[0], seen.points[0]
        roll = roll_of(points)
        centre = (box[:2] + box[2:]) / 2
        upright = (points - centre) @ rotation(np.deg2rad(-roll)).T + centre
        return cls(centre, box[2:] - box[:2], points, upright, float(seen.scores[0]) if score is None else score, roll)

    @property
    def height(self) -> float:
        return float(self.size[1])

    def placed_back(self, matrix: np.ndarray, roll: float) -> _Head:
        """From a patch, to which `matrix` (2, 3) leads, to the picture, which was turned by `roll` degrees."""
        back = cv2.invertAffineTransform(matrix)
        scale = float(np.sqrt(abs(np.linalg.det(back[:, :2]))))
        centre = back[:, :2] @ self.centre + back[:, 2]
        points = self.points @ back[:, :2].T + back[:, 2]
        upright = (self.upright - self.centre) * scale + centre
        whole = (self.roll + roll + 180) % 360 - 180
        return replace(self, centre=centre, size=self.size * scale, points=points, upright=upright, roll=whole)

    def detection(self) -> Detection:
        box = np.concatenate([self.centre - self.size / 2, self.centre + self.size / 2])
        face = face_box_of_head(box, self.upright)
        return placed(face, self.centre, score=self.score, roll=self.roll, points=self.points)


def upright_patch(rgb: np.ndarray, centre: np.ndarray, height: float, roll: float) -> tuple[np.ndarray, np.ndarray]:
    """A face of a picture turned upright: (PATCH, PATCH, 3) pixels, and the (2, 3) matrix that leads there."""
    scale = PATCH_FACE / max(height, 1.0)
    reach = int(np.ceil(PATCH / scale)) + 2
    left, top = (np.floor(centre).astype(int) - reach).clip(0)
    right, bottom = (np.ceil(centre).astype(int) + reach + 1).clip(1, rgb.shape[1::-1])
    left, top = min(left, right - 1), min(top, bottom - 1)
    part = rgb[top:bottom, left:right]
    shrunk = resized(part, *(max(1, round(side * min(1.0, 2 * scale))) for side in part.shape[1::-1]))
    factor = np.array([part.shape[1] / shrunk.shape[1], part.shape[0] / shrunk.shape[0]])
    turn = rotation(np.deg2rad(-roll)) * scale
    matrix = np.c_[turn, np.full(2, (PATCH - 1) / 2) - turn @ centre]
    to_picture = np.diag([*factor, 1.0])
    to_picture[:2, 2] = (factor - 1) / 2 + [left, top]
    patch = cv2.warpAffine(shrunk, (matrix @ to_picture), (PATCH, PATCH), borderMode=cv2.BORDER_REPLICATE)
    return patch, matrix


def _smallest(seen: Sight) -> float:
    return float((seen.boxes[:, 3] - seen.boxes[:, 1]).min())


def _distinct_heads(found: list[Detection]) -> list[Detection]:
    """Two sights may turn out to be one face."""
    if not found:
        return found
    boxes, scores = np.stack([one.box for one in found]), np.array([one.score for one in found])
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return [found[row] for row in np.asarray(cv2.dnn.NMSBoxes(sizes.tolist(), scores.tolist(), 0.0, 0.4)).reshape(-1)]
