"""Photographs of any size: what `faceptor.datasets.formats.images` decodes, and larger JPEGs at a reduced size.

Decoding takes bounded memory: a file of `LARGEST_PHOTO_FILE` bytes, the `LARGEST_IMAGE` pixels of the result, and for
JPEGs in several scans (progressive ones) `LARGEST_COEFFICIENTS` bytes that libjpeg keeps until the last scan. Formats
other than JPEG can only be decoded whole, so that larger pictures are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from faceptor.datasets.formats import images
from faceptor.datasets.formats.images import LARGEST_IMAGE, TooManyPixels, check_size, opened, orientation, upright
from faceptor.datasets.reader import BadSample
from faceptor.errors import DataError

FORMATS = "JPEG, PNG, WebP, TIFF, BMP or GIF"  # for people
LARGEST_PHOTO_FILE = 256 << 20  # bytes; 200 megapixels of a phone take up to 100 MB
LARGEST_COEFFICIENTS = 1 << 30  # bytes
JPEG_REDUCTIONS = (2, 4, 8)  # libjpeg decodes at 1/k of the size; at 1/8 the largest possible JPEG has 67 megapixels

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as it was read.

    pixels     (H, W, 3) uint8 RGB, upright as its EXIF says, transparency on white, 16 bits as 8
    size       (height, width) of the photograph itself, upright
    reduction  k = 1, 2, 4 or 8: `pixels` are 1/k of the size; pixel (x, y) has its centre at (x + 0.5) * k - 0.5 in the
               photograph (to less than k pixels where k does not divide the size and the picture is turned)
    """

    pixels: np.ndarray
    size: tuple[int, int]
    reduction: int = 1


def decode_photo(data: bytes) -> Photo:
    """An encoded photograph; JPEGs above `LARGEST_IMAGE` pixels at the first of 1/2, 1/4, 1/8 that is below.

    BadSample for what is truncated, damaged or no image; `TooManyPixels` for what is larger than can be decoded.
    """
    check_size(data, LARGEST_PHOTO_FILE)
    reduction = _reduction(data)
    if reduction > 1:
        return _guarded(lambda: _reduced_jpeg(data, reduction))
    header = images.picture(data, most=LARGEST_PHOTO_FILE)  # the declared size, before memory is taken
    with opened(data) as image:
        transparent = "A" in image.getbands() or "transparency" in image.info
        if transparent and image.mode not in images.SIXTEEN_BITS:
            pixels = _guarded(lambda: _on_white(image, data))
        else:
            pixels = images.decode_image(data, strict=True)
    return Photo(pixels, (header.height, header.width))


def _on_white(image: Image.Image, data: bytes) -> np.ndarray:
    turn = orientation(image, data)
    coloured = image.convert("RGBA")
    white = Image.new("RGB", coloured.size, "white")
    white.paste(coloured, mask=coloured)
    return upright(np.array(white), turn)


def _reduction(data: bytes) -> int:
    """1, or the k of `decode_photo` for a larger JPEG; BadSample where its coefficients take too much memory."""
    if data[:2] != b"\xff\xd8":
        return 1
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):  # the latter where a file ends in its header
        return 1  # `decode_image` says what is wrong
    if height * width <= LARGEST_IMAGE:
        return 1
    kept = _coefficient_bytes(data)
    if kept > LARGEST_COEFFICIENTS:
        raise TooManyPixels(
            f"a progressive JPEG of {width} x {height} pixels takes {kept >> 20} MiB to decode, more than "
            f"{LARGEST_COEFFICIENTS >> 20}"
        )
    return next(k for k in JPEG_REDUCTIONS if -(-height // k) * -(-width // k) <= LARGEST_IMAGE)


def _coefficient_bytes(data: bytes) -> int:
    """What libjpeg keeps of all of a JPEG until its last scan, in bytes; 0 if one scan holds everything."""
    at, samples, components, progressive = 2, 0, 0, False
    while at + 5 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):  # stray or fill bytes
            at += 1
            continue
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker in (0x01, *range(0xD0, 0xD9)):  # stand alone
            at += 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 10 <= len(data):  # frame header
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            factors = [divmod(byte, 16) for byte in data[at + 11 : at + 10 + 3 * components : 3]]
            across, down = (max((factor[axis] for factor in factors), default=1) or 1 for axis in (0, 1))
            samples = sum(-(-width * h // across) * -(-height * v // down) for h, v in factors)
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        if marker == 0xDA:  # first scan
            return 2 * samples if progressive or data[at + 4] < components else 0
        at += 2 + length
    return 0


def _reduced_jpeg(data: bytes, k: int) -> Photo:
    # Pillow refuses giants when it opens a file; this is its class for JPEG itself, and nothing is decoded yet.
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        turn, (width, height) = orientation(image, data), image.size
        if image.mode == "CMYK":
            image.draft("CMYK", (width // k, height // k))
            pixels = images.to_rgb(image)
        else:
            pixels = images.jpeg_pixels(data, min_height=-(-height // k), min_width=-(-width // k), min_factor=k)
    if pixels.shape[:2] != (-(-height // k), -(-width // k)):
        raise BadSample(
            f"a JPEG of {width} x {height} pixels decodes at 1/{k} to {pixels.shape[1]} x {pixels.shape[0]}"
        )
    size = (width, height) if turn in images.QUARTER_TURNS else (height, width)
    return Photo(upright(pixels, turn), size, k)


def _guarded(decode: Callable[[], Decoded]) -> Decoded:
    """Errors of decoders, which are of many kinds on damaged data, as BadSample."""
    try:
        return decode()
    except BadSample:
        raise
    except MemoryError as error:
        raise DataError("image cannot be decoded: this machine has not enough memory") from error
    except Exception as error:
        raise BadSample(f"image cannot be decoded: {images.one_line(error)}") from error
