"""Crop matrices, the tanh warp, sampling maps and resampling.

Frames: a point is (x, y) in float pixels, pixel centres are integers, the first pixel is (0, 0). A matrix is
3 x 3, float64, and takes a point of the original image to a point of the S x S crop, before the warp. Images
are H x W x C.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

import cv2
import numpy as np

from faceptor.datasets.labels import alignment_template
from faceptor.errors import DataError

# Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
# FaRL's as fractions of (side - 1), ArcFace's as pixels of a 112 x 112 crop.
FARL_TEMPLATE = alignment_template("farl_512x512_before_scaling") / 512
ARCFACE_TEMPLATE = alignment_template("arcface_112x112")
ATANH_LIMIT = 0.999  # the unwarp has a pole at 1; the reference stops here
OPENCV_CHANNELS = 4  # that it samples in little more than the time of one
BAND_PIXELS = 1 << 19  # of an image in the making, which bounds the memory for it
OPENCV_MAX_SIDE = 32766  # remap and warpAffine count pixels in 16 bits


# ---------------------------------------------------------------------------------------------- matrices


def box_matrix(box: np.ndarray, size: int, align_corners: bool = False) -> np.ndarray:
    """Matrix that stretches `box` (x1, y1, x2, y2), taken as edge coordinates, over a `size` x `size` crop.

    The edges land on -0.5 and size - 0.5 (half-pixel mode) or on 0 and size - 1 (`align_corners`). Each axis
    has its own scale, so a box that is not square is stretched. Raises DataError for a box without area.
    """
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    if not np.isfinite([x1, y1, x2, y2]).all() or x2 <= x1 or y2 <= y1:
        found = f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        raise DataError(f"box: expected finite x1 < x2 and y1 < y2, found {found}; correct the label")
    span, offset = (size - 1, 0.0) if align_corners else (size, 0.5)
    ax, ay = span / (x2 - x1), span / (y2 - y1)
    return np.array([[ax, 0, -ax * x1 - offset], [0, ay, -ay * y1 - offset], [0, 0, 1]])


def rotation(radians: float) -> np.ndarray:
    """(2, 2): points turned about the origin from x towards y, which in a picture is clockwise as seen."""
    cosine, sine = np.cos(radians), np.sin(radians)
    return np.array([[cosine, -sine], [sine, cosine]])


def centre_matrix(
    size: int, scale: float = 1.0, turn: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Scale a crop and turn it about its centre (size - 1) / 2, then move it by `shift` pixels.

    The turn is in radians from x towards y. Multiply the result from the left onto a crop matrix.
    """
    c = (size - 1) / 2
    a, b = scale * rotation(turn)[:, 0]
    return np.array([[a, -b, c - a * c + b * c + shift[0]], [b, a, c - b * c - a * c + shift[1]], [0, 0, 1]])


