"""Encoded images to pixels: strict when data are prepared, fast when they are read again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from faceptor.datasets.base import BadSample
from faceptor.errors import DataError

LARGEST_FILE = 64 << 20  # bytes
LARGEST_IMAGE = 89_000_000  # pixels; a header may declare far more than the file could fill
ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class Picture:
    """What the header of an encoded image says: size in pixels after the EXIF rotation, and whether there is one."""

    height: int
    width: int
    format: str
    rotated: bool


def read_bytes(path: Path) -> bytes:
    """The encoded file; BadSample when it cannot be read, is empty or larger than any photograph."""
    try:
        with open(path, "rb") as handle:
            data = handle.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadSample(f"image cannot be read: {error.strerror}") from error
    if not data:
        raise BadSample("image file is empty")
    if len(data) > LARGEST_FILE:
        raise BadSample(f"image file is larger than {LARGEST_FILE} bytes")
    return data


def picture(data: bytes) -> Picture:
    """Size and format from the header; BadSample when there is none or it declares an absurd size."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            kind = image.format or ""
            turn = image.getexif().get(ORIENTATION, 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadSample(f"image declares too many pixels: {error}") from error
    except UnidentifiedImageError:
        raise BadSample("not an image of a known format") from None
    except Exception as error:  # PIL raises many kinds of error on hostile headers
        raise BadSample(f"not an image: {error}") from error
    if width * height > LARGEST_IMAGE:
        raise BadSample(f"image declares {width} x {height} pixels, more than {LARGEST_IMAGE}")
    rotated = turn in range(2, 9)
    if turn in range(5, 9):  # quarter turns
        width, height = height, width
    return Picture(height, width, kind, rotated)


def verify(data: bytes) -> Picture:
    """Header of an image that decodes to the end; BadSample for a truncated or damaged one."""
    info = picture(data)
    pixels = decode_image(data, strict=True)
    if pixels.shape[:2] != (info.height, info.width):
        raise BadSample(f"image header says {info.width} x {info.height}, its pixels {pixels.shape[1::-1]}")
    return info


def decode_image(data: bytes, *, strict: bool = False) -> np.ndarray:
    """Encoded image -> (H, W, 3) uint8 RGB: EXIF rotation applied, grey repeated, alpha and 16 bits dropped.

    `strict` raises BadSample (a DataError otherwise) when the image is truncated or damaged.
    """
    if data[:2] == b"\xff\xd8" and b"Exif\0" not in data[: 1 << 16]:
        try:
            return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=strict)
        except ValueError:
            pass  # stray bytes or CMYK: PIL reads those, and still refuses truncated files
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _rgb(ImageOps.exif_transpose(image))
    except Exception as error:
        kind = BadSample if strict else DataError
        raise kind(f"image cannot be decoded: {error}") from error


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grey: keep the upper byte
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def read_gray(path: Path) -> np.ndarray:
    """Single-channel label image -> (H, W) uint8, raw values (palette indices stay). First channel of several.

    BadSample when missing, damaged, or of another depth than 8 bits.
    """
    if not path.is_file():
        raise BadSample(f"label image {path.name} is missing")
    try:
        return decode_mask(read_bytes(path))
    except BadSample as error:
        raise BadSample(f"{path.name}: {error}") from error


def decode_mask(data: bytes) -> np.ndarray:
    """Encoded label image -> (H, W) uint8."""
    picture(data)  # before memory is taken
    try:
        with Image.open(io.BytesIO(data)) as image:
            values = np.array(image)
    except Exception as error:
        raise BadSample(f"label image cannot be decoded: {error}") from error
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype != np.uint8:
        raise BadSample(f"expected 8-bit labels, found {values.dtype}")
    return values if values.ndim == 2 else np.ascontiguousarray(values[..., 0])


def encode_mask(mask: np.ndarray) -> bytes:
    """(H, W) uint8 -> PNG bytes, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
