"""The crop a network sees: its place in the image, the way there and back for pixels, masks, points, logits.

>>> spec = CropSpec(kind="box", size=512, scale=0.8)
>>> crop = spec.place((300, 260), box=box)
>>> crop.image(rgb), crop.points(landmarks), crop.points_back(predicted)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Annotated, Any

import cv2
import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from faceptor.config import Crop
from faceptor.config.sections import Count, all_explained
from faceptor.errors import ConfigError, DataError
from faceptor.transforms import geometry
from faceptor.transforms.photometric import unit


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """One displacement of a crop about its centre.

    shift (x, y) in fractions of the crop's side, rotation in radians from x towards y, zoom added to the
    spec's scale (the released code draws the scale around mu by +- 0.1, whatever mu is), magnify a factor of the two.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    zoom: float = 0.0
    magnify: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Pillow's antialiased resize of the window (x, y, width, height) of an image; its edges may lie within pixels."""

    window: tuple[float, float, float, float]
    filter: Image.Resampling

    def matrix(self, size: int) -> np.ndarray:
        x, y, width, height = self.window
        return geometry.box_matrix(np.array([x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]), size)

    def __call__(self, image: np.ndarray, size: int) -> np.ndarray:
        """(H, W, 3) -> (size, size, 3) of the same type, uint8 or float32; uint8 is rounded to 8 bits."""
        x, y, width, height = self.window
        part, box = image, (x, y, x + width, y + height)
        if all(float(edge).is_integer() for edge in box):
            x0, y0, x1, y1 = map(int, box)
            part, box = image[y0:y1, x0:x1], None
            if part.shape[:2] == (size, size):
                return part
        if part.dtype == np.uint8:
            return np.asarray(Image.fromarray(part).resize((size, size), self.filter, box))
        planes = [Image.fromarray(part[..., c]).resize((size, size), self.filter, box) for c in range(3)]
        return np.stack([np.asarray(p) for p in planes], axis=-1)


Labels = np.ndarray | None
Placement = tuple[np.ndarray, Resize | None]


def _place_box(size: int, image_size: tuple[int, int], box: Labels, points5: Labels) -> Placement:
    if box is None:
        raise DataError("crop kind 'box': the sample has no box; give one or choose kind 'whole'")
    return geometry.box_matrix(box, size), None


def _place_points(template: Callable[[int], np.ndarray]) -> Callable[..., Placement]:
    def place(size: int, image_size: tuple[int, int], box: Labels, points5: Labels) -> Placement:
        if points5 is None or np.shape(points5) != (5, 2):
            found = "none" if points5 is None else f"shape {np.shape(points5)}"
            raise DataError(f"aligned crop: expected points5 of shape (5, 2), found {found}; use kind 'box'")
        return geometry.similarity_matrix(points5, template(size)), None

    return place


def _place_whole(size: int, image_size: tuple[int, int], box: Labels, points5: Labels) -> Placement:
    height, width = image_size
    resize = Resize(window=(0, 0, width, height), filter=Image.Resampling.BILINEAR)
    return resize.matrix(size), resize


