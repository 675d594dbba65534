"""timm's RandAugment as a function of one seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from faceptor.transforms.photometric import eight_bits, unit

RAND_AUGMENT = "rand-m9-mstd0.5-inc1"
# timm itself skips sections that it does not know.
RAND_AUGMENT_PATTERN = r"rand(-((m|n|mmax|inc)\d+|(mstd|p)\d+(\.\d+)?|t(weights|3aw|3a)))*"


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the global states of `random` and `numpy.random` for code that knows no other; restore them."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@lru_cache(maxsize=8)
def _rand_augment_operations(config: str, size: int) -> Any:
    # Imported here: only this policy pays for timm, and torchvision must be made importable first.
    from faceptor._compat import ensure_torchvision

    ensure_torchvision()
    from timm.data import auto_augment

    options = {
        "translate_const": int(size * 0.45),
        "img_mean": (128, 128, 128),  # what turning and shearing leave empty; mean 0.5 of these inputs
        "interpolation": Image.Resampling.BICUBIC,
    }
    transform = auto_augment.rand_augment_transform(config, options)
    for operation in transform.ops:
        if operation.aug_fn is auto_augment.posterize:
            operation.aug_fn = posterize
    return transform


def posterize(picture: Image.Image, bits: int, **_: Any) -> Image.Image:
    """Keep the `bits` highest bits of every channel; with none left the picture is black.

    RandAugment's strongest posterize keeps 0 bits. Pillow answered black until it refused fewer than 1.
    """
    if bits >= 8:
        return picture
    return ImageOps.posterize(picture, bits) if bits > 0 else Image.new(picture.mode, picture.size)


def rand_augment(image: np.ndarray, config: str, seed: int) -> np.ndarray:
    """timm's RandAugment on the 8-bit image, uint8 or float32 in [0, 1] that is rounded; the result has the same type.
    `seed` fixes all its choices."""
    operations = _rand_augment_operations(config, min(image.shape[:2]))
    picture = Image.fromarray(eight_bits(image))
    with seeded_globals(seed):
        picture = operations(picture)
    return np.asarray(picture) if image.dtype == np.uint8 else unit(np.asarray(picture))
