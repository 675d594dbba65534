"""Augmentation: the policies of the papers' tasks, which draw the steps of `photometric` and their strengths.

Images are (H, W, 3) RGB, float32 in [0, 1] or uint8. A policy draws from the NumPy generator it is handed and from
nothing else, so a sample's augmentation is a function of its generator.

>>> policy = make_policy("landmarks", shift=0.02)
>>> crop = spec.place(size, box=box, jitter=policy.jitter(rng))
>>> mirrored, image = policy.mirror(rng), crop.pixels(rgb)
>>> image = policy.photometric(flip(image) if mirrored else image, rng)

Labels follow the crop by `Kind.target` and the mirror by `Kind.mirrored`.
"""

import re
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf, sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from faceptor.errors import ConfigError
from faceptor.transforms.crop import Jitter
from faceptor.transforms.photometric import (
    blur,
    colour_jitter,
    erase,
    erasing_window,
    fuse_noise,
    gamma,
    gaussian_blur,
    gray,
    occlude,
    occlusion_box,
    unit,
)
from faceptor.transforms.rand_augment import RAND_AUGMENT, RAND_AUGMENT_PATTERN, rand_augment

GAMMAS = (0.5, 1.0, 2.0)

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
    rounds: ClassVar[bool] = False  # whether `photometric` rounds to 8 bits, before anything else is done

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
        """(S, S, 3) float32 in [0, 1], or uint8 -> the same shape, uint8 where 8 bits hold what was done to uint8; the
        input is not changed."""
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

    @property
    def rounds(self) -> bool:
        return bool(self.randaugment)

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        if self.randaugment:
            image = rand_augment(image, self.randaugment, int(rng.integers(2**32)))
        if rng.random() < self.erasing:
            window = erasing_window(rng, *image.shape[:2])
            if window is not None:
                top, left, height, width = window
                image = erase(unit(image), top, left, rng.standard_normal((height, width, 3), np.float32))
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
        image, (u_gray, u_gamma, u_blur) = unit(image), rng.random(3)
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
        image, draws, u_occlusion, u_noise, u_share = unit(image), rng.random(4), *rng.random(3)
        if u_occlusion < self.occlusion:
            image = occlude(image, occlusion_box(draws, *image.shape[:2]))
        if u_noise < self.noise:
            image = fuse_noise(image, rng.random(image.shape, np.float32), self.noise_share * u_share)
        return super().photometric(image, rng)


@dataclass(frozen=True, kw_only=True)
class FaceXFormer(Policy):
    """FaceXFormer (sections 4.2 and F): each step happens with the probability that the paper prints, and then changes
    the picture: occlusion, gray, gamma, Gaussian blur, colour jitter, after the mirror and a displacement of the crop.

    The defaults are those of age, gender and race. shift, rotation (radians) and zoom are drawn evenly up to these.
    `crop` is the least share of the crop's area that is seen, a random square inside of it (1 = all). How strong a step
    is the paper does not say: gamma's power is log-uniform from 1 / `gamma_power` to `gamma_power`; the blur's sigma is
    a quarter to the whole of `blur_sigma`, a share of the side (2 pixels of 224); colours change by factors within
    1 +- `colour_strength`; the occlusion is the box of the policy landmarks.
    """

    name: ClassVar[str] = "facexformer"
    shift: float = _spread(0.01)
    rotation: float = _spread(0.314)
    zoom: float = _spread(0.1)
    crop: float = field(default=1.0, metadata={"range": (0.05, 1.0)})
    flip: float = _share(0.5)
    occlusion: float = _share(0.0)
    gray: float = _share(0.1)
    gamma: float = _share(0.1)
    gamma_power: float = field(default=2.0, metadata={"range": (1.0, 10.0)})
    blur: float = _share(0.1)
    blur_sigma: float = _share(2 / 224)
    colour: float = _share(0.0)
    colour_strength: float = _share(0.2)

    def mirror(self, rng: Generator) -> bool:
        return rng.random() < self.flip

    def jitter(self, rng: Generator) -> Jitter:
        moved = _uniform_jitter(rng, shift=self.shift, rotation=self.rotation, zoom=self.zoom)
        magnify = 1 / sqrt(rng.uniform(self.crop, 1))
        x, y = rng.uniform(-1, 1, size=2) * (magnify - 1) / 2  # as far as the square stays inside
        return replace(moved, shift=(moved.shift[0] + float(x), moved.shift[1] + float(y)), magnify=magnify)

    def photometric(self, image: np.ndarray, rng: Generator) -> np.ndarray:
        image, (u_occlusion, u_gray, u_gamma, u_blur, u_colour) = unit(image), rng.random(5)
        draws, power, colours = rng.random(4), rng.uniform(-1, 1), rng.uniform(-1, 1, size=3)
        sigma = rng.uniform(self.blur_sigma / 4, self.blur_sigma) * sum(image.shape[:2]) / 2
        if u_occlusion < self.occlusion:
            image = occlude(image, occlusion_box(draws, *image.shape[:2]))
        if u_gray < self.gray:
            image = gray(image)
        if u_gamma < self.gamma:
            image = gamma(image, self.gamma_power**power)
        if u_blur < self.blur:
            image = gaussian_blur(image, sigma)
        if u_colour < self.colour:
            image = colour_jitter(image, *(1 + self.colour_strength * colours))
        return image


POLICIES: dict[str, type[Policy]] = {p.name: p for p in (Policy, Flip, Attributes, Landmarks, Parsing, FaceXFormer)}


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
