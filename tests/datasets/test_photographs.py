"""Photographs above the limit of pixels: JPEGs are decoded at a reduced size, everything else is refused in time."""

import io
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from faceptor.datasets.formats import images
from faceptor.datasets.formats.images import TooManyPixels
from faceptor.datasets.reader import BadSample
from faceptor.predict import photographs
from faceptor.predict.photographs import decode_photo
from tests.datasets.test_images import SHOWN, encoded, turned


@pytest.fixture
def small_limit(monkeypatch):
    for module in (images, photographs):
        monkeypatch.setattr(module, "LARGEST_IMAGE", 2000)


def scene(height: int, width: int) -> np.ndarray:
    """Smooth colours that differ in every corner."""
    y, x = np.mgrid[:height, :width] / (max(height, width) - 1)
    return (255 * np.stack([x, y, (1 - x) * (1 - y)], axis=-1)).astype(np.uint8)


def area_mean(pixels: np.ndarray, k: int) -> np.ndarray:
    height, width = (-(-side // k) * k for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)), "edge")
    return padded.reshape(height // k, k, width // k, k, 3).mean((1, 3))


@pytest.mark.parametrize(("size", "k"), [((60, 50), 2), ((61, 51), 2), ((120, 100), 4), ((300, 333), 8), ((40, 50), 1)])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_is_reduced_until_it_fits(small_limit, size, k, mode):
    image = Image.fromarray(scene(*size)).convert(mode)
    photo = decode_photo(encoded(image, "JPEG", quality=95))
    assert photo.reduction == k
    assert photo.size == size
    assert photo.pixels.shape == (-(-size[0] // k), -(-size[1] // k), 3)
    assert np.abs(photo.pixels - area_mean(scene(*size), k)).mean() < 4


@pytest.mark.parametrize("orientation", SHOWN)
def test_a_reduced_jpeg_is_turned_once(small_limit, orientation):
    pixels = scene(60, 80)
    photo = decode_photo(turned("JPEG", orientation, Image.fromarray(pixels), quality=95))
    expected = SHOWN[orientation](pixels)
    assert photo.size == expected.shape[:2]
    assert np.abs(photo.pixels - area_mean(expected, photo.reduction)).mean() < 4


def test_108_megapixels_without_a_warning_or_much_memory():
    data = encoded(Image.new("L", (12000, 9000), 90), "JPEG")
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            photo = decode_photo(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * images.LARGEST_IMAGE
    finally:
        tracemalloc.stop()
    assert (photo.size, photo.reduction) == ((9000, 12000), 2)
    assert (photo.pixels == 90).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP"])
def test_formats_that_cannot_be_reduced_are_refused(small_limit, kind):
    with pytest.raises(TooManyPixels):
        decode_photo(encoded(Image.fromarray(scene(60, 50)), kind))


@pytest.mark.parametrize("way", [{"progressive": True}, {"subsampling": 0, "progressive": True}])
def test_what_a_progressive_jpeg_keeps_is_bounded(small_limit, monkeypatch, way):
    data = encoded(Image.fromarray(scene(64, 64)), "JPEG", **way)
    assert decode_photo(data).reduction == 2
    samples = 64 * 64 * 3 // (1 if "subsampling" in way else 2)
    monkeypatch.setattr(photographs, "LARGEST_COEFFICIENTS", 2 * samples - 1)
    with pytest.raises(TooManyPixels, match="progressive"):
        decode_photo(data)
    assert decode_photo(encoded(Image.fromarray(scene(64, 64)), "JPEG")).reduction == 2  # one scan keeps nothing


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.9])
def test_a_truncated_giant_is_refused(small_limit, keep):
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)), "JPEG")
    with pytest.raises(BadSample):
        decode_photo(data[: int(keep * len(data))])


def test_an_empty_file_and_one_that_is_too_large(monkeypatch):
    monkeypatch.setattr(photographs, "LARGEST_PHOTO_FILE", 10)
    for data in (b"", io.BytesIO(b"x" * 11).getvalue()):
        with pytest.raises(BadSample):
            decode_photo(data)
