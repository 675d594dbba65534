"""Which landmarks the camera sees: what stands in front of the head, what grows over it, and the head itself."""

import numpy as np

from faceptor.synthesis.canvas import HAIR, HAT

_BEHIND_CELLS = 2.0
"""A pixel that shows a place of the mesh this many cells away shows something else: the nose before an eye, say."""
_INWARD_STEP = 0.15
"""Head units from the outline to the skin beside it, where hair over the cheek is told from hair behind the head."""
_AROUND_X, _AROUND_Y = np.tile([-1, 0, 1], 3), np.repeat([-1, 0, 1], 3)


def uncovered(points: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """(K,) bool: the point lies in the picture and nothing stands in front of it; `covered` (H, W) bool."""
    height, width = covered.shape
    inside = ((points >= 0) & (points <= [width - 1, height - 1])).all(axis=1)
    x, y = _pixels(points, covered.shape)
    return inside & ~covered[y, x]


def bare(
    points: np.ndarray, classes: np.ndarray, *, outline: np.ndarray, middle: np.ndarray, unit: float
) -> np.ndarray:
    """(K,) bool: neither hair nor a hat covers the point. All in pixels of the canvas with `classes` (H, W).

    `outline` (K,) bool marks points on the edge of the face: they are judged by the skin next to them, towards the
    `middle` of the face; `unit` is the size of a head unit.
    """
    towards = middle - points
    towards = towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-6)
    x, y = _pixels(points + np.where(outline[:, None], _INWARD_STEP * unit, 0.0) * towards, classes.shape)
    over = classes[y, x]
    return (over != HAIR) & (over != HAT)


def unobstructed(points: np.ndarray, cells: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(K,) bool: the head does not hide the point behind another part of itself.

    `points` are pixels of the canvas, `cells` (K, 2) their places on the mesh (column, row) and `shown` (2, H, W) the
    place that each pixel shows (-1: not the head).
    """
    height, width = shown.shape[1:]
    x, y = np.rint(points).astype(int).T[..., None]
    x, y = x + _AROUND_X, y + _AROUND_Y
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = shown[:, y.clip(0, height - 1), x.clip(0, width - 1)]
    head = inside & (column >= 0)
    near = (np.abs(column - cells[:, :1]) < _BEHIND_CELLS) & (np.abs(row - cells[:, 1:]) < _BEHIND_CELLS)
    return (head & near).any(axis=1) | ~head.any(axis=1)


def _pixels(points: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the nearest pixels in a picture of (height, width)."""
    x, y = np.rint(np.clip(points, 0, [shape[1] - 1, shape[0] - 1])).astype(int).T
    return x, y
