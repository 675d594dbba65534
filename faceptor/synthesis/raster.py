"""Draw the head's mesh: which texel every pixel shows, and how near it is."""

import numpy as np


def _triangles(rows: int, columns: int) -> np.ndarray:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None, :]).ravel()
    first = np.stack([corner, corner + 1, corner + columns], axis=1)
    second = np.stack([corner + columns + 1, corner + columns, corner + 1], axis=1)
    return np.concatenate([first, second])


_CACHE: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}


def rasterise(points: np.ndarray, *, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project a mesh `points` (rows, columns, 3) of pixel x, y and depth onto a picture.

    Returns column and row in mesh cells per pixel (height, width) float32, -1 where the mesh is not seen, and the depth
    buffer (-inf there). Larger depth is nearer. Triangles that face away are not drawn.
    """
    rows, columns = points.shape[:2]
    if (rows, columns) not in _CACHE:
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        _CACHE[rows, columns] = _triangles(rows, columns), cells.astype(np.float32)
    triangles, cells = _CACHE[rows, columns]
    flat = points.reshape(-1, 3).astype(np.float32)
    a, b, c = (flat[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2]
    high = np.maximum(np.maximum(a, b), c)[:, :2]
    keep = (area > 1e-6) & (high[:, 0] >= 0) & (high[:, 1] >= 0) & (low[:, 0] < width) & (low[:, 1] < height)
    index = np.flatnonzero(keep)
    index = index[np.argsort(a[index, 2] + b[index, 2] + c[index, 2], kind="stable")]
    a, b, c, area, low, high, triangles = (t[index] for t in (a, b, c, area, low, high, triangles))
    values = [np.concatenate([cells[triangles[:, i]], p[:, 2:]], axis=1) for i, p in enumerate((a, b, c))]
    # Every value is affine on a triangle: value = base + x * along_x + y * along_y, relative to corner a.
    ab, ac = (b - a)[:, :2], (c - a)[:, :2]
    inverse = 1.0 / area
    du, dv = values[1] - values[0], values[2] - values[0]
    along_x = (du * ac[:, 1:2] - dv * ab[:, 1:2]) * inverse[:, None]
    along_y = (dv * ab[:, 0:1] - du * ac[:, 0:1]) * inverse[:, None]
    out = np.full((height * width, 3), -1.0, np.float32)
    out[:, 2] = -np.inf
    first = np.ceil(low).astype(np.int32)
    extent = np.maximum(0, np.floor(high).astype(np.int32) - first + 1).max(axis=1, initial=0)
    lower = 0
    for size in (4, 8, 16, 32, 64, 256, 1024):
        chosen = np.flatnonzero((extent > lower) & (extent <= size))
        lower = size
        if len(chosen):
            _fill(out, chosen, min(size, int(extent[chosen].max())), first, a, ab, ac, inverse, values[0], along_x, along_y,
                  height, width)
    shaped = out.reshape(height, width, 3)
    return shaped[..., 0], shaped[..., 1], shaped[..., 2]


def _fill(out, chosen, size, first, a, ab, ac, inverse, base, along_x, along_y, height, width) -> None:
    step = np.arange(size, dtype=np.float32)
    px = (first[chosen, 0] - a[chosen, 0])[:, None] + step        # (T, size), relative to corner a
    py = (first[chosen, 1] - a[chosen, 1])[:, None] + step
    scale = inverse[chosen][:, None]
    # Barycentric weights split into a part of x and a part of y, so the (T, size, size) work is one addition each.
    w1 = (-py * ac[chosen, 0:1] * scale)[:, :, None] + (px * ac[chosen, 1:2] * scale)[:, None, :]
    w2 = (py * ab[chosen, 0:1] * scale)[:, :, None] - (px * ab[chosen, 1:2] * scale)[:, None, :]
    eps = -1e-4
    inside = (w1 >= eps) & (w2 >= eps) & (w1 + w2 <= 1 - eps)
    t, dy, dx = np.nonzero(inside)
    triangle = chosen[t]
    x, y = first[triangle, 0] + dx, first[triangle, 1] + dy
    within = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if not within.all():
        t, dy, dx, x, y, triangle = (q[within] for q in (t, dy, dx, x, y, triangle))
    rx, ry = px[t, dx][:, None], py[t, dy][:, None]
    value = base[triangle] + rx * along_x[triangle] + ry * along_y[triangle]
    pixel = y * width + x
    nearer = value[:, 2] > out[pixel, 2]
    # Triangles come far to near and the last write wins: the painter's order settles ties inside one size class.
    out[pixel[nearer]] = value[nearer]
