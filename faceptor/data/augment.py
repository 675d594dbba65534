"""Augmentation: photometric steps as functions of explicit draws, and the policies of the paper's tasks.

Images are (H, W, 3) float32 RGB in [0, 1]. A policy draws from the NumPy generator it is handed and from
nothing else, so a sample's augmentation is a function of its generator.

>>> policy = make_policy("landmarks", shift=0.02)
>>> crop = spec.place(size, box=box, jitter=policy.jitter(rng))
>>> mirrored, image = policy.mirror(rng), crop.image(rgb)
>>> image = policy.photometric(flip(image) if mirrored else image, rng)

Labels follow the crop by `Kind.target` and the mirror by `Kind.mirrored`.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from math import exp, inf, log, sqrt
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from faceptor.data.crop import Jitter
from faceptor.errors import ConfigError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
GAMMAS = (0.5, 1.0, 2.0)
RAND_AUGMENT = "rand-m9-mstd0.5-inc1"
# timm itself skips sections that it does not know.
RAND_AUGMENT_PATTERN = r"rand(-((m|n|mmax|inc)\d+|(mstd|p)\d+(\.\d+)?|t(weights|3aw|3a)))*"

# ---------------------------------------------------------------- steps, as functions of their draws


def flip(image: np.ndarray) -> np.ndarray:
    """Mirror left and right."""
    return np.ascontiguousarray(image[:, ::-1])


def gray(image: np.ndarray) -> np.ndarray:
    """The luma 0.299 R + 0.587 G + 0.114 B in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=2)


def gamma(image: np.ndarray, power: float) -> np.ndarray:
    """Clip to [0, 1], then raise to `power`."""
    clipped = np.clip(image, 0, 1)
    return clipped if power == 1 else clipped ** np.float32(power)


def blur(image: np.ndarray, kernel: int) -> np.ndarray:
    """Mean over `kernel` x `kernel` pixels, the border mirrored without its edge; 0 and 1 do nothing."""
    return cv2.blur(image, (kernel, kernel)) if kernel > 1 else image


def fuse_noise(image: np.ndarray, noise: np.ndarray, alpha: float) -> np.ndarray:
    """Blend with uniform `noise` of the image's shape: image * (1 - alpha) + noise * alpha."""
    return (image * (1 - alpha) + noise * alpha).astype(np.float32)


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


# ---------------------------------------------------------------- RandAugment and Random Erasing


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
    """timm's RandAugment on the 8-bit image; `seed` fixes all its choices."""
    operations = _rand_augment_operations(config, min(image.shape[:2]))
    picture = Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
    with seeded_globals(seed):
        picture = operations(picture)
    return np.asarray(picture, np.float32) / np.float32(255)


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


# ---------------------------------------------------------------- policies


def _share(default: float) -> Any:
    return field(default=default, metadata={"range": (0.0, 1.0)})


def _spread(default: float) -> Any:
    return field(default=default, metadata={"range": (0.0, inf)})


def _uniform_jitter(rng: Generator, *, shift: float, rotation: float, zoom: float) -> Jitter:
    """A displacement drawn evenly up to these on either side."""
    x, y = rng.uniform(-shift, shift, size=2).tolist()
    return Jitter(shift=(x, y), rotation=rng.uniform(-rotation, rotation), zoom=rng.uniform(-zoom, zoom))


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What happens to a training sample. This one: nothing."""

    name: ClassVar[str] = "none"
    displaces: ClassVar[bool] = False  # whether `photometric` moves pixels, which labels with a place cannot follow

    def __post_init__(self) -> None:
        for f in fields(self):
            value, bounds = getattr(self, f.name), f.metadata.get("range")
            if bounds is None:
                valid, expected = isinstance(value, str), "text"
            else:
                valid = type(value) in (int, float) and bounds[0] <= value <= bounds[1]
                expected = f"a number from {bounds[0]:g} to {bounds[1]:g}"
            if not valid:
                raise ConfigError(f"augment.{self.name}.{f.name}: expected {expected}, found {value!r}")

    def jitter(self, rng: Generator) -> Jitter | None:
        """The displacement of the crop; None for tasks whose crop stays where it is."""
        return None

    def mirror(self, rng: Generator) -> bool:
        """Whether image and labels are mirrored left and right, after the crop and before the photometric steps."""
        return False

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        """(S, S, 3) float32 in [0, 1] -> the same shape; the input is not changed."""
        return image

    def to_dict(self) -> dict[str, Any]:
        """{"name": ..., numbers}: `make_policy(**policy.to_dict())` gives it back."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Flip(Policy):
    """Identity tasks: mirror with probability `flip`.

    shift, rotation (radians) and zoom, uniform up to these, displace the crop. The papers leave aligned faces in place;
    a model that never saw one a little off then knows nothing else.
    """

    name: ClassVar[str] = "flip"
    flip: float = _share(0.5)
    shift: float = _spread(0.0)
    rotation: float = _spread(0.0)
    zoom: float = _spread(0.0)

    def jitter(self, rng: Generator) -> Jitter | None:
        if not any((self.shift, self.rotation, self.zoom)):
            return None  # without a draw where nothing moves
        return _uniform_jitter(rng, shift=self.shift, rotation=self.rotation, zoom=self.zoom)

    def mirror(self, rng: Generator) -> bool:
        return rng.random() < self.flip


