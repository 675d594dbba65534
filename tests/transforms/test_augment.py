"""Photometric steps against recorded arrays; policies: what they draw, what they keep, that they repeat."""

import copy
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceptor.errors import ConfigError
from faceptor.transforms import augment, geometry, photometric, rand_augment
from faceptor.transforms.augment import POLICIES, make_policy
from faceptor.transforms.crop import CropSpec
from tests.goldens import Golden, seeded

GOLDEN = Golden("geometry")
IMAGE = GOLDEN["photo.image"]
FACE = np.random.default_rng(0).random((64, 64, 3), np.float32)


# ---------------------------------------------------------------- recorded steps


def test_gray():
    GOLDEN.check("photo.gray", photometric.gray(IMAGE))


@pytest.mark.parametrize(("name", "power"), [("sqrt", 0.5), ("identity", 1.0), ("square", 2.0)])
def test_gamma(name, power):
    assert power in augment.GAMMAS
    GOLDEN.check(f"photo.gamma_{name}", photometric.gamma(IMAGE, power))


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_blur(kernel):
    GOLDEN.check(f"photo.blur_k{kernel}", photometric.blur(IMAGE, kernel))


@pytest.mark.parametrize("kernel", [0, 1])
def test_small_blur_does_nothing(kernel):
    assert photometric.blur(IMAGE, kernel) is IMAGE


def test_occlusion_boxes():
    boxes = [photometric.occlusion_box(draws, 512, 512) for draws in GOLDEN["occlusion.uniforms"]]
    GOLDEN.check("occlusion.zero_box_y0x0y1x1_inclusive", boxes)


def test_noise_fusion():
    noise = seeded("input:geom:noise").random((64, 64, 3))
    GOLDEN.check("noise_fusion.u0.37", photometric.fuse_noise(IMAGE, noise, 0.5 * 0.37))


@pytest.mark.parametrize(("name", "mean"), [("align", 0.8), ("parsing", 1.0)])
def test_jitter_is_the_recorded_random_transform(name, mean):
    """The matrix of a placed, jittered crop is the recorded one if the recorded draws come out of the generator."""

    class Recorded:  # hands out the recorded draws in the order shift, rotation, scale
        def __init__(self, draws):
            self.draws = [draws[:2], draws[2], draws[3] - mean]

        def uniform(self, low, high, size=None):
            return self.draws.pop(0)

        normal = uniform

    policy = make_policy({"align": "landmarks"}.get(name, name))
    matrices = []
    for box, draws in zip(GOLDEN["box_y1x1y2x2"], GOLDEN[f"random_matrix_{name}.draws"], strict=True):
        spec = CropSpec(kind="box", size=512, scale=mean)
        matrices.append(spec.place((300, 260), box=box[[1, 0, 3, 2]], jitter=policy.jitter(Recorded(draws))).matrix)
    GOLDEN.check(f"random_matrix_{name}.matrix", np.stack(matrices))


# ---------------------------------------------------------------- steps


def test_flip_mirrors_and_undoes_itself():
    np.testing.assert_array_equal(photometric.flip(IMAGE)[:, 0], IMAGE[:, -1])
    np.testing.assert_array_equal(photometric.flip(photometric.flip(IMAGE)), IMAGE)


@given(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4), st.integers(8, 300), st.integers(8, 300))
@settings(max_examples=100, deadline=None)
def test_occlusion_box_lies_inside(draws, height, width):
    y0, x0, y1, x1 = photometric.occlusion_box(draws, height, width)
    assert 0 <= y0 <= y1 < height and 0 <= x0 <= x1 < width
    assert y1 - y0 <= 0.4 * height + 1 and x1 - x0 <= 0.5 * width + 1


def test_occlude_blackens_both_ends_and_leaves_the_input():
    ones = np.ones((10, 10, 3), np.float32)
    image = photometric.occlude(ones, (2, 3, 4, 6))
    assert image[..., 0].sum() == 100 - 3 * 4 and ones.min() == 1
    assert not image[2:5, 3:7].any()


