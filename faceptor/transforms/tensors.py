"""From arrays to tensors."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

FLOAT_IMAGE, FLOAT_ROWS = "float_image", "float_rows"  # of a batch in which only some images are 8-bit


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """(S, S, 3) uint8, or float in [0, 1] -> (3, S, S) float32 tensor."""
    kept = np.uint8 if image.dtype == np.uint8 else np.float32
    return unit_tensor(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=kept)))


def unit_tensor(images: torch.Tensor) -> torch.Tensor:
    """uint8 of any shape -> float32 in [0, 1]; float32 as it is. The same numbers as NumPy's division."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def stacked_images(images: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """(S, S, 3) each, uint8 or float32 -> the parts of a batch that hold them, from which `unit_images` makes floats.

    "image" (n, 3, S, S), uint8 where any of them is; float32 ones among those are in "float_image" (k, 3, S, S), and
    their places in "float_rows" (k,).
    """
    rows = [row for row, image in enumerate(images) if image.dtype != np.uint8]
    if len(rows) in (0, len(images)):
        return {"image": _stack(images, np.float32 if rows else np.uint8)}
    bytes_only = [np.zeros_like(image, np.uint8) if image.dtype != np.uint8 else image for image in images]
    floats = _stack([images[row] for row in rows], np.float32)
    return {"image": _stack(bytes_only, np.uint8), FLOAT_IMAGE: floats, FLOAT_ROWS: torch.tensor(rows)}


def unit_images(parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parts of a batch with "image" (n, 3, S, S) float32 in [0, 1] in the place of what `stacked_images` made."""
    found = {name: value for name, value in parts.items() if name not in (FLOAT_IMAGE, FLOAT_ROWS)}
    found["image"] = unit_tensor(found["image"])
    if FLOAT_IMAGE in parts:
        found["image"].index_copy_(0, parts[FLOAT_ROWS], parts[FLOAT_IMAGE])
    return found


def _stack(images: Sequence[np.ndarray], dtype: type) -> torch.Tensor:
    height, width, channels = images[0].shape
    stacked = np.empty((len(images), channels, height, width), dtype)
    for place, image in zip(stacked, images, strict=True):
        place[...] = image.transpose(2, 0, 1)
    return torch.from_numpy(stacked)
