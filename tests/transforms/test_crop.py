"""Crops against the recorded pipelines, and the agreement of image, mask, points and the way back."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceptor.errors import ConfigError, DataError
from faceptor.transforms import geometry
from faceptor.transforms.crop import PLACEMENTS, CropSpec, Jitter
from tests.goldens import Golden

GOLDEN = Golden("geometry")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PHOTO = GOLDEN["pipe.image_uint8"]  # 300 x 260
BOX = GOLDEN["pipe.box"][[1, 0, 3, 2]]  # recorded as y1 x1 y2 x2
LAPA_POINTS = GOLDEN["pipe.lapa_landmarks106"][[104, 105, 54, 84, 90]]
FACE5 = np.array([[80, 90], [150, 92], [115, 130], [90, 165], [140, 166]])
JITTER = Jitter(shift=(0.02, -0.03), rotation=0.15, zoom=0.05)


def place(kind, size=64, jitter=None, image_size=(240, 220), **options):
    spec = CropSpec(kind=kind, size=size, **options)
    return spec.place(image_size, box=np.array([50, 60, 190, 180]), points5=FACE5, jitter=jitter)


# ---------------------------------------------------------------- recorded pipelines


@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_landmark_pipeline(scale):
    crop = CropSpec(kind="box", size=512, scale=scale).place(PHOTO.shape[:2], box=BOX)
    name = f"pipe.align_test_scale{scale}"
    image, points = crop.image(PHOTO), crop.points(GOLDEN["pipe.landmarks"])
    GOLDEN.check(f"{name}.crop_matrix", crop.matrix)
    GOLDEN.check(f"{name}.image@cv5", image)
    GOLDEN.check(f"{name}.warped_landmarks", points)
    GOLDEN.check(f"{name}.landmarks_back", crop.points_back(points))
    # The recording of OpenCV 4 rounds sampling positions to 1/32 pixel.
    GOLDEN.check(f"{name}.image", image, atol=2e-2)


def test_normalised_landmark_input():
    image = CropSpec(kind="box", size=512, scale=1.0).place(PHOTO.shape[:2], box=BOX).image(PHOTO)
    tensor = ((image - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)).transpose(2, 0, 1)
    name = "pipe.align_test_scale1.0.tensor"
    GOLDEN.check(f"{name}@cv5", tensor)
    GOLDEN.check(name, tensor, atol=6e-2)


def test_warped_parsing_pipeline():
    crop = CropSpec(kind="align5", size=512, warp=0.8).place(PHOTO.shape[:2], points5=LAPA_POINTS)
    GOLDEN.check("pipe.lapa_test.align_matrix", crop.matrix)
    name = "pipe.lapa_test.image"
    image = crop.image(PHOTO)
    GOLDEN.check(name, image, atol=2e-2)
    # The reference holds template, matrix and positions in float32, where one step at 256 pixels is 3e-5 pixel: a few
    # values on steep edges leave the recorded tolerance by that much, and none by more.
    name = f"{name}@cv5"
    image, exact, entry = GOLDEN.part(name, image), GOLDEN[name], GOLDEN.about["outputs"][name]
    outside = np.abs(image - exact) > entry["atol"] + entry["rtol"] * np.abs(exact)
    assert outside.mean() < 1e-3
    np.testing.assert_allclose(image, exact, atol=5e-5)


def test_warped_parsing_with_the_recorded_matrix():
    crop = CropSpec(kind="align5", size=512, warp=0.8).place(PHOTO.shape[:2], points5=LAPA_POINTS)
    crop = replace(crop, matrix=GOLDEN["pipe.lapa_test.align_matrix"])
    image = GOLDEN.part("pipe.lapa_test.image@cv5", crop.image(PHOTO))
    exact = GOLDEN["pipe.lapa_test.image@cv5"]
    assert (np.abs(image - exact) > 2e-5 + 1e-5 * np.abs(exact)).mean() < 2e-4


def test_parsing_logits_return_to_the_original():
    crop = CropSpec(kind="align5", size=512, warp=0.8).place(PHOTO.shape[:2], points5=LAPA_POINTS)
    logits = cv2.resize(GOLDEN["pipe.lapa_logits16"], (512, 512), interpolation=cv2.INTER_CUBIC)
    labels = crop.labels_back(logits.transpose(2, 0, 1))
    GOLDEN.check("pipe.lapa_test.pred_in_original", labels, differing=0.01)


def test_whole_image_at_its_own_size_is_the_identity():
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    crop = CropSpec(kind="whole", size=512).place((512, 512))
    difference = np.abs(crop.image(image) - image / np.float32(255)).max()
    GOLDEN.check("pipe.celebam_test_is_identity_maxdiff", difference)
    np.testing.assert_array_equal(crop.mask(image[..., 0]), image[..., 0])


def test_attribute_test_input():
    image = CropSpec(kind="whole", size=112).place(PHOTO.shape[:2]).image(PHOTO)
    GOLDEN.check("pipe.attribute_test.tensor", ((image - 0.5) / 0.5).transpose(2, 0, 1))


# ---------------------------------------------------------------- the parts agree


@pytest.mark.parametrize("kind", PLACEMENTS)
@pytest.mark.parametrize("warp", [0.0, 0.8])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("jitter", [None, JITTER])
def test_a_bright_dot_lands_where_the_point_says(kind, warp, antialias, jitter):
    crop = place(kind, 96, warp=warp, antialias=antialias, jitter=jitter)
    ys, xs = np.mgrid[:240, :220]
    for x, y in ((110.0, 120.0), (95.5, 140.25)):
        dot = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 5.0**2)).astype(np.float32)
        image = crop.image(np.repeat(dot[..., None], 3, axis=2))[..., 1] ** 4
        rows, columns = np.mgrid[:96, :96]
        centroid = np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()
        np.testing.assert_allclose(centroid, crop.points(np.array([x, y])), atol=0.35 if warp else 0.15)


@pytest.mark.parametrize("kind", ["box", "align5", "whole", "square"])
@pytest.mark.parametrize("warp", [0.0, 0.8])
def test_mask_and_image_show_the_same_place(kind, warp):
    label = np.zeros((240, 220), np.uint8)
    label[80:170, 70:150] = 1
    crop = place(kind, 128, warp=warp, jitter=JITTER)
    image = crop.image(np.repeat(label[..., None] * np.uint8(255), 3, axis=2))[..., 0]
    # Away from the edge of the square the image is 0 or 1.
    sure = np.abs(image - 0.5) > 0.499
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(crop.mask(label)[sure], image[sure] > 0.5)


def test_mask_of_half_the_resolution_covers_the_same_area():
    label = np.random.default_rng(1).integers(0, 19, (120, 110), dtype=np.uint8)
    full = np.repeat(np.repeat(label, 2, axis=0), 2, axis=1)
    crop = place("box", 50, jitter=JITTER)  # no position on the border between two pixels
    assert (crop.mask(label) != crop.mask(full)).mean() < 0.01
    np.testing.assert_array_equal(CropSpec(kind="whole", size=110).place((220, 220)).mask(label[:110]), label[:110])


def test_outside_the_image_is_black_and_background():
    crop = CropSpec(kind="box", size=32, scale=0.8).place((40, 40), box=np.array([100, 100, 140, 140]))
    assert not crop.image(np.full((40, 40, 3), 255, np.uint8)).any()
    assert not crop.mask(np.full((40, 40), 7, np.uint8)).any()
    crop = CropSpec(kind="box", size=32, scale=1.0).place((40, 40), box=np.array([20, 0, 60, 40]))
    image = crop.image(np.full((40, 40, 3), 255, np.uint8))
    assert image[5:-5, :12].min() == 1 and image[:, 20:].max() == 0


@pytest.mark.parametrize("warp", [0.0, 0.8])
def test_part_of_a_large_image_is_sampled_like_the_whole(warp):
    image = np.random.default_rng(2).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    crop = CropSpec(kind="box", size=48, scale=0.8, warp=warp).place(
        (400, 500), box=np.array([250, 180, 300, 240]), jitter=JITTER
    )
    direct = geometry.sample(image.astype(np.float32) / 255, geometry.sampling_map(crop.matrix, 48, warp))
    np.testing.assert_allclose(crop.image(image), direct, atol=5e-5)


@given(
    kind=st.sampled_from(list(PLACEMENTS)),
    warp=st.sampled_from([0.0, 0.5, 0.8]),
    x=st.floats(0.15, 0.85),
    y=st.floats(0.15, 0.85),
    angle=st.floats(-0.5, 0.5),
    zoom=st.floats(-0.2, 0.2),
)
@settings(max_examples=100, deadline=None)
def test_points_return(kind, warp, x, y, angle, zoom):
    crop = place(kind, 64, warp=warp, jitter=Jitter(shift=(0.01, 0.02), rotation=angle, zoom=zoom))
    inside = np.array([[x * 64, y * 64]])  # far from the rim, where the inverse tanh is limited
    np.testing.assert_allclose(crop.points(crop.points_back(inside)), inside, atol=1e-6)
    original = crop.points_back(inside)
    np.testing.assert_allclose(crop.points_back(crop.points(original)), original, atol=1e-5)


@given(x=st.floats(-500, 800), y=st.floats(-500, 800))
@settings(max_examples=50, deadline=None)
def test_points_return_from_anywhere_without_a_warp(x, y):
    crop = place("box", 128, jitter=JITTER)
    np.testing.assert_allclose(crop.points_back(crop.points(np.array([x, y]))), [x, y], atol=1e-9)


def test_points_keep_shape_and_float_type():
    crop = place("box")
    assert crop.points(np.zeros((7, 2), np.float32)).dtype == np.float32
    assert crop.points(np.zeros((2, 7, 2))).dtype == np.float64
    assert crop.points_back(np.zeros((2, 7, 2))).shape == (2, 7, 2)


# ---------------------------------------------------------------- the way back of logits


def logits_back(crop, logits, size=None):
    """(N, H, W) logits at the pixels of the original image."""
    return np.stack(list(crop.planes_back(logits, size or crop.image_size)))


@pytest.mark.parametrize("warp", [0.0, 0.8])
def test_logits_of_a_mask_give_the_mask_back(warp):
    label = np.zeros((240, 220), np.uint8)
    cv2.ellipse(label, (110, 120), (60, 50), 0, 0, 360, 1, -1)
    cv2.circle(label, (95, 110), 12, 2, -1)
    crop = place("align5", 256, warp=warp)
    logits = np.eye(3, dtype=np.float32)[crop.mask(label)].transpose(2, 0, 1) * 8
    back = logits_back(crop, logits)
    assert back.shape == (3, 240, 220) and back.dtype == np.float32
    assert (back.argmax(axis=0) != label).mean() < 0.01


def test_labels_back_is_the_argmax_of_the_raised_logits():
    logits = np.random.default_rng(3).normal(size=(19, 16, 16)).astype(np.float32)
    for size in (None, (100, 90)):
        crop = place("align5", 64, warp=0.8, jitter=JITTER)
        back = logits_back(crop, logits, size)
        assert back.shape[1:] == (size or (240, 220))
        np.testing.assert_array_equal(crop.labels_back(logits, size), back.argmax(axis=0))


def test_logits_are_raised_by_half_pixel_bilinear_interpolation():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(4).normal(size=(5, 16, 16)).astype(np.float32)
    raised = torch.nn.functional.interpolate(torch.tensor(logits)[None], size=(64, 64), mode="bilinear")[0]
    crop = CropSpec(kind="whole", size=64).place((64, 64))
    np.testing.assert_allclose(logits_back(crop, logits), raised.numpy(), atol=1e-5)
    np.testing.assert_allclose(logits_back(crop, torch.tensor(logits)), raised.numpy(), atol=1e-5)


def test_logits_outside_the_crop_are_zero():
    crop = CropSpec(kind="box", size=32, scale=1.0).place((100, 100), box=np.array([40, 40, 60, 60]))
    back = logits_back(crop, np.ones((1, 8, 8), np.float32))[0]
    assert back[45:55, 45:55].min() == 1 and back[:35].max() == 0


# ---------------------------------------------------------------- kinds


def test_box_default_shows_a_quarter_more_than_the_box():
    crop = CropSpec(kind="box", size=100, scale=0.8).place((300, 300), box=np.array([100, 100, 200, 200]))
    left, right = crop.points_back(np.array([[-0.5, 49.5], [99.5, 49.5]]))[:, 0]
    assert right - left == pytest.approx(125)
    assert (left + right) / 2 == pytest.approx(150)


def test_square_is_the_centre_square_resized_bicubically():
    image = np.random.default_rng(5).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    picture = Image.fromarray(image[20:198]).resize((112, 112), Image.Resampling.BICUBIC)
    crop = CropSpec(kind="square", size=112).place((218, 178))
    np.testing.assert_array_equal(crop.image(image), np.asarray(picture, np.float32) / np.float32(255))
    np.testing.assert_allclose(crop.points(np.array([-0.5, 19.5])), [-0.5, -0.5])


@pytest.mark.parametrize("kind", ["align5", "arcface"])
def test_alignment_brings_template_points_to_the_template(kind):
    target = {"align5": geometry.farl_points, "arcface": geometry.arcface_points}[kind](112)
    points = geometry.transform(target, geometry.centre_matrix(112, 1.7, 0.4, (30, 20)))
    crop = CropSpec(kind=kind, size=112).place((240, 240), points5=points)
    np.testing.assert_allclose(crop.points(points), target, atol=1e-9)


def test_jitter_moves_about_the_centre():
    still = place("box", 100, scale=0.8)
    moved = place("box", 100, scale=0.8, jitter=Jitter(shift=(0.1, -0.2), rotation=0.3, zoom=0.2))
    centre = still.points_back(np.array([49.5, 49.5]))
    np.testing.assert_allclose(moved.points(centre), [59.5, 29.5], atol=1e-9)
    grown = np.linalg.det(moved.matrix[:2, :2]) / np.linalg.det(still.matrix[:2, :2])
    assert grown == pytest.approx((1.0 / 0.8) ** 2)


def test_extreme_zoom_stays_invertible():
    crop = place("whole", jitter=Jitter(zoom=-5.0))
    assert np.linalg.det(crop.matrix) > 0 and np.isfinite(crop.image(np.zeros((240, 220, 3), np.uint8))).all()


def test_antialias_removes_what_the_crop_cannot_show():
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    box = np.array([0, 0, 240, 240])
    plain = CropSpec(kind="box", size=50, scale=1.0).place((240, 240), box=box).image(stripes)
    smooth = CropSpec(kind="box", size=50, scale=1.0, antialias=True).place((240, 240), box=box).image(stripes)
    inner = (slice(5, -5), slice(5, -5))
    assert plain[inner].std() > 0.2
    assert smooth[inner].std() < 0.05
    assert smooth[inner].mean() == pytest.approx(0.5, abs=0.01)


def test_antialias_changes_nothing_when_the_crop_enlarges():
    image = np.random.default_rng(6).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    box = np.array([10, 10, 50, 50])
    one, two = (
        CropSpec(kind="box", size=128, scale=0.8, antialias=a).place((60, 60), box=box).image(image)
        for a in (False, True)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", PLACEMENTS)
def test_float_and_byte_images_agree(kind):
    image = np.random.default_rng(7).integers(0, 256, (240, 220, 3), dtype=np.uint8)
    crop = place(kind, 48, jitter=JITTER)
    for value in (crop.image(image), crop.image(image.astype(np.float32) / 255)):
        assert value.dtype == np.float32 and value.shape == (48, 48, 3)
    # Pillow rounds to 8 bits between its two passes and at the end; bicubic overshoot is clipped in bytes alone.
    np.testing.assert_allclose(crop.image(image), crop.image(image.astype(np.float64) / 255), atol=6e-3)


# ---------------------------------------------------------------- the specification


@given(
    kind=st.sampled_from(list(PLACEMENTS)),
    size=st.integers(2, 1024),
    scale=st.floats(0.1, 3),
    warp=st.floats(0, 1),
    antialias=st.booleans(),
)
def test_spec_survives_its_dict(kind, size, scale, warp, antialias):
    spec = CropSpec(kind=kind, size=size, scale=scale, warp=warp, antialias=antialias)
    assert CropSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "oval"}, "kind"),
        ({"size": 0}, "size"),
        ({"size": 64.0}, "size"),
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"warp": 1.5}, "warp"),
        ({"antialias": 1}, "antialias"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_spec_is_named(values, field):
    with pytest.raises(ConfigError, match=field):
        CropSpec.from_dict(values)


def test_missing_labels_and_wrong_images_are_named():
    with pytest.raises(DataError, match="no box"):
        CropSpec(kind="box", scale=0.8).place((10, 10))
    with pytest.raises(DataError, match="points5"):
        CropSpec(kind="align5").place((10, 10), points5=np.zeros((4, 2)))
    with pytest.raises(DataError, match="1 x 1"):
        CropSpec(kind="whole").place((0, 10))
    crop = CropSpec(kind="whole", size=16).place((10, 12))
    with pytest.raises(DataError, match="shape"):
        crop.image(np.zeros((12, 10, 3), np.uint8))
    with pytest.raises(DataError, match="uint8"):
        crop.mask(np.zeros((10, 12), np.int64))
    with pytest.raises(DataError, match="classes"):
        logits_back(crop, np.zeros((4, 4), np.float32))


def test_pictures_wider_than_opencv_samples_keep_their_place():
    """A strip of 40,000 pixels: OpenCV samples from 32,766 at most, so it is shrunk first, to the same places."""
    strip = np.zeros((3, 40_000, 3), np.uint8)
    strip[:, 30_000:] = 255
    wide = CropSpec(kind="box", size=64, scale=1.0).place(strip.shape[:2], box=np.array([0, 0, 40_000, 3]))
    edge = wide.points(np.array([30_000.0, 1.0]))[0]
    image, mask = wide.image(strip)[32, :, 0], wide.mask(strip[..., 0])[32]
    assert image[: int(edge)].max() == 0 and image[int(edge) + 1 :].min() == 1
    assert mask[: int(edge)].max() == 0 and mask[int(edge) + 1 :].min() == 255
    logits = np.stack([image * 0, np.where(np.arange(64) > edge, 1.0, -1.0)])[:, None].repeat(64, axis=1)
    back = wide.labels_back(logits)
    assert back.shape == (3, 40_000) and abs(int(np.argmax(back[1])) - 30_000) < 700
