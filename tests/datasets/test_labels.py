"""Label facts: flip permutations are involutions and keep image-left on the left; tables have their sizes."""

import numpy as np
import pytest

from faceptor.datasets import labels
from faceptor.errors import ConfigError


@pytest.mark.parametrize("name", labels.facts()["landmarks"])
def test_flips_are_involutions_that_swap_the_eyes(name):
    scheme = labels.landmark_scheme(name)
    flip = np.array(scheme.flip)
    assert len(flip) == scheme.count
    np.testing.assert_array_equal(flip[flip], np.arange(scheme.count))
    for left, right in [pair for pair in (scheme.inter_ocular,) if pair]:
        assert flip[left] == right
    points = np.random.default_rng(0).uniform(0, 99, (scheme.count, 2))
    np.testing.assert_allclose(scheme.mirrored(scheme.mirrored(points, 100), 100), points)


@pytest.mark.parametrize("name", labels.facts()["landmarks"])
def test_left_groups_mirror_onto_right_groups(name):
    scheme = labels.landmark_scheme(name)
    for group in scheme.groups:
        if group.startswith("left_"):
            mirrored = {scheme.flip[index] for index in scheme.group(group)}
            assert mirrored == set(scheme.group(group.replace("left_", "right_")))


@pytest.mark.parametrize("name", labels.facts()["landmarks"])
def test_five_points_of_the_mirror_are_the_mirrored_five(name):
    scheme = labels.landmark_scheme(name)
    points = np.random.default_rng(1).uniform(0, 99, (scheme.count, 2))
    mirrored = scheme.five_points(scheme.mirrored(points, 100))
    expected = scheme.five_points(points)[[1, 0, 2, 4, 3]] * (-1, 1) + (99, 0)
    np.testing.assert_allclose(mirrored, expected)


PARSING = [
    ("CelebAMask-HQ", labels.CELEBAMASK_19), ("LaPa", labels.LAPA_11), ("FaceSynthetics", labels.FACESYNTHETICS_19),
]  # fmt: skip


@pytest.mark.parametrize(("name", "classes"), PARSING)
def test_parsing_flips(name, classes):
    flip = labels.flip_classes(name)
    assert [flip[flip[i]] for i in range(len(classes))] == list(range(len(classes)))


def test_facesynthetics_begins_with_300w_and_its_sides_change_in_the_mirror():
    scheme, ibug = labels.landmark_scheme("FaceSynthetics"), labels.landmark_scheme("300W")
    assert scheme.flip[:68] == ibug.flip and scheme.inter_ocular == ibug.inter_ocular and scheme.five == ibug.five
    names, flip = labels.FACESYNTHETICS_19, labels.flip_classes("FaceSynthetics")
    swapped = {"left_": "right_", "right_": "left_"}
    for i, name in enumerate(names):
        side = next((side for side in swapped if name.startswith(side)), "")
        assert names[flip[i]] == name.replace(side, swapped.get(side, ""), 1)


def test_sizes():
    assert [len(t) for t in (labels.CELEBA_40, labels.LFW_73, labels.EXPRESSIONS, labels.AGES)] == [40, 73, 7, 101]
    assert sorted(labels.RAFDB_TO_UNIFIED.values()) == list(range(7)) and labels.VERIFICATION["cfp_fp"] == 7000


def test_300w_normalisers():
    scheme = labels.landmark_scheme("300W")
    assert scheme.inter_ocular == (36, 45) and scheme.inter_pupil == (tuple(range(36, 42)), tuple(range(42, 48)))
    assert list(scheme.group("jaw")) == list(range(17))


def test_templates():
    assert labels.alignment_template("arcface_112x112").shape == (5, 2)
    np.testing.assert_array_equal(labels.alignment_template("farl_512x512_before_scaling")[2], [256, 286])


def test_unknown_names():
    with pytest.raises(ConfigError, match="300W"):
        labels.landmark_scheme("300w")
    with pytest.raises(ConfigError, match="jaw"):
        labels.landmark_scheme("300W").group("ear")
