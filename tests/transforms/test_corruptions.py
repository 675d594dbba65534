"""Corruptions: pure, bounded, more of them changes more, and a face is spoilt alike wherever it is looked at."""

import numpy as np
import pytest

from faceptor.errors import ConfigError
from faceptor.transforms.corruptions import CORRUPTIONS, Corrupted, corruption
from faceptor.transforms.crop import CropSpec

STRENGTHS = {
    "blur": (0.01, 0.05), "occlusion": (0.1, 0.4), "noise": (0.05, 0.3), "resolution": (32, 8), "jpeg": (60, 5),
    "light": (0.8, 0.2), "contrast": (0.8, 0.1), "turn": (5, 40),
}  # fmt: skip
SAMPLE = {"key": "face 1", "size": (60, 50), "image": np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8)}
SPEC = CropSpec(kind="whole", size=48)


def seen(name, strength, sample=SAMPLE):
    return Corrupted(SPEC, name, strength).place_sample(sample).image(sample["image"])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_crop_is_spoilt_more_by_more_and_alike_again(name):
    clean, before = SPEC.place_sample(SAMPLE).image(SAMPLE["image"]), SAMPLE["image"].copy()
    weak, strong = (seen(name, strength) for strength in STRENGTHS[name])
    assert np.array_equal(SAMPLE["image"], before) and np.array_equal(strong, seen(name, STRENGTHS[name][1]))
    assert strong.shape == clean.shape and strong.dtype == np.float32 and 0 <= strong.min() <= strong.max() <= 1
    assert 0 < np.abs(weak - clean).mean() < np.abs(strong - clean).mean()


@pytest.mark.parametrize("name", [name for name, how in CORRUPTIONS.items() if how.clean is not None])
def test_the_clean_strength_changes_nothing(name):
    assert np.allclose(seen(name, CORRUPTIONS[name].clean), SPEC.place_sample(SAMPLE).image(SAMPLE["image"]), atol=1e-6)


def test_an_occluder_covers_what_it_says_inside_the_crop():
    for key in "abcdef":
        image = seen("occlusion", 0.25, SAMPLE | {"key": key, "image": np.full((60, 50, 3), 255, np.uint8)})
        assert (image == 0.5).mean() == pytest.approx(0.25)


def test_points_and_masks_are_turned_with_the_picture_and_else_left():
    point = np.array([[10.0, 20.0]])
    assert np.allclose(
        Corrupted(SPEC, "blur", 0.05).place_sample(SAMPLE).points(point), SPEC.place_sample(SAMPLE).points(point)
    )
    turned = Corrupted(SPEC, "turn", 30).place_sample(SAMPLE)
    assert np.allclose(turned.points_back(turned.points(point)), point, atol=1e-3)


@pytest.mark.parametrize(("name", "strength"), [("fog", 1), ("jpeg", 0), ("occlusion", 1.5), ("light", True)])
def test_what_means_nothing_is_refused(name, strength):
    with pytest.raises(ConfigError, match=name):
        corruption(name, strength)