def test_erasing_is_standard_normal_after_normalisation():
    noise = np.random.default_rng(1).standard_normal((20, 30, 3), np.float32)
    image = photometric.erase(FACE, 5, 7, noise)
    np.testing.assert_allclose((image[5:25, 7:37] - 0.5) / 0.5, noise, atol=1e-5)
    image[5:25, 7:37] = FACE[5:25, 7:37]
    np.testing.assert_array_equal(image, FACE)


def test_erasing_windows_follow_the_published_ranges():
    rng = np.random.default_rng(2)
    windows = [w for w in (photometric.erasing_window(rng, 112, 112) for _ in range(500)) if w]
    assert len(windows) > 490
    for top, left, height, width in windows:
        assert 0 <= top <= 112 - height and 0 <= left <= 112 - width
        assert 0.015 < height * width / 112**2 < 0.35
        assert 0.25 < height / width < 4
    assert photometric.erasing_window(rng, 1, 1) is None


def test_rand_augment_changes_images_and_leaves_the_global_generators():
    before = random.getstate(), np.random.get_state()[1].copy()
    images = [rand_augment.rand_augment(FACE, rand_augment.RAND_AUGMENT, seed) for seed in range(12)]
    assert random.getstate() == before[0] and (np.random.get_state()[1] == before[1]).all()
    changed = [np.abs(image - FACE).max() > 0.02 for image in images]
    assert 4 <= sum(changed) <= 12
    again = rand_augment.rand_augment(FACE, rand_augment.RAND_AUGMENT, 3)
    np.testing.assert_array_equal(again, images[3])


def test_global_generators_come_back_after_an_error():
    before = random.getstate()
    with pytest.raises(RuntimeError), rand_augment.seeded_globals(1):
        random.random()
        raise RuntimeError
    assert random.getstate() == before


def test_posterize_may_leave_no_bit_at_all():
    """RandAugment's strongest posterize keeps 0 bits, which Pillow refuses: black, as Pillow answered before."""
    picture = Image.fromarray(np.full((4, 5, 3), 255, np.uint8))
    kept = [np.unique(np.asarray(rand_augment.posterize(picture, bits))).tolist() for bits in (-4, 0, 1, 4, 8)]
    assert kept == [[0], [0], [128], [240], [255]]


@pytest.mark.parametrize("config", [rand_augment.RAND_AUGMENT, "rand-m20-mmax20", "rand-m9-inc0"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 31), (16, 16)])
@pytest.mark.parametrize("sign", [0.0, 0.9])
def test_every_operation_of_rand_augment_at_both_ends(config, shape, sign, monkeypatch):
    transform = rand_augment._rand_augment_operations(config, min(shape))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    monkeypatch.setattr(random, "random", lambda: sign)  # whether an operation runs, and which way it turns
    for operation in transform.ops:
        for magnitude in (-1.0, 0.0, operation.magnitude_max or 10.0, 30.0):
            always = copy.copy(operation)
            always.prob, always.magnitude, always.magnitude_std = 1.0, magnitude, 0.0
            changed = always(picture)
            assert changed.size == picture.size and changed.mode == "RGB", operation.name


# ---------------------------------------------------------------- policies

SIDES = [(1, 1), (1, 9), (9, 1), (2, 2), (7, 7), (40, 40), (96, 64)]
ENDS = ("low", "high")


class End:
    """A generator whose every draw is the lowest or the highest one possible; normal draws lie eight sigma out."""

    def __init__(self, end):
        self.high = end == "high"

    def uniform(self, low=0.0, high=1.0, size=None):
        value = float(np.nextafter(high, low)) if self.high else low
        return value if size is None else np.full(size, value)

    def random(self, size=None, dtype=np.float64):
        value = self.uniform(0.0, 1.0) if dtype == np.float64 else float(np.nextafter(np.float32(1), np.float32(0)))
        return value if size is None else np.full(size, value, dtype)

    def normal(self, mean, sigma):
        return mean + (8 if self.high else -8) * sigma

    def standard_normal(self, size, dtype):
        return np.full(size, 8 if self.high else -8, dtype)

    def integers(self, low, high=None):
        low, high = (0, low) if high is None else (low, high)
        return high - 1 if self.high else low