def _place_square(size: int, image_size: tuple[int, int], box: Labels, points5: Labels) -> Placement:
    height, width = image_size
    side = min(height, width)
    window = ((width - side) // 2, (height - side) // 2, side, side)
    resize = Resize(window=window, filter=Image.Resampling.BICUBIC)
    return resize.matrix(size), resize


PLACEMENTS: dict[str, Callable[..., Placement]] = {
    "box": _place_box,  # landmarks
    "align5": _place_points(geometry.farl_points),  # LaPa
    "arcface": _place_points(geometry.arcface_points),  # recognition from raw photographs
    "whole": _place_whole,  # test images of attributes, age and expression; CelebAMask-HQ
    "square": _place_square,  # training images of attributes, age and expression
}


LARGEST_SIDE = 4096  # pixels
SPARE_PIXELS = 1.5  # of a picture of reduced size at every pixel of its crop, so that the crop's own filter has a say


class CropSpec(Crop):
    """How crops of one task are cut: the crop of params.yaml and the side of the network's input in pixels."""

    size: Annotated[Count, Field(ge=2, le=LARGEST_SIDE)] = 512

    def to_dict(self) -> dict:
        """Plain values, fit for JSON; `CropSpec.from_dict` is the inverse."""
        return {key: getattr(self, key) for key in ("kind", "size", "scale", "warp", "antialias")}

    @classmethod
    def from_dict(cls, values: dict) -> "CropSpec":
        """Raises ConfigError naming every key that is none, and every value that cannot be."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(all_explained(error, root=cls, origin="crop")) from None

    def place(
        self,
        sample_size: tuple[int, int],
        box: np.ndarray | None = None,
        points5: np.ndarray | None = None,
        jitter: Jitter | None = None,
    ) -> "PlacedCrop":
        """The crop of one image of `sample_size` (height, width).

        box: (x1, y1, x2, y2), points5: (5, 2), both in pixels of the original image. The jitter acts about
        the crop's own centre. Raises DataError if what the kind needs is missing or degenerate.
        """
        height, width = (int(n) for n in sample_size)
        if height < 1 or width < 1:
            raise DataError(f"image: expected at least 1 x 1 pixels, found {height} x {width}; remove it")
        matrix, resize = PLACEMENTS[self.kind](self.size, (height, width), box, points5)
        j = jitter or Jitter()
        scale = max(self.scale + j.zoom, 0.1 * self.scale)  # wide normal draws must not turn it inside out
        scale *= j.magnify
        shift = (j.shift[0] * self.size, j.shift[1] * self.size)
        matrix = geometry.centre_matrix(self.size, scale, j.rotation, shift) @ matrix
        return PlacedCrop(
            matrix=matrix,
            size=self.size,
            warp=float(self.warp),
            image_size=(height, width),
            resize=resize,
            antialias=self.antialias,
        )

    def place_sample(self, sample: Mapping[str, Any], jitter: Jitter | None = None) -> "PlacedCrop":
        """The crop of a sample of a prepared split."""
        return self.place(sample["size"], box=sample.get("box"), points5=sample.get("points5"), jitter=jitter)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedCrop:
    """A placed crop. matrix (3, 3): original pixels -> crop pixels before the warp; image_size: (H, W)."""

    matrix: np.ndarray
    size: int
    warp: float
    image_size: tuple[int, int]
    resize: Resize | None = None
    antialias: bool = False

    def image(self, rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8, or float in [0, 1] -> (S, S, 3) float32 in [0, 1]; bilinear, black outside."""
        return unit(self.pixels(rgb))

    def pixels(self, rgb: np.ndarray) -> np.ndarray:
        """As `image`, but uint8 where 8 bits hold every pixel of the crop: a resized picture that nothing displaces."""
        rgb = np.asarray(rgb)
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.shape[:2] != self.image_size:
            expected = (*self.image_size, 3)
            raise DataError(f"image: expected shape {expected}, found {rgb.shape}; decode it as RGB")
        if rgb.dtype != np.uint8:
            rgb = rgb.astype(np.float32, copy=False)
        if self.resize is None:
            return self._shrink_and_sample(rgb)
        # Resized first and displaced second, as the reference does: so small crops never alias.
        image = self.resize(rgb, self.size)
        rest = self.matrix @ np.linalg.inv(self.resize.matrix(self.size))
        if self.warp == 0 and np.abs(rest - np.eye(3)).max() < 1e-6:
            return image
        return self._sample(unit(image), rest)

    def on(self, size: tuple[int, int]) -> "PlacedCrop":
        """The same crop of the same picture decoded to (H, W) pixels, each of which stands for k x k of its own; beyond
        the picture's rim, too, where k does not divide it."""
        k = round(self.image_size[0] / size[0])
        if k == 1:
            return self
        fewer = np.array([[k, 0, (k - 1) / 2], [0, k, (k - 1) / 2], [0, 0, 1]])
        resize = self.resize and replace(self.resize, window=tuple(edge / k for edge in self.resize.window))
        return replace(self, matrix=self.matrix @ fewer, image_size=size, resize=resize)

    def spare(self) -> int:
        """By how much the sides of the picture may shrink (8, 4, 2, 1) for SPARE_PIXELS of it at every pixel of the
        crop; not at all where the crop does not smooth, as fewer pixels do."""
        smooth = self.resize is not None or self.antialias
        pace = 1 / np.hypot(*self.matrix[:2, :2]).max() if smooth else 0.0
        return next((k for k in (8, 4, 2) if pace >= k * SPARE_PIXELS), 1)

    def mask(self, label: np.ndarray) -> np.ndarray:
        """(H, W) uint8 class map -> (S, S) uint8, nearest pixel, 0 outside.

        A map of another resolution than its image (CelebAMask-HQ: 512 for 1024) covers the same area.
        """
        label = np.asarray(label)
        if label.ndim != 2 or label.dtype != np.uint8:
            found = f"{label.shape} {label.dtype}"
            raise DataError(f"mask: expected a class map (H, W) of uint8, found {found}; convert it")
        matrix = self.matrix @ _rescale(label.shape, self.image_size)
        where = geometry.sampling_map(matrix, self.size, self.warp)
        return geometry.sample(label, where, nearest=True)

    def points(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the original image -> pixels of the crop; float64 if given so, else float32."""
        moved = geometry.forward_points(points, self.matrix, self.size, self.warp)
        return moved.astype(_float_of(points))

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of the crop -> pixels of the original image; undoes `points` off the warp's rim."""
        moved = geometry.inverse_points(points, self.matrix, self.size, self.warp)
        return moved.astype(_float_of(points))

    def labels_back(self, logits: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Class logits of the crop (N, h, w), any h and w -> the likeliest class of every pixel of the original image,
        (H, W) uint8. `size` (H, W) is that of the wanted map where it differs from the image's."""
        size = size or self.image_size
        label = np.zeros(size, np.uint8)  # outside the crop every plane is 0, and the first of equals is taken
        for seen in geometry.bands(self._window(size)):
            planes = self.planes_back(logits, size, seen)  # a few at a time are held instead of N
            best, part = next(planes), label[seen]
            for n, plane in enumerate(planes, start=1):
                higher = cv2.compare(plane, best, cv2.CMP_GT)  # 255 or 0
                np.maximum(part, np.bitwise_and(higher, n, out=higher), out=part)  # n is above every class before it
                best = np.maximum(best, plane)
        return label

    def planes_back(
        self, logits: np.ndarray, size: tuple[int, int], seen: tuple[slice, slice] | None = None
    ) -> Iterator[np.ndarray]:
        """(N, h, w) logits of the crop, any h and w -> one by one (H, W) float32 at the pixels of a map of `size`, or
        of its part `seen` (rows, columns).

        They are raised bilinearly (half-pixel) to S x S, then sampled through the inverted map; 0 outside the crop.
        """
        logits = np.asarray(logits, np.float32)
        if logits.ndim != 3:
            raise DataError(f"logits: expected (classes, h, w) of one image, found shape {logits.shape}")
        matrix, side = self.matrix @ _rescale(size, self.image_size), (self.size, self.size)
        where = geometry.inverse_map(matrix, self.size, self.warp, size, seen)
        as_it_is = where.shape[:2] == side and np.array_equal(where, _pixels(self.size))
        planes = (cv2.resize(np.ascontiguousarray(plane), side, interpolation=cv2.INTER_LINEAR) for plane in logits)
        yield from planes if as_it_is else geometry.sample_planes(planes, where)

    def _window(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a map of `size` between which the crop lies, and perhaps some more."""
        if self.warp:
            return slice(0, size[0]), slice(0, size[1])  # a warped crop sees everything
        rim = np.array([-1, self.size])
        corners = np.array([(x, y) for x in rim for y in rim])
        back = geometry.inverse_points(corners, self.matrix @ _rescale(size, self.image_size), self.size)
        limit = np.array(size[::-1])
        x0, y0 = np.clip(np.floor(back.min(axis=0)) - 1, 0, limit - 1).astype(int)
        x1, y1 = np.clip(np.ceil(back.max(axis=0)) + 2, 0, limit).astype(int)
        return slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))

    def _shrink_and_sample(self, image: np.ndarray) -> np.ndarray:
        """Sample from the part of the image that the crop sees: converting a whole photograph costs more."""
        pace = 1 / np.hypot(*self.matrix[:2, :2])  # source pixels per crop pixel, along the source's x and y
        last = self.size - 1
        corners = np.array([[0, 0], [last, 0], [0, last], [last, last]])
        seen = geometry.inverse_points(corners, self.matrix, self.size, self.warp)
        margin = ceil(pace.max()) + 1
        limit = np.array(self.image_size[::-1])
        x0, y0 = np.clip(np.floor(seen.min(axis=0)) - margin, 0, limit).astype(int)
        x1, y1 = np.clip(np.ceil(seen.max(axis=0)) + margin + 1, 0, limit).astype(int)
        if x1 <= x0 or y1 <= y0:
            return np.zeros((self.size, self.size, 3), np.float32)
        part = unit(image[y0:y1, x0:x1])
        matrix = self.matrix @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1]])
        if self.antialias and pace.max() > 1:
            small = tuple(max(1, round(n / max(p, 1))) for n, p in zip((x1 - x0, y1 - y0), pace, strict=True))
            matrix = matrix @ _rescale(small[::-1], (y1 - y0, x1 - x0))
            part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
        return self._sample(part, matrix)

    def _sample(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        if self.warp == 0:
            return geometry.sample_affine(image, matrix, self.size)
        return geometry.sample(image, geometry.sampling_map(matrix, self.size, self.warp))


@lru_cache(maxsize=4)
def _pixels(size: int) -> np.ndarray:
    """(size, size, 2) the place xy of every pixel."""
    return np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(np.float32)


def _rescale(source: tuple[int, ...], target: tuple[int, int]) -> np.ndarray:
    """Matrix from pixels of a (h, w) raster to those of a (H, W) raster of the same area (half-pixel)."""
    fy, fx = target[0] / source[0], target[1] / source[1]
    return np.array([[fx, 0, fx / 2 - 0.5], [0, fy, fy / 2 - 0.5], [0, 0, 1]])


def _float_of(points: np.ndarray) -> type:
    return np.float64 if np.asarray(points).dtype == np.float64 else np.float32
