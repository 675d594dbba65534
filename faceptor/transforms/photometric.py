"""Photometric steps as functions of explicit draws, which the policies of `augment` make.

Images are (H, W, 3) float32 RGB in [0, 1], where nothing else is said; no step changes the one that it is given.
"""

from math import ceil, exp, log, sqrt

import cv2
import numpy as np
from numpy.random import Generator

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
EXACT_POWERS = {0.5: np.sqrt, 1.0: np.asarray, 2.0: np.square}
ROWS_AT_ONCE = 16  # of an image, so that what is computed in float64 stays in a core's cache


def unit(image: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [0, 1]; float32 as it is."""
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image


def eight_bits(image: np.ndarray) -> np.ndarray:
    """float in [0, 1], clipped and rounded -> uint8; uint8 as it is."""
    return image if image.dtype == np.uint8 else np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def flip(image: np.ndarray) -> np.ndarray:
    """Mirror left and right; uint8 or float32."""
    return cv2.flip(image, 1)


def gray(image: np.ndarray) -> np.ndarray:
    """The luma 0.299 R + 0.587 G + 0.114 B in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=2)


def gamma(image: np.ndarray, power: float) -> np.ndarray:
    """Clip to [0, 1], then raise to `power`."""
    clipped = np.clip(image, 0, 1)
    if power in EXACT_POWERS:  # the same numbers, five times as fast
        return EXACT_POWERS[power](clipped)
    return clipped ** np.float32(power)


def blur(image: np.ndarray, kernel: int) -> np.ndarray:
    """Mean over `kernel` x `kernel` pixels, the border mirrored without its edge; 0 and 1 do nothing."""
    return cv2.blur(image, (kernel, kernel)) if kernel > 1 else image


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of `sigma` pixels, cut off at four sigma, the border mirrored without its edge; 0 does nothing."""
    if sigma == 0:
        return image
    kernel = 2 * ceil(4 * sigma) + 1
    return cv2.GaussianBlur(image, (kernel, kernel), sigma, borderType=cv2.BORDER_REFLECT_101)


def colour_jitter(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Scale the values by `brightness`, their distance from the mean luma by `contrast`, and from each pixel's own luma
    by `saturation`, in this order, clipped to [0, 1] after each; 1 leaves as it is."""
    image = np.clip(image * np.float32(brightness), 0, 1)
    image = spread(image, np.float32((image @ LUMA).mean()), contrast)
    return spread(image, (image @ LUMA)[..., None], saturation)


def spread(image: np.ndarray, middle: np.ndarray | np.float32, factor: float) -> np.ndarray:
    """Scale the distance of every value from `middle`, clipped to [0, 1]."""
    return np.clip(middle + np.float32(factor) * (image - middle), 0, 1)


def fuse_noise(image: np.ndarray, noise: np.ndarray, alpha: float) -> np.ndarray:
    """Blend with uniform `noise` of the image's shape: image * (1 - alpha) + noise * alpha."""
    blended = np.empty(image.shape, np.float32)
    for top in range(0, len(image), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        blended[rows] = image[rows] * (1 - alpha) + noise[rows] * alpha
    return blended


def occlusion_box(draws: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Rectangle (y0, x0, y1, x1), both ends inclusive, clipped to the image, from four uniform draws.

    The draws are height ratio, width jitter, column and row of the centre; the sides are 0.1 to 0.4 of
    the height and 0 to 0.5 of the width.
    """
    u_height, u_width, u_column, u_row = draws
    ratio_y = 0.2 + 0.6 * u_height
    ratio_x = ratio_y - 0.2 + 0.4 * u_width
    column, row = int((width - 1) * u_column), int((height - 1) * u_row)
    half_y, half_x = int(height / 2 * ratio_y) // 2, int(width / 2 * ratio_x) // 2
    y0, x0 = max(row - half_y, 0), max(column - half_x, 0)
    return y0, x0, min(row + half_y, height - 1), min(column + half_x, width - 1)


def occlude(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Black out the inclusive rectangle (y0, x0, y1, x1)."""
    y0, x0, y1, x1 = box
    image = image.copy()
    image[y0 : y1 + 1, x0 : x1 + 1] = 0
    return image


def erase(image: np.ndarray, top: int, left: int, noise: np.ndarray) -> np.ndarray:
    """Put standard normal `noise` (h, w, 3) there, in units of inputs normalised by mean and std 0.5.

    Not clipped: what the network sees is exactly N(0, 1), so values leave [0, 1].
    """
    image = image.copy()
    image[top : top + noise.shape[0], left : left + noise.shape[1]] = 0.5 + 0.5 * noise
    return image


def erasing_window(rng: Generator, height: int, width: int) -> tuple[int, int, int, int] | None:
    """top, left, height, width of Random Erasing: 0.02 to 1/3 of the area, aspect 0.3 to 1/0.3 log-uniform.

    None if none of ten draws fits inside the image.
    """
    for _ in range(10):
        area = rng.uniform(0.02, 1 / 3) * height * width
        aspect = exp(rng.uniform(log(0.3), -log(0.3)))
        h, w = round(sqrt(area * aspect)), round(sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    return None
