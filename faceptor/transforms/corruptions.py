"""What may happen to a picture on its way to a network: blur, occlusion, noise, low resolution, JPEG, light, contrast.

Pure functions of a crop, (S, S, 3) float32 RGB in [0, 1], and a strength; the crop that comes in is not changed.
Lengths are shares of the crop's side, so that one strength means the same at every size of input. What is drawn
(places, noise) comes from a generator that the caller seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.random import Generator

from faceptor.errors import ConfigError
from faceptor.transforms.crop import CropSpec, Jitter, PlacedCrop
from faceptor.transforms.photometric import LUMA, gaussian_blur, spread, unit

OCCLUDER = 0.5  # grey of what lies over a face


def blur(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Gaussian blur; strength: sigma in sides of the crop."""
    return gaussian_blur(image, strength * len(image))


def occlude(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """A grey square over part of the crop, wholly inside; strength: its share of the area."""
    side = len(image)
    edge = min(round(side * strength**0.5), side)
    top, left = np.floor(rng.random(2) * (side - edge + 1)).astype(int)
    image = image.copy()
    image[top : top + edge, left : left + edge] = OCCLUDER
    return image


def add_noise(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Normal noise in every channel, clipped; strength: its standard deviation, 1 = from black to white."""
    return np.clip(image + np.float32(strength) * rng.standard_normal(image.shape, np.float32), 0, 1)


def coarsen(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Fewer pixels: reduced by area, enlarged again bilinearly; strength: pixels across the crop."""
    pixels = max(1, min(round(strength), len(image)))
    small = cv2.resize(image, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return np.clip(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), 0, 1)


def compress(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Written as JPEG and read again; strength: the quality, 1 to 100."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, round(strength)]
    written = cv2.imencode(".jpg", np.rint(255 * image[..., ::-1]).astype(np.uint8), flags)[1]
    read = np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(read, np.float32) / np.float32(255)


def relight(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Darker (below 1) or brighter (above), clipped; strength: the factor on all values."""
    return np.clip(image * np.float32(strength), 0, 1)


def flatten(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """Less contrast: every value nearer to the crop's mean luma; strength: the share of the contrast that is left."""
    return spread(image, np.float32((image @ LUMA).mean()), strength)


def keep(image: np.ndarray, strength: float, rng: Generator) -> np.ndarray:
    """The crop as it is."""
    return image


@dataclass(frozen=True)
class Corruption:
    """One way to spoil a picture.

    unit: what a strength is, for axes. form: of one strength, for people. clean: the strength that changes nothing;
    None where that is no number of the same sort. low, high: strengths that mean something. turns: strength is an
    angle in degrees by which the crop is turned, to either side, before anything is done to its pixels.
    """

    apply: Callable[[np.ndarray, float, Generator], np.ndarray]
    unit: str
    form: str
    low: float
    high: float
    clean: float | None = 0.0
    turns: bool = False


CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": Corruption(blur, "sigma, share of the side", "{:.0%}", 0, 1),
    "occlusion": Corruption(occlude, "share of the area", "{:.0%}", 0, 1),
    "noise": Corruption(add_noise, "deviation, share of the range", "{:.0%}", 0, 10),
    "resolution": Corruption(coarsen, "pixels across the crop", "{:.0f}", 1, 4096, clean=None),
    "jpeg": Corruption(compress, "quality of the JPEG", "{:.0f}", 1, 100, clean=None),
    "light": Corruption(relight, "factor on the values", "{:g}", 0, 100, clean=1.0),
    "contrast": Corruption(flatten, "share of the contrast left", "{:.0%}", 0, 1, clean=1.0),
    "turn": Corruption(keep, "degrees, in the picture's plane", "{:.0f}°", 0, 180, turns=True),
}


def corruption(name: str, strength: float) -> Corruption:
    """By name; ConfigError for an unknown one, or for a strength that means nothing."""
    if name not in CORRUPTIONS:
        raise ConfigError(f"corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}")
    found = CORRUPTIONS[name]
    if isinstance(strength, bool) or not found.low <= strength <= found.high:
        raise ConfigError(f"{name}: expected {found.unit} from {found.low:g} to {found.high:g}, found {strength!r}")
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class CorruptedCrop(PlacedCrop):
    """A placed crop whose pixels are spoilt after they were cut; points and masks stay where they are."""

    spoil: Callable[[np.ndarray], np.ndarray]

    def pixels(self, rgb: np.ndarray) -> np.ndarray:
        return self.spoil(unit(super().pixels(rgb)))


@dataclass(frozen=True)
class Corrupted:
    """A crop spec whose crops are all spoilt in one way; stands where a CropSpec does.

    What is drawn depends on the sample's key alone, so a face has its occluder, its noise and its turn at the same
    place, in the same pattern and to the same side for every task and model, and at every strength.
    """

    spec: CropSpec
    name: str
    strength: float

    def place_sample(self, sample: Mapping[str, Any]) -> CorruptedCrop:
        how = corruption(self.name, self.strength)
        seed = crc32(f"{self.name} {sample.get('key')}".encode())
        side = 1 if seed % 2 else -1
        jitter = Jitter(rotation=side * np.deg2rad(self.strength)) if how.turns else None
        placed = self.spec.place_sample(sample, jitter=jitter)
        return CorruptedCrop(
            **vars(placed), spoil=lambda image: how.apply(image, self.strength, np.random.default_rng(seed))
        )
