"""Draw the head's mesh: which place of the mesh every pixel shows."""

from functools import cache

import numpy as np


@cache
def _mesh(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (3, T) of two triangles per cell as indices of mesh points, and (2, N) column and row of every point."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.stack([corner, corner + 1, corner + columns])
    second = np.stack([corner + columns + 1, corner + columns, corner + 1])
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows))).reshape(2, -1)
    return np.concatenate([first, second], axis=1), cells.astype(float)


def rasterise(points: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Column and row of the mesh, in fractional cells, that each pixel shows: (2, height, width) float32, -1 for none.

    `points` (rows, columns, 3) are pixel x, y and depth (larger is nearer). Triangles that face away are not drawn;
    nearer ones cover farther ones. Triangles are cut into one span per pixel row, and all spans are filled at once.
    """
    triangles, cells = _mesh(*points.shape[:2])
    x, y, depth = points.reshape(-1, 3).astype(np.float32).T.copy()
    triangles = triangles.compress(_drawn(x.take(triangles), y.take(triangles), height, width), axis=1)
    triangles = triangles.take(np.argsort(depth.take(triangles).sum(0), kind="stable"), axis=1)
    x, y = x.take(triangles), y.take(triangles)  # (3, T), far to near

    # One entry per triangle and pixel row it crosses.
    top = np.maximum(np.ceil(y.min(0)), 0).astype(np.int32)
    lines = np.maximum(np.minimum(np.floor(y.max(0)), height - 1).astype(np.int32) - top + 1, 0)
    owner = np.repeat(np.arange(len(lines)), lines)
    line = _counted(lines) + np.repeat(top, lines)
    left, right = _span(x, y, owner, line)
    left, right = np.maximum(np.ceil(left), 0).astype(np.int32), np.minimum(np.floor(right), width - 1).astype(np.int32)
    filled = np.flatnonzero(right >= left)
    owner, line, left, length = owner[filled], line[filled], left[filled], (right - left + 1)[filled]

    # On a triangle column and row are affine in x and y: take their value at the span's start and their step along it.
    first, second = triangles[:2]
    base, along_x, along_y = _affine(x, y, cells.take(first, axis=1), second - first).take(owner, axis=2)
    start = (base + along_x * left + along_y * line).astype(np.float32)
    step = _counted(length)
    pixel = (step + np.repeat(line * width + left, length)).astype(np.intp)  # the type that NumPy indexes with
    step = step.astype(np.float32)
    out = np.full((2, height * width), -1.0, np.float32)
    for target, begin, slope in zip(out, start, along_x.astype(np.float32), strict=True):
        # Nearer triangles come later, and the last value written to a pixel stays.
        target[pixel] = np.repeat(begin, length) + step * np.repeat(slope, length)
    return out.reshape(2, height, width)


def _drawn(x: np.ndarray, y: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T,) bool: the triangle with corners (3, T) faces the viewer and may touch the picture."""
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    return (area > 1e-6) & (x.max(0) >= 0) & (y.max(0) >= 0) & (x.min(0) < width) & (y.min(0) < height)


def _counted(lengths: np.ndarray) -> np.ndarray:
    """0, 1, .. length - 1 for each of `lengths`, one after the other."""
    first = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.int32) - np.repeat(first.astype(np.int32), lengths)


def _span(x: np.ndarray, y: np.ndarray, owner: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where pixel row `line` enters and leaves triangle `owner`; corners (3, T) in clockwise order on the screen."""
    dx, dy = x[[1, 2, 0]] - x, y[[1, 2, 0]] - y
    level = np.abs(dy) < 1e-9  # such an edge bounds no row
    slope = dx / np.where(level, np.float32(1.0), dy)
    at = x - y * slope
    slack = np.float32(1e-4)  # pixel centres on a shared edge belong to both sides
    enter = np.where(level | (dy > 0), np.float32(-np.inf), at - slack)
    leave = np.where(level | (dy < 0), np.float32(np.inf), at + slack)
    moved = slope.take(owner, axis=1) * line.astype(np.float32)
    return (enter.take(owner, axis=1) + moved).max(0), (leave.take(owner, axis=1) + moved).min(0)


def _affine(x: np.ndarray, y: np.ndarray, cells: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(3, 2, T): column and row at pixel (0, 0), their slopes along x and along y.

    `cells` (2, T) are column and row of the first corner; from there the second lies `step` (T,) columns away, 1 or -1,
    and the third as many rows.
    """
    x, y = x.astype(float), y.astype(float)  # extrapolating to pixel 0 would cost digits
    ab_x, ab_y, ac_x, ac_y = x[1] - x[0], y[1] - y[0], x[2] - x[0], y[2] - y[0]
    inverse = step / (ab_x * ac_y - ab_y * ac_x)
    along_x, along_y = np.stack([ac_y, -ab_y]) * inverse, np.stack([-ac_x, ab_x]) * inverse
    return np.stack([cells - along_x * x[0] - along_y * y[0], along_x, along_y])
