"""Mirroring: the labels of a mirrored photograph give the mirrored target, and training mirrors both together."""

import numpy as np
import pytest
import torch

from faceptor.datasets.labels import flip_classes, landmark_scheme
from faceptor.errors import ConfigError
from faceptor.tasks import KINDS, TASKS
from faceptor.training.batches import ImageCache, TaskStream
from faceptor.transforms.augment import make_policy
from faceptor.transforms.crop import CropSpec

SIDE = 48
WHOLE = CropSpec(kind="whole", size=SIDE)


def mirrored_sample(spec, sample: dict) -> dict:
    """What the owners would have labelled on the mirrored photograph."""
    scheme = spec.options.get("scheme")
    changes = {
        "landmarks": lambda xy: landmark_scheme(scheme).mirrored(xy, SIDE),
        "mask": lambda mask: np.append(flip_classes(scheme), range(spec.queries, 256))[mask[:, ::-1]].astype(np.uint8),
        "visibility": lambda flags: flags[list(landmark_scheme(scheme).flip)],
        "pose": lambda angles: angles * np.float32([1, -1, -1]),
    }
    changed = {name: changes.get(name, lambda value: value)(value) for name, value in sample.items()}
    return changed | {"image": sample["image"][:, ::-1].copy()}


def sample_of(spec, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    queries = max(spec.queries, 1)
    labels = {
        "landmarks": rng.uniform(4, SIDE - 4, (queries, 2)).astype(np.float32),
        "mask": rng.integers(0, queries, (SIDE, SIDE)).astype(np.uint8),
        "visibility": rng.integers(-1, 2, queries).astype(np.int8),
        "pose": rng.uniform(-60, 60, 3).astype(np.float32),
        "age": 33.0,
        "attributes": rng.integers(-1, 2, queries).astype(np.int8),
    }
    if "ignore" in spec.options:
        labels["mask"][: SIDE // 3] = spec.options["ignore"]
    columns = KINDS[spec.kind].columns
    known = {name: labels.get(name, 1) for name in columns}
    image = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    return {"key": f"face{seed}", "size": (SIDE, SIDE), "image": image, "subsets": (), **known}


@pytest.mark.parametrize("name", list(TASKS))
def test_target_of_the_mirrored_photograph_is_the_mirrored_target(name):
    spec = TASKS[name]
    kind, sample = KINDS[spec.kind], sample_of(spec)
    crop = WHOLE.place((SIDE, SIDE))
    target = kind.target(spec, sample, crop)
    expected = kind.target(spec, mirrored_sample(spec, sample), crop)
    found = kind.mirrored(spec, target)
    assert set(found) == set(target)
    for key in target:
        assert found[key].dtype == target[key].dtype and found[key].shape == target[key].shape
        np.testing.assert_allclose(found[key], expected[key], atol=1e-6)
        np.testing.assert_allclose(kind.mirrored(spec, found)[key], target[key], atol=1e-6)


def stream(spec, policy, split):
    return TaskStream(spec=spec, split=split, crop=WHOLE, policy=policy, samples=2, seed=3, cache=ImageCache(2**20))


@pytest.mark.parametrize("name", ["landmarks_300w", "parsing_lapa", "pose_300wlp", "visibility_cofw", "gender_utkface"])
def test_training_mirrors_image_and_labels_together(name, fake_split):
    spec = TASKS[name]
    split = fake_split([sample_of(spec, seed) for seed in range(3)])
    plain, mirrored = (stream(spec, make_policy("flip", flip=flip), split) for flip in (0.0, 1.0))
    for position in range(3):
        (image, target), (other, changed) = plain.example(position), mirrored.example(position)
        assert np.array_equal(other, image[:, ::-1])
        expected = KINDS[spec.kind].mirrored(spec, target)
        assert all(np.array_equal(changed[key], expected[key]) for key in target)
        assert all(torch.as_tensor(value).shape == target[key].shape for key, value in changed.items())


@pytest.mark.parametrize("name", ["landmarks_300w", "parsing_lapa", "pose_300wlp"])
def test_labels_with_a_place_refuse_randaugment(name, fake_split):
    spec = TASKS[name]
    split = fake_split([sample_of(spec)])
    with pytest.raises(ConfigError, match=rf"{name}: augment: RandAugment.*{spec.kind}.*randaugment"):
        stream(spec, make_policy("attributes"), split)
    stream(spec, make_policy("attributes", randaugment=""), split)
    stream(TASKS["visibility_cofw"], make_policy("attributes"), split)