def check_image(image, like):
    assert image.shape == like.shape and image.dtype == np.float32 and np.isfinite(image).all()


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("shape", SIDES)
def test_every_policy_on_every_size_and_on_extreme_draws(name, shape):
    """Random and extreme draws, on colour, gray, black and white pictures, also with every number at its highest."""
    numbers = make_policy(name).to_dict()
    widest = {key: 1.0 for key, value in numbers.items() if isinstance(value, float)}
    drawn = np.random.default_rng(1).random((*shape, 3), np.float32)
    pictures = [drawn, np.repeat(drawn[..., :1], 3, axis=2), np.zeros_like(drawn), np.ones_like(drawn)]
    for policy in (make_policy(name), make_policy(name, **widest)):
        for rng in (*(End(end) for end in ENDS), *(np.random.default_rng(seed) for seed in range(4))):
            for picture in pictures:
                jitter = policy.jitter(rng)
                assert jitter is None or np.isfinite([*jitter.shift, jitter.rotation, jitter.zoom]).all()
                image = photometric.flip(picture) if policy.mirror(rng) else picture
                check_image(policy.photometric(image, rng), picture)


@pytest.mark.parametrize("name", ["landmarks", "parsing", "facexformer"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (33000, 2), (2, 33000)])
def test_crops_displaced_to_the_ends_can_be_cut_from_every_size(name, end, size):
    picture = np.full((*size, 3), 200, np.uint8)
    box, points = np.array([0, 0, *size[::-1]]), np.array([[0, 0], [1, 0], [0.5, 0.5], [0, 1], [1, 1]]) * size[::-1]
    for kind in ("box", "align5", "whole", "square"):
        for warp in (0.0, 0.8):
            spec = CropSpec(kind=kind, size=16, warp=warp, antialias=end == "low")
            crop = spec.place(size, box=box, points5=points, jitter=make_policy(name).jitter(End(end)))
            check_image(crop.image(picture), np.zeros((16, 16, 3)))
            assert crop.mask(picture[..., 0]).shape == (16, 16)
            assert crop.labels_back(np.zeros((2, 4, 4))).shape == size
            assert np.isfinite(crop.points(points)).all()


def test_attributes_survive_ten_thousand_pictures():
    """Rare draws count: one picture in 650 asks for a posterize that leaves nothing."""
    policy, picture = make_policy("attributes"), FACE[:12, :12]
    rng, black = np.random.default_rng(0), 0
    for _ in range(10_000):
        image = policy.photometric(picture, rng)
        check_image(image, picture)
        black += not image.any()
    assert black > 0


@pytest.mark.parametrize("name", POLICIES)
def test_policy_repeats_and_leaves_its_input(name):
    policy = make_policy(name)
    keep = FACE.copy()
    outcomes = []
    for seed in (*range(6), 0):
        rng = np.random.default_rng(seed)
        moved, image = (policy.jitter(rng), policy.mirror(rng)), policy.photometric(FACE, rng)
        assert image.shape == FACE.shape and image.dtype == np.float32
        outcomes.append((moved, image))
    np.testing.assert_array_equal(FACE, keep)
    assert outcomes[0][0] == outcomes[-1][0]
    np.testing.assert_array_equal(outcomes[0][1], outcomes[-1][1])
    different = any(outcomes[0][0] != moved or (outcomes[0][1] != image).any() for moved, image in outcomes[1:])
    assert different == (name != "none")


