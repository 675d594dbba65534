"""Encoded images to pixels: strict when data are prepared, fast when they are read again.

JPEG is decoded by libjpeg-turbo (simplejpeg), everything else by Pillow, which is as fast on PNG as OpenCV and finds
truncated files. Labels are in the displayed frame: a rotation in the EXIF data is applied once, to sizes and pixels
alike, as viewers and OpenCV do. No more than `LARGEST_IMAGE` pixels are decoded, whatever a header declares: 267 MB of
RGB, about 1.1 GB with a decoder's own copies. `faceptor.predict.photographs` decodes larger JPEGs at a reduced size.
"""

import hashlib
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin

from faceptor.datasets.values import BadSample
from faceptor.errors import DataError
from faceptor.io.words import one_line

LARGEST_FILE = 64 << 20  # bytes
LARGEST_IMAGE = 89_000_000  # pixels; a header may declare far more than the file could fill
ORIENTATION = 0x0112  # EXIF tag
QUARTER_TURNS = range(5, 9)  # its values that swap width and height
# Pillow knows many more, some of which start other programs (EPS) or read other files.
TIFF = TiffImagePlugin.TiffImageFile.format
LATER = (TIFF, WebPImagePlugin.WebPImageFile.format)  # unknown until imported
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", *LATER)
# Without any of these there is no orientation.
MARKS = {
    "JPEG": (b"Exif\0", b"tiff:Orientation"),
    "MPO": (b"Exif\0", b"tiff:Orientation"),
    "PNG": (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp"),
}
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
# Warnings of libjpeg after which pixels are wrong. Others (stray bytes between markers, odd versions) do no harm.
DAMAGE = ("premature end", "bad huffman code", "instead of rst", "progression")


class TooManyPixels(BadSample):
    """A picture whose pixels would take more memory than is allowed."""


@dataclass(frozen=True)
class Picture:
    """What the header of an encoded image says: size in pixels after the EXIF rotation, and whether there is one.

    content: a hash of its decoded pixels, where they were decoded.
    """

    height: int
    width: int
    format: str
    rotated: bool
    content: bytes = field(default=b"", compare=False)


def read_bytes(path: Path) -> bytes:
    """The encoded file; BadSample when it cannot be read, is empty, no regular file or larger than any photograph."""
    try:
        if path.exists() and not path.is_file():
            raise BadSample("image is no regular file")
        with open(path, "rb") as handle:
            data = handle.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadSample(f"image cannot be read: {error.strerror}") from error
    check_size(data)
    return data


def check_size(data: bytes, most: int = LARGEST_FILE) -> None:
    if not data:
        raise BadSample("image file is empty")
    if len(data) > most:
        raise BadSample(f"image file is larger than {most} bytes")


def picture(data: bytes, *, most: int = LARGEST_FILE) -> Picture:
    """Size and format from the header; BadSample when there is none or it declares an absurd size."""
    check_size(data, most)
    with opened(data) as image:
        width, height = image.size
        if orientation(image, data) in QUARTER_TURNS:
            width, height = height, width
        return Picture(height, width, image.format or "", _orientation_tag(image, data) != 1)


def verify(data: bytes) -> Picture:
    """Header of an image that decodes to the end; BadSample for a truncated or damaged one."""
    info = picture(data)
    pixels = decode_image(data, strict=True)
    if pixels.shape[:2] != (info.height, info.width):
        raise BadSample(f"image header says {info.width} x {info.height}, its pixels {pixels.shape[1::-1]}")
    return replace(info, content=content_of(pixels))


def content_of(picture: np.ndarray | bytes) -> bytes:
    """16 bytes that stand for a picture: equal for equal pixels (H, W, 3), or for equal encoded bytes."""
    shape = picture.shape if isinstance(picture, np.ndarray) else ()
    digest = hashlib.sha256(repr(shape).encode())
    digest.update(picture)
    return digest.digest()[:16]


def decode_image(data: bytes, *, strict: bool = False, at_least: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Encoded image -> (H, W, 3) uint8 RGB in the displayed frame: EXIF rotation applied.

    Grey is repeated, a palette looked up, CMYK converted; alpha is dropped, and so are the lower bits of 16. Of several
    frames the first is taken. `strict` raises BadSample (a DataError otherwise) when the image is truncated or damaged.
    at_least: (H, W) that are enough; an upright JPEG is then decoded to the fewest pixels that libjpeg can make of it.
    """
    try:
        return _jpeg(data, strict, at_least) if data[:2] == b"\xff\xd8" else _pillow(data, strict)
    except BadSample as error:
        raise (BadSample if strict else DataError)(str(error)) from error
    except MemoryError as error:
        raise DataError("image cannot be decoded: this machine has not enough memory") from error
    except Exception as error:  # decoders raise many kinds of error on damaged data
        raise (BadSample if strict else DataError)(f"image cannot be decoded: {one_line(error)}") from error


def _jpeg(data: bytes, strict: bool, at_least: tuple[int, int] = (0, 0)) -> np.ndarray:
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        _check_pixels(width, height)
        if colors in ("CMYK", "YCCK"):
            return _pillow(data, strict)  # it knows whether a file's CMYK values are inverted
        marked = any(mark in data for mark in MARKS["JPEG"])
        small = {"min_height": at_least[0], "min_width": at_least[1]} if any(at_least) and not marked else {}
        pixels = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=strict, **small)
    except ValueError as error:
        _check_damage(error, strict)
        return _pillow(data, strict)
    if not marked:
        return pixels  # without a mark there is no orientation to look up, which takes half as long as the decoding
    with opened(data) as image:
        return upright(pixels, orientation(image, data))


def jpeg_pixels(data: bytes, **smallest: int) -> np.ndarray:
    """A JPEG decoded strictly, at a reduced size with simplejpeg's `min_height`, `min_width`, `min_factor`."""
    try:
        return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, **smallest)
    except ValueError as error:
        _check_damage(error, strict=True)
        return simplejpeg.decode_jpeg(data, colorspace="RGB", strict=False, **smallest)


def _check_damage(error: ValueError, strict: bool) -> None:
    if strict and any(word in str(error).lower() for word in DAMAGE):
        raise BadSample(f"image cannot be decoded to its end: {one_line(error)}") from error


def _pillow(data: bytes, strict: bool) -> np.ndarray:
    if strict and data[:4] == b"\x89PNG":
        with opened(data) as image:
            image.verify()  # its checksums, which decoding skips; the image is used up by it
    with opened(data) as image:
        turn = orientation(image, data)
        return upright(to_rgb(image), turn)


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The image with its header read and no pixel decoded; BadSample when it is none or declares an absurd size."""
    try:
        image = _identified(data)
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"image declares too many pixels: {one_line(error)}") from error
    except Exception as error:  # Pillow raises many kinds of error on hostile headers
        raise BadSample(f"not an image: {one_line(error)}") from error
    if image is None:
        raise BadSample("not an image of a known format")
    with image:
        _check_pixels(*image.size)
        yield image


def _identified(data: bytes) -> ImageFile.ImageFile | None:
    """`Image.open` without its own limit, which prints a warning near ours; None if the format is none of `FORMATS`."""
    Image.preinit()
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept and accept(data[:16]) is not True:
            continue
        with suppress(SyntaxError, IndexError, TypeError, struct.error):  # what Pillow takes for "another format"
            return factory(io.BytesIO(data), "")
    return None


def _check_pixels(width: int, height: int) -> None:
    if width * height > LARGEST_IMAGE:
        raise TooManyPixels(f"image declares {width} x {height} pixels, more than {LARGEST_IMAGE}")
    if width < 1 or height < 1:
        raise BadSample(f"image declares {width} x {height} pixels")


def orientation(image: Image.Image, data: bytes) -> int:
    """EXIF orientation that is left to be applied: 1 upright, 2 to 8 the other ways to hold and mirror a picture.

    Pillow turns a TIFF itself when it loads it, and states its size after that; pictures of other formats it does not.
    """
    return 1 if image.format == TIFF else _orientation_tag(image, data)


def _orientation_tag(image: Image.Image, data: bytes) -> int:
    if not any(mark in data for mark in MARKS.get(image.format, (b"",))):
        return 1  # Pillow would decode a PNG to find out
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception as error:
        raise BadSample(f"EXIF data cannot be read: {one_line(error)}") from error
    return turn if turn in range(2, 9) else 1


# Orientation -> the displayed picture from the stored one.
_UPRIGHT = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT[turn](pixels))


def to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode in SIXTEEN_BITS:  # keep the upper byte
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise BadSample("expected 8 or 16 bits per colour, found 32")
    return np.array(image.convert("RGB"))


def read_gray(path: Path) -> np.ndarray:
    """Label image -> (H, W) uint8, raw values (palette indices stay).

    BadSample when missing, damaged, coloured, or of another depth than 8 bits.
    """
    if not path.is_file():
        raise BadSample(f"label image {path.name} is missing")
    try:
        return decode_mask(read_bytes(path))
    except BadSample as error:
        raise BadSample(f"{path.name}: {error}") from error


def decode_mask(data: bytes) -> np.ndarray:
    """Encoded label image -> (H, W) uint8 in the displayed frame. Grey stored as RGB is accepted, alpha ignored."""
    try:
        with opened(data) as image:
            turn = orientation(image, data)
            values = upright(np.array(image), turn)
    except BadSample:
        raise
    except Exception as error:
        raise BadSample(f"label image cannot be decoded: {one_line(error)}") from error
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype != np.uint8:
        raise BadSample(f"expected 8-bit labels, found {values.dtype}")
    if values.ndim == 2:
        return values
    if values.shape[2] > 2 and (values[..., :3] != values[..., :1]).any():
        raise BadSample("expected a label image of one channel, found colours")
    return np.ascontiguousarray(values[..., 0])


def encode_mask(mask: np.ndarray) -> bytes:
    """(H, W) uint8 -> PNG bytes, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