@dataclass(frozen=True, kw_only=True)
class Attributes(Flip):
    """Age, expression, attributes: mirror, RandAugment (`randaugment`, "" = off), Random Erasing by noise."""

    name: ClassVar[str] = "attributes"
    randaugment: str = RAND_AUGMENT
    erasing: float = _share(0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.randaugment and not re.fullmatch(RAND_AUGMENT_PATTERN, self.randaugment):
            found = f"augment.attributes.randaugment: found {self.randaugment!r}"
            raise ConfigError(f'{found}, expected "" or a RandAugment string of timm such as {RAND_AUGMENT}')

    @property
    def displaces(self) -> bool:
        return bool(self.randaugment)  # it also turns, shears and shifts

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        if self.randaugment:
            image = rand_augment(image, self.randaugment, int(rng.integers(2**32)))
        if rng.random() < self.erasing:
            window = erasing_window(rng, *image.shape[:2])
            if window is not None:
                top, left, height, width = window
                image = erase(image, top, left, rng.standard_normal((height, width, 3), np.float32))
        return image


@dataclass(frozen=True, kw_only=True)
class Parsing(Policy):
    """Parsing: shift uniform, rotation (radians) and zoom normal; mirror; gray, gamma, blur.

    `gamma` is the probability of drawing a power from 1/2, 1, 2; `blur` the widest box relative to the side. Faceptor
    does not mirror here (`flip` 0), FaceXFormer does.
    """

    name: ClassVar[str] = "parsing"
    shift: float = _spread(0.01)
    rotation: float = _spread(0.314)
    zoom: float = _spread(0.1)
    gray: float = _share(0.1)
    gamma: float = _share(1.0)
    blur: float = _share(0.01)
    flip: float = _share(0.0)

    def mirror(self, rng: Generator) -> bool:
        return self.flip > 0 and rng.random() < self.flip  # without a draw where nothing is mirrored

    def jitter(self, rng: Generator) -> Jitter:
        x, y = rng.uniform(-self.shift, self.shift, size=2).tolist()
        return Jitter(shift=(x, y), rotation=rng.normal(0, self.rotation), zoom=rng.normal(0, self.zoom))

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        u_gray, u_gamma, u_blur = rng.random(3)
        power = GAMMAS[rng.integers(len(GAMMAS))]
        image = gray(image) if u_gray < self.gray else image
        image = gamma(image, power) if u_gamma < self.gamma else image
        return blur(image, int(sum(image.shape[:2]) / 2 * u_blur * self.blur))


@dataclass(frozen=True, kw_only=True)
class Landmarks(Parsing):
    """Landmarks: shift, rotation (radians), zoom uniform; mirror; occlusion, noise, gray, gamma, blur.

    `noise` is the probability of the noise, `noise_share` its largest share in the image.
    """

    name: ClassVar[str] = "landmarks"
    shift: float = _spread(0.05)
    rotation: float = _spread(0.174)
    zoom: float = _spread(0.1)
    occlusion: float = _share(1.0)
    noise: float = _share(0.5)
    noise_share: float = _share(0.5)

    def jitter(self, rng: Generator) -> Jitter:
        return _uniform_jitter(rng, shift=self.shift, rotation=self.rotation, zoom=self.zoom)

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        draws, u_occlusion, u_noise, u_share = rng.random(4), *rng.random(3)
        if u_occlusion < self.occlusion:
            image = occlude(image, occlusion_box(draws, *image.shape[:2]))
        if u_noise < self.noise:
            image = fuse_noise(image, rng.random(image.shape, np.float32), self.noise_share * u_share)
        return super().photometric(image, rng)


POLICIES: dict[str, type[Policy]] = {p.name: p for p in (Policy, Flip, Attributes, Landmarks, Parsing)}


def make_policy(name: str, **numbers: Any) -> Policy:
    """The policy `name` with some of its numbers replaced; ConfigError for an unknown name or number."""
    if name not in POLICIES:
        raise ConfigError(f"augment.policy: expected one of {', '.join(POLICIES)}, found {name!r}")
    known = [f.name for f in fields(POLICIES[name])]
    unknown = sorted(set(numbers) - set(known))
    if unknown:
        found = f"augment.{name}: unknown number {unknown[0]!r}"
        raise ConfigError(f"{found}; expected {', '.join(known) or 'none'}")
    return POLICIES[name](**numbers)


def jitter(policy: Policy | str, rng: Generator, spec: object = None) -> Jitter | None:
    """`policy.jitter(rng)` for a policy or the name of one; the draw does not depend on the crop."""
    return (make_policy(policy) if isinstance(policy, str) else policy).jitter(rng)


def photometric(policy: Policy | str, image: np.ndarray, rng: Generator) -> np.ndarray:
    """`policy.photometric(image, rng)` for a policy or the name of one."""
    return (make_policy(policy) if isinstance(policy, str) else policy).photometric(image, rng)
