"""What a detector is and what it answers. Boxes are (x1, y1, x2, y2) in pixels, pixel centres at integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

MAX_SHARED = 0.4  # intersection over union of two face boxes, above which they are of one face


@dataclass(frozen=True)
class Detection:
    """box: (4,) float64 face box (`faceptor.transforms.framing`); score in [0, 1]: how sure the detector is.

    roll: degrees by which the face is turned about the box's centre, from x towards y (clockwise as seen).
    points: (5, 2) eyes, nose tip, corners of the mouth, as seen from left to right; None where nobody told them.
    """

    box: np.ndarray
    score: float
    roll: float = 0.0
    points: np.ndarray | None = None


class Detector(Protocol):
    """Finds faces in a picture."""

    name: str

    def detect(self, image: np.ndarray, min_score: float | None = None) -> list[Detection]:
        """Faces of an (H, W, 3) RGB or (H, W) uint8 image, largest first; an empty list if there is none.

        min_score: the lowest score of a face; None: the detector's own.
        """
        ...


@dataclass(frozen=True)
class Sight:
    """What a network says of the n faces it sees: boxes (n, 4), scores (n,), points (n, 5, 2), in one picture's pixels.

    The boxes are the network's own, about whole heads or less: `faceptor.predict.detectors.heads` makes face boxes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def rows(self, which: np.ndarray | list[int]) -> Sight:
        """Some of them, by index or mask."""
        return Sight(self.boxes[which], self.scores[which], self.points[which])

    def scaled(self, across: float, down: float) -> Sight:
        """The same in the picture from which this one was made 1 / across as wide and 1 / down as high."""
        factor = np.array([across, down])
        boxes = (self.boxes + 0.5) * np.tile(factor, 2) - 0.5
        return Sight(boxes, self.scores, (self.points + 0.5) * factor - 0.5)


NOTHING = Sight(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))


def joined(*sights: Sight) -> Sight:
    """All of them as one."""
    return Sight(*(np.concatenate([getattr(one, part) for one in sights]) for part in ("boxes", "scores", "points")))


def distinct(seen: Sight, *, min_score: float, max_shared: float = MAX_SHARED) -> Sight:
    """Of boxes that share much of their area the surest alone, best first, and those below `min_score` left out."""
    if not len(seen):
        return seen
    sizes = np.concatenate([seen.boxes[:, :2], seen.boxes[:, 2:] - seen.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sizes.tolist(), seen.scores.tolist(), min_score, max_shared)
    return seen.rows(np.asarray(kept, int).reshape(-1))


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with boxes (n, 4)."""
    size = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    return size / (np.prod(box[2:] - box[:2]) + (boxes[:, 2:] - boxes[:, :2]).prod(1) - size)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) from an (H, W, 3), (H, W) or (H, W, 1) uint8 image."""
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image


def resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, 3): pixels averaged where it shrinks, linear where it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