@pytest.mark.parametrize("name", POLICIES)
def test_policy_survives_its_dict_and_a_process_boundary(name):
    policy = make_policy(name)
    assert make_policy(**policy.to_dict()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize("name", ["none", "flip", "attributes"])
def test_crops_of_identity_policies_stay(name):
    assert make_policy(name).jitter(np.random.default_rng(0)) is None


def draws_of(policy, count=4000):
    rng = np.random.default_rng(5)
    jitters = [policy.jitter(rng) for _ in range(count)]
    return np.array([[*j.shift, j.rotation, j.zoom] for j in jitters])


def test_landmark_jitter_is_uniform_in_the_published_ranges():
    draws = draws_of(make_policy("landmarks"))
    limit = np.array([0.05, 0.05, 0.174, 0.1])
    assert (np.abs(draws) <= limit).all()
    np.testing.assert_allclose(draws.std(axis=0), limit / np.sqrt(3), rtol=0.05)


def test_parsing_jitter_is_normal_but_for_the_shift():
    draws = draws_of(make_policy("parsing"))
    assert (np.abs(draws[:, :2]) <= 0.01).all()
    np.testing.assert_allclose(draws.std(axis=0), [0.01 / 3**0.5, 0.01 / 3**0.5, 0.314, 0.1], rtol=0.05)
    assert np.abs(draws[:, 2]).max() > 2 * 0.314


# ---------------------------------------------------------------- FaceXFormer


OFF = dict.fromkeys(("flip", "occlusion", "gray", "gamma", "blur", "colour"), 0.0)


@pytest.mark.parametrize("step", ["occlusion", "gray", "gamma", "blur", "colour"])
def test_a_printed_probability_is_that_of_a_changed_picture(step):
    """20 % gamma changes 20 % of the pictures: no draw leaves one as it is."""
    policy, rng = make_policy("facexformer", **OFF | {step: 0.2}, blur_sigma=0.05), np.random.default_rng(6)
    picture = FACE[:40, :40]
    changed = np.mean([(policy.photometric(picture, rng) != picture).any() for _ in range(2000)])
    assert changed == pytest.approx(0.2, abs=0.03)


def test_random_square_crops_stay_inside_and_reach_the_printed_share():
    policy = make_policy("facexformer", shift=0, rotation=0, zoom=0, crop=0.8)
    spec, rng, sides = CropSpec(kind="whole", size=64, scale=1.0), np.random.default_rng(9), []
    for _ in range(500):
        crop = spec.place((100, 100), jitter=policy.jitter(rng))
        low, high = crop.points_back(np.array([[-0.5, -0.5], [63.5, 63.5]]))
        assert (low >= -0.5 - 1e-9).all() and (high <= 99.5 + 1e-9).all()
        sides.append((high - low)[0] / 100)
    assert 0.8**0.5 <= min(sides) < 0.9 and 0.99 < max(sides) <= 1


def test_gaussian_blur_spreads_a_dot_as_wide_as_asked():
    dot = np.zeros((41, 41, 3), np.float32)
    dot[20, 20] = 1
    image = photometric.gaussian_blur(dot, 2.0)[..., 0]
    offsets = np.arange(41) - 20
    assert image.sum() == pytest.approx(1, abs=1e-4)
    assert np.sqrt((image.sum(axis=0) * offsets**2).sum()) == pytest.approx(2.0, rel=0.02)
    np.testing.assert_array_equal(photometric.gaussian_blur(dot, 0), dot)


def test_colour_jitter_leaves_and_drains_colours():
    np.testing.assert_allclose(photometric.colour_jitter(FACE, 1, 1, 1), FACE, atol=1e-6)
    np.testing.assert_allclose(photometric.colour_jitter(FACE, 1, 1, 0), photometric.gray(FACE), atol=1e-6)
    assert np.ptp(photometric.colour_jitter(FACE, 1, 0, 1)) < 1e-6
    np.testing.assert_allclose(photometric.colour_jitter(FACE, 0.5, 1, 1), FACE / 2, atol=1e-6)


def test_aligned_faces_stay_in_place_unless_told_how_far_to_move():
    most = {"shift": 0.05, "rotation": 0.1, "zoom": 0.2}
    rng = np.random.default_rng(0)
    assert make_policy("flip").jitter(rng) is None
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn
    drawn = [make_policy("flip", **most).jitter(rng) for _ in range(500)]
    for name, reach in most.items():
        values = np.abs([getattr(jitter, name) for jitter in drawn])
        assert 0.95 * reach < values.max() <= reach


@pytest.mark.parametrize("name", ["flip", "attributes", "landmarks", "parsing", "facexformer"])
def test_mirroring_is_drawn_as_often_as_asked(name):
    rng = np.random.default_rng(2)
    assert np.mean([make_policy(name, flip=0.3).mirror(rng) for _ in range(4000)]) == pytest.approx(0.3, abs=0.03)
    assert all(make_policy(name, flip=1.0).mirror(rng) for _ in range(20))
    assert not any(make_policy(name, flip=0.0).mirror(rng) for _ in range(20))


def test_faceptors_dense_tasks_do_not_mirror():
    rng = np.random.default_rng(2)
    before = rng.bit_generator.state
    assert not any(make_policy(name).mirror(rng) for name in ("none", "landmarks", "parsing"))
    assert rng.bit_generator.state == before


def test_only_randaugment_displaces():
    assert make_policy("attributes").displaces and not make_policy("attributes", randaugment="").displaces
    assert not any(make_policy(name).displaces for name in ("none", "flip", "landmarks", "parsing"))


@pytest.mark.parametrize("name", ["landmarks", "parsing"])
def test_zeros_switch_everything_off(name):
    numbers = make_policy(name).to_dict()
    policy = make_policy(name, **dict.fromkeys(set(numbers) - {"name"}, 0.0))
    rng = np.random.default_rng(3)
    assert np.abs(draws_of(policy, 20)).max() == 0
    np.testing.assert_array_equal(policy.photometric(FACE, rng), FACE)
    bare = make_policy("attributes", flip=0, randaugment="", erasing=0)
    assert bare.photometric(FACE, rng) is FACE


def test_certain_steps_are_those_of_the_functions():
    rng = np.random.default_rng(0)
    off = {"occlusion": 0, "noise": 0, "gray": 0, "gamma": 0, "blur": 0}
    gray = make_policy("landmarks", **{**off, "gray": 1}).photometric(FACE, rng)
    np.testing.assert_array_equal(gray, photometric.gray(FACE))
    dark = make_policy("landmarks", **{**off, "occlusion": 1}).photometric(FACE, rng)
    assert ((dark == 0) | (dark == FACE)).all() and (dark == 0).any()


def test_blur_widths_at_512_are_as_often_as_recorded(monkeypatch):
    widths = []
    monkeypatch.setattr(augment, "blur", lambda image, kernel: widths.append(kernel) or image)
    policy, rng = make_policy("parsing", gray=0, gamma=0), np.random.default_rng(4)
    blank = np.zeros((512, 512, 3), np.float32)
    for _ in range(4000):
        policy.photometric(blank, rng)
    share = np.bincount(widths, minlength=6) / 4000
    np.testing.assert_allclose(share, [0.196, 0.196, 0.194, 0.194, 0.196, 0.024], atol=0.02)


@pytest.mark.parametrize("name", ["landmarks", "parsing", "facexformer"])
def test_images_stay_between_black_and_white(name):
    policy = make_policy(name)
    for seed in range(20):
        image = policy.photometric(FACE, np.random.default_rng(seed))
        assert image.min() >= 0 and image.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "numbers", "named"),
    [
        ("mixup", {}, "policy"),
        ("flip", {"gamma": 0.1}, "gamma"),
        ("none", {"flip": 0.5}, "flip"),
        ("flip", {"flip": 1.5}, "flip"),
        ("landmarks", {"shift": -0.1}, "shift"),
        ("landmarks", {"shift": True}, "shift"),
        ("parsing", {"zoom": "wide"}, "zoom"),
        ("attributes", {"randaugment": 9}, "randaugment"),
        ("attributes", {"randaugment": "augmix-m3"}, "randaugment"),
        ("attributes", {"randaugment": "rand-x9"}, "randaugment"),
        ("attributes", {"randaugment": "rand-tnosuchset"}, "randaugment"),
    ],
)
def test_wrong_policy_is_named(name, numbers, named):
    with pytest.raises(ConfigError, match=named):
        make_policy(name, **numbers)


@pytest.mark.parametrize("config", ["rand", "rand-m5-n1-p0.5-mmax8-inc0", "rand-mstd1-tweights"])
def test_other_rand_augment_strings(config):
    image = make_policy("attributes", randaugment=config, erasing=0).photometric(FACE, np.random.default_rng(0))
    assert image.shape == FACE.shape and 0 <= image.min() <= image.max() <= 1


def test_centre_of_the_crop_is_where_the_policy_moves_it():
    rng = np.random.default_rng(8)
    spec, box = CropSpec(kind="box", size=64, scale=0.8), np.array([20, 30, 120, 110])
    still = spec.place((200, 200), box=box)
    moved = make_policy("landmarks").jitter(rng)
    crop = spec.place((200, 200), box=box, jitter=moved)
    centre = geometry.transform(np.array([31.5, 31.5]), np.linalg.inv(still.matrix))
    np.testing.assert_allclose(crop.points(centre) - 31.5, np.array(moved.shift) * 64, atol=1e-9)