def similarity_matrix(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity without reflection that takes `points` (K, 2) onto `target` (K, 2).

    In the complex plane it is z -> a z + b, whose least-squares solution is closed: Umeyama's method in 2-D.
    Raises DataError if the points are not finite or all coincide.
    """
    z, w = (np.asarray(p, np.float64) @ [1, 1j] for p in (points, target))
    zc = z - z.mean()
    spread = (np.abs(zc) ** 2).sum()
    if not np.isfinite(spread) or spread < 1e-9:
        found = np.asarray(points).tolist()
        raise DataError(f"points5: expected distinct finite points, found {found}; correct the label")
    a = (zc.conj() * (w - w.mean())).sum() / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])


def farl_points(size: int) -> np.ndarray:
    """The five canonical points (5, 2) of the aligned face in a crop of `size` pixels, used for LaPa."""
    return FARL_TEMPLATE * (size - 1)


def arcface_points(size: int) -> np.ndarray:
    """The five canonical points (5, 2) of a face-recognition crop of `size` pixels.

    Multiples of 128 leave a margin of 8/128 left and right, every other size scales the 112-pixel template.
    """
    if size % 128 == 0:
        return (ARCFACE_TEMPLATE + np.array([8, 0])) * (size / 128)
    return ARCFACE_TEMPLATE * (size / 112)


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply an affine 3 x 3 matrix to points (..., 2); float64."""
    return np.asarray(points, np.float64) @ matrix[:2, :2].T + matrix[:2, 2]


# ---------------------------------------------------------------------------------------------- tanh warp


def warp(x: np.ndarray, size: int, factor: float) -> np.ndarray:
    """Squeeze crop coordinates of one axis (pixels) so that the whole line fits into 0 .. size.

    u = 2x/size - 1 stays as it is for |u| <= 1 - factor and approaches 1 as a tanh beyond.
    """
    x = np.asarray(x, np.float64)
    if factor == 0:
        return x
    u = 2 * x / size - 1
    beyond = np.maximum(np.abs(u) - (1 - factor), 0)
    return (np.sign(u) * (np.abs(u) - beyond + factor * np.tanh(beyond / factor)) + 1) * size / 2


def unwarp(x: np.ndarray, size: int, factor: float) -> np.ndarray:
    """Inverse of `warp`; the argument of the inverse tanh is limited to 0.999."""
    x = np.asarray(x, np.float64)
    if factor == 0:
        return x
    u = 2 * x / size - 1
    beyond = np.maximum(np.abs(u) - (1 - factor), 0)
    inner = np.arctanh(np.minimum(beyond / factor, ATANH_LIMIT))
    return (np.sign(u) * (np.abs(u) - beyond + factor * inner) + 1) * size / 2


def forward_points(points: np.ndarray, matrix: np.ndarray, size: int, factor: float = 0.0) -> np.ndarray:
    """Points (..., 2) of the original image -> pixels of the crop: matrix, then warp."""
    return warp(transform(points, matrix), size, factor)


def inverse_points(points: np.ndarray, matrix: np.ndarray, size: int, factor: float = 0.0) -> np.ndarray:
    """Points (..., 2) of the crop -> pixels of the original image: unwarp, then the inverse matrix."""
    return transform(unwarp(points, size, factor), np.linalg.inv(matrix))


# ---------------------------------------------------------------------------------------------- sampling


@lru_cache(maxsize=64)
def _crop_axis(size: int, factor: float) -> np.ndarray:
    return unwarp(np.arange(size), size, factor)


def sampling_map(matrix: np.ndarray, size: int, factor: float = 0.0) -> np.ndarray:
    """For every pixel of the crop its source (x, y) in the original image: (size, size, 2) float32."""
    inverse = np.linalg.inv(matrix)
    axis = _crop_axis(size, factor)  # the warp acts per axis: unwarp S coordinates, not S x S
    out = np.empty((size, size, 2), np.float32)
    for k in range(2):
        out[..., k] = (inverse[k, 0] * axis + inverse[k, 2])[None, :] + (inverse[k, 1] * axis)[:, None]
    return out


def inverse_map(
    matrix: np.ndarray, size: int, factor: float, image_size: tuple[int, int], window: tuple[slice, slice] | None = None
) -> np.ndarray:
    """For every pixel of the (H, W) original image its (x, y) in the warped crop: (H, W, 2) float32. window: the rows
    and columns that are wanted, instead of all."""
    height, width = image_size
    rows, columns = window or (slice(None), slice(None))
    x, y = np.arange(width, dtype=np.float64)[columns], np.arange(height, dtype=np.float64)[rows]
    out = np.empty((len(y), len(x), 2), np.float32)
    for k in range(2):
        plane = (matrix[k, 0] * x + matrix[k, 2])[None, :] + (matrix[k, 1] * y)[:, None]
        out[..., k] = warp(plane, size, factor)
    return out


def _within_opencv(image: np.ndarray, nearest: bool) -> tuple[np.ndarray, np.ndarray]:
    """The image with no side beyond what OpenCV samples from, and the factors (x, y) by which it was shrunk."""
    height, width = image.shape[:2]
    target = min(width, OPENCV_MAX_SIDE), min(height, OPENCV_MAX_SIDE)
    if target == (width, height):
        return np.ascontiguousarray(image), np.ones(2)
    flag = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(image), target, interpolation=flag), np.divide(target, (width, height))


def sample(image: np.ndarray, where: np.ndarray, nearest: bool = False) -> np.ndarray:
    """`image` (H, W) or (H, W, up to 4) at positions `where` (h, w, 2), bilinear or nearest; outside is 0.

    OpenCV 5 computes the bilinear weights in float; OpenCV 4 rounds positions to 1/32 pixel.
    """
    for axis in (0, 1):
        if where.shape[axis] > OPENCV_MAX_SIDE:
            parts = np.array_split(where, -(-where.shape[axis] // OPENCV_MAX_SIDE), axis)
            return np.concatenate([sample(image, part, nearest) for part in parts], axis)
    flag = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    image, factors = _within_opencv(image, nearest)
    if (factors != 1).any():
        where = ((where + 0.5) * factors - 0.5).astype(np.float32)
    where = np.ascontiguousarray(where)
    return cv2.remap(image, where, None, flag, borderMode=cv2.BORDER_CONSTANT, borderValue=0)  # pyright: ignore


def sample_planes(planes: Iterable[np.ndarray], where: np.ndarray) -> Iterator[np.ndarray]:
    """`sample` of single-channel images (H, W) of one size, one by one, bilinear: the same numbers, sooner."""
    planes = iter(planes)
    while some := list(islice(planes, OPENCV_CHANNELS)):
        # Filled up, because OpenCV rounds positions where it samples two channels.
        together = np.stack(some + some[:1] * (OPENCV_CHANNELS - len(some)), axis=-1)
        yield from cv2.split(sample(together, where))[: len(some)]


def bands(window: tuple[slice, slice]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of an image, some rows at a time."""
    rows, columns = window
    step = max(1, BAND_PIXELS // (columns.stop - columns.start))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop)), columns


def sample_affine(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Bilinear `sample` through an affine matrix (original -> crop) without a map: (size, size, ...)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image, (fx, fy) = _within_opencv(image, nearest=False)
    shrink = np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]])
    inverse = (shrink @ np.linalg.inv(matrix))[:2]
    border = cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, inverse, (size, size), flags=flags, borderMode=border, borderValue=0)
