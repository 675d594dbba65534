"""Encoded images: every kind becomes RGB, rotation is applied, damaged and greedy files are found."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from faceptor.datasets.base import BadSample
from faceptor.datasets.images import decode_image, verify
from tests.datasets import published as pub


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_grey_alpha_palette_cmyk_and_sixteen_bits_become_rgb():
    rgb = Image.fromarray(pub.picture(1))
    for image, kind in (
        (rgb.convert("L"), "JPEG"),
        (rgb.convert("CMYK"), "JPEG"),
        (rgb.convert("RGBA"), "PNG"),
        (rgb.convert("LA"), "PNG"),
        (rgb.convert("P"), "PNG"),
        (rgb.convert("1"), "PNG"),
        (rgb, "BMP"),
        (rgb, "TIFF"),
    ):
        pixels = decode_image(encoded(image, kind))
        assert pixels.shape == (60, 50, 3) and pixels.dtype == np.uint8
    deep = Image.fromarray(np.arange(3000, dtype=np.uint16).reshape(60, 50) * 20)
    np.testing.assert_array_equal(decode_image(encoded(deep, "PNG"))[..., 0], np.asarray(deep) >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_to_pixels_and_size(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(pub.picture(1)), "JPEG", exif=exif, quality=95)
    info = verify(data)
    pixels = decode_image(data)
    assert pixels.shape == (info.height, info.width, 3)
    assert pixels.shape[:2] == ((50, 60) if orientation >= 5 else (60, 50))
    plain = decode_image(encoded(Image.fromarray(pub.picture(1)), "JPEG", quality=95)).astype(int)
    turns = {1: plain, 3: plain[::-1, ::-1], 6: np.rot90(plain, -1), 8: np.rot90(plain)}
    if orientation in turns:
        assert np.abs(pixels - turns[orientation]).max() <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_files_are_found(kind):
    data = encoded(Image.fromarray(pub.picture(1, 200, 200)), kind)
    verify(data)
    with pytest.raises(BadSample):
        verify(data[: int(len(data) * 0.7)])


def test_a_header_that_declares_a_giant_takes_no_memory():
    data = bytearray(encoded(Image.fromarray(pub.picture(1)), "PNG"))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(BadSample, match="pixels"):
        verify(bytes(data))
    jpeg = bytearray(pub.jpg())
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(BadSample, match="pixels"):
        verify(bytes(jpeg))


def test_stray_bytes_do_not_matter():
    data = pub.jpg(1)
    verify(data + b"\0" * 20)
    assert decode_image(data + b"\0" * 20).shape == (60, 50, 3)


