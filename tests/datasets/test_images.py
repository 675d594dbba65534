"""Encoded images: every kind becomes RGB, rotation is applied, damaged and greedy files are found."""

import io
import os
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from faceptor.datasets.formats.images import LARGEST_FILE, LARGEST_IMAGE, decode_image, decode_mask, read_bytes, verify
from faceptor.datasets.reader import BadSample
from faceptor.errors import DataError
from faceptor.predict.photographs import decode_photo
from tests.datasets import published as pub
from tests.hostile import bombs


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


# --- one case each, with real encoded bytes -----------------------------------------------------------------------


def rgb():
    return Image.fromarray(pub.picture(1))


def test_jpeg_is_what_libjpeg_turbo_makes_of_it():
    data = pub.jpg(1)
    np.testing.assert_array_equal(decode_image(data), simplejpeg.decode_jpeg(data, colorspace="RGB"))
    np.testing.assert_array_equal(decode_image(data), cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM"])
def test_lossless_kinds_come_back_as_they_were(kind):
    flat = Image.fromarray(np.uint8([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]))
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode_image(encoded(flat, kind, **options), strict=True), np.asarray(flat))


def test_grey_is_repeated_and_a_palette_looked_up():
    grey = rgb().convert("L")
    assert (decode_image(encoded(grey, "PNG"), strict=True) == np.asarray(grey)[..., None]).all()
    palette = rgb().quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(decode_image(encoded(palette, "PNG"), strict=True), expected)


def test_alpha_is_dropped_and_colours_stay_below_it():
    pixels = np.dstack([pub.picture(1), np.zeros((60, 50), np.uint8)])  # fully transparent
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(pixels), "PNG")), pub.picture(1))


def test_cmyk_is_converted_in_both_senses_of_the_inks():
    plain = encoded(rgb().convert("CMYK"), "JPEG", quality=95)
    pixels = decode_image(plain, strict=True).astype(int)
    assert np.abs(pixels - pub.picture(1)).max() <= 12
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(plain)).convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_upper_byte_of_sixteen_bits(kind):
    deep = np.arange(3000, dtype=np.uint16).reshape(60, 50) * 20
    pixels = decode_image(encoded(Image.fromarray(deep), kind), strict=True)
    assert (pixels == (deep >> 8)[..., None]).all()
    colour = (np.arange(9000).reshape(60, 50, 3) * 7).astype(np.uint16)
    written = cv2.imencode(".png", colour[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_image(written, strict=True), colour >> 8)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)])
def test_thirty_two_bits_are_rejected(pixels):
    with pytest.raises(BadSample, match="8 or 16 bits"):
        verify(encoded(Image.fromarray(pixels), "TIFF"))


# EXIF orientation -> what must be done to the stored pixels.
SHOWN = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip
WAYS = {
    "JPEG": ("JPEG", {"quality": 100, "subsampling": 0}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"lossless": True}),
    "TIFF, raw": ("TIFF", {}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}


def turned(kind, orientation, image=None, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(rgb() if image is None else image, kind, exif=exif, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("orientation", SHOWN)
def test_every_orientation_of_every_format_is_applied_once(way, orientation):
    kind, options = WAYS[way]
    data = turned(kind, orientation, **options)
    expected = SHOWN[orientation](pub.picture(1)).astype(int)
    assert np.abs(decode_image(data, strict=True) - expected).max() <= (6 if kind == "JPEG" else 0)
    assert np.abs(decode_photo(data).pixels - expected).max() <= (6 if kind == "JPEG" else 0)
    info = verify(data)
    assert (info.height, info.width) == expected.shape[:2]
    assert info.rotated == (orientation != 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_label_images_and_transparent_ones_are_turned_as_photographs_are(kind, orientation):
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = turned(kind, orientation, Image.fromarray(mask))
    np.testing.assert_array_equal(decode_mask(data), SHOWN[orientation](mask))
    data = turned(kind, orientation, rgb().convert("RGBA"))
    np.testing.assert_array_equal(decode_photo(data).pixels, SHOWN[orientation](pub.picture(1)))


def test_orientation_behind_other_metadata_is_found():
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(rgb(), "JPEG", exif=exif, quality=95)
    filler = b"\xff\xed\xff\xff" + bytes(65533)  # an APP13 segment of 64 KiB, twice
    moved = data[:2] + filler * 2 + data[2:]
    np.testing.assert_array_equal(decode_image(moved), decode_image(data))
    assert verify(moved).rotated


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF"])
def test_truncated_images_of_every_kind_are_rejected(kind, keep):
    data = encoded(Image.fromarray(pub.picture(1, 200, 200)), kind)
    with pytest.raises(BadSample):
        verify(data[: int(keep * len(data))])


def test_a_jpeg_that_was_cut_and_closed_again_is_rejected():
    data = pub.jpg(1, 200, 200)
    with pytest.raises(BadSample, match="premature end"):
        verify(data[: int(0.6 * len(data))] + b"\xff\xd9")


def test_stray_bytes_between_the_markers_of_a_jpeg_do_no_harm():
    data = pub.jpg(1)
    at = data.index(b"\xff\xda")
    np.testing.assert_array_equal(decode_image(data[:at] + bytes(3) + data[at:], strict=True), decode_image(data))


def test_a_png_with_a_wrong_checksum_is_rejected():
    data = bytearray(encoded(rgb(), "PNG"))
    data[data.index(b"IDAT") - 4 - 5] ^= 1  # in the checksum of the header
    with pytest.raises(BadSample):
        verify(bytes(data))


@pytest.mark.parametrize(
    "make",
    [
        lambda: bombs.png(bombs.SIDE, bombs.SIDE),
        lambda: bombs.png((1 << 31) - 1, 1),
        lambda: bombs.jpeg_giant(pub.jpg()),
        bombs.bmp_giant,
    ],
)
def test_giants_are_refused_by_their_header(make):
    data = make()
    tracemalloc.start()
    try:
        for read in (verify, decode_image, decode_mask):
            with pytest.raises((BadSample, DataError), match=r"pixels|not an image"), warnings.catch_warnings():
                warnings.simplefilter("error")
                read(data)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert LARGEST_IMAGE < bombs.SIDE**2


def test_a_comment_that_unpacks_to_megabytes_is_not_unpacked():
    with pytest.raises(BadSample):
        verify(bombs.png_text_bomb())


@pytest.mark.parametrize("data", [bombs.eps(), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"", b"\xff\xd8"])
def test_formats_that_start_programs_and_no_images_are_refused(data):
    with pytest.raises(BadSample):
        verify(data)
    with pytest.raises(DataError):
        decode_image(data)


def test_a_file_that_is_none_or_too_large(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as handle:
        handle.truncate(LARGEST_FILE + 1)
    for name, reason in (("pipe", "regular"), (".", "regular"), ("none", "No such file"), ("large", "larger")):
        with pytest.raises(BadSample, match=reason):
            read_bytes(tmp_path / name)


def test_label_images():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = Image.fromarray(values, mode="P")
    palette.putpalette(list(range(255, -1, -1)) * 3)
    for image in (Image.fromarray(values), palette, Image.fromarray(np.dstack([values] * 3))):
        np.testing.assert_array_equal(decode_mask(encoded(image, "PNG")), values)
    with pytest.raises(BadSample, match="colours"):
        decode_mask(encoded(rgb(), "PNG"))
    with pytest.raises(BadSample, match="8-bit"):
        decode_mask(encoded(Image.fromarray(values.astype(np.uint16) * 300), "PNG"))
