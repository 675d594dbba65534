"""Batches on their way to a device: what travels as bytes, and that no number depends on which process made them."""

import numpy as np
import pytest
import torch
from PIL import Image

from faceptor.datasets.readers.generic import Generic
from faceptor.datasets.subset import Chosen, Spread
from faceptor.evaluation.constants import KeptConstants, facts_of
from faceptor.evaluation.cropped import Cropped, batches_of
from faceptor.evaluation.measure import Validator, measure
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.prepared.reduced import Reduced
from faceptor.tasks import KINDS, task
from faceptor.training.batches import ImageCache, Steps, TaskStream, ready, stream_batches
from faceptor.training.loader_rates import loader_rates
from faceptor.training.packed import Packed
from faceptor.transforms.augment import make_policy
from faceptor.transforms.crop import CropSpec, Jitter
from faceptor.transforms.tensors import to_tensor, unit_tensor
from tests import toy

FACES = np.random.default_rng(2).integers(0, 256, (6, 40, 36, 3), dtype=np.uint8)


def stream(policy: str, kind: str, **numbers) -> TaskStream:
    return TaskStream(
        spec=task("age_morph2"), split=toy.FakeSplit(3), crop=CropSpec(kind=kind, size=32),
        policy=make_policy(policy, **numbers), samples=8, seed=5, cache=ImageCache(0),
    )  # fmt: skip


def test_bytes_become_the_floats_that_numpy_makes():
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(unit_tensor(torch.from_numpy(every)).numpy(), every.astype(np.float32) / np.float32(255))


CASES = [
    ("none", "whole", {}, torch.uint8, 0),
    ("flip", "square", {}, torch.uint8, 0),
    ("attributes", "box", {"erasing": 0.0}, torch.uint8, 0),  # RandAugment rounds
    ("attributes", "square", {"erasing": 0.5}, torch.uint8, 4),  # noise does not fit into 8 bits
    ("attributes", "box", {"randaugment": ""}, torch.float32, 0),
    ("parsing", "square", {"shift": 0.0, "rotation": 0.0, "zoom": 0.0}, torch.float32, 0),
]


@pytest.mark.parametrize(("policy", "kind", "numbers", "travels", "floats"), CASES)
def test_a_batch_travels_as_bytes_where_they_hold_it_and_arrives_as_its_samples(policy, kind, numbers, travels, floats):
    one = stream(policy, kind, **numbers)
    batch = Steps({"age": one}, steps=1)[0]
    assert batch["age"]["image"].dtype == travels and len(batch["age"].get("float_rows", ())) == floats
    arrived = ready(Packed.of(batch).unpacked())["age"]
    assert arrived["image"].dtype == torch.float32 and set(arrived) == {"image", "age"}
    assert torch.equal(arrived["image"], torch.stack([to_tensor(one.example(position)[0]) for position in range(8)]))
    assert torch.equal(arrived["age"], batch["age"]["age"])


def test_every_kind_of_tensor_survives_packing():
    batch = {
        "a": {"image": torch.arange(5, dtype=torch.uint8), "none": torch.zeros(0, 3), "flag": torch.tensor([True])},
        "b": {"point": torch.randn(3, 2), "label": torch.tensor([7, -1]), "one": torch.tensor(2.5)},
    }
    found = Packed.of(batch).unpacked()
    assert list(found) == list(batch)
    for name, parts in batch.items():
        assert list(found[name]) == list(parts)
        for key, value in parts.items():
            assert found[name][key].dtype == value.dtype and torch.equal(found[name][key], value)


def test_batches_do_not_depend_on_the_number_of_loader_processes():
    alone, helped = (list(stream_batches(toy.steps(4), start=1, workers=workers)) for workers in (0, 2))
    assert len(alone) == len(helped) == 3
    for one, other in zip(alone, helped, strict=True):
        assert list(one) == list(other)
        assert all(torch.equal(one[name][key], other[name][key]) for name in one for key in one[name])


# --- validation and tests --------------------------------------------------------------------------------------------


def test_numbers_of_a_test_do_not_depend_on_the_number_of_loader_processes():
    model, _ = toy.model_and_criteria()
    for name in toy.TASKS:
        spec, crop, split = task(name), CropSpec(kind="box", size=32, scale=0.8), toy.FakeSplit(1, size=9)
        baseline = KINDS[spec.kind].constant_baseline(spec, _Labels(split), crop.place_sample)
        alone, helped = (
            measure(model, spec, split, crop, batch=4, baseline=baseline, workers=workers) for workers in (0, 2)
        )
        assert alone.metrics == helped.metrics and alone.skill == helped.skill
        assert alone.metric.groups == helped.metric.groups and alone.intervals(seed=1) == helped.intervals(seed=1)


class _Labels:
    """A split of which a constant baseline reads labels."""

    def __init__(self, split):
        self.split = split

    def __len__(self):
        return len(self.split)

    def sample(self, index, **_):
        return self.split[index]

    def column(self, name):
        return np.array([sample[name] for sample in self.split.samples])


def test_cropped_samples_are_those_of_the_split_in_order():
    split, crop = toy.FakeSplit(1, size=7), CropSpec(kind="whole", size=32)
    parts = [Cropped(split, crop, batch=3), Cropped(Chosen(split, [5, 2]), crop, batch=3, whole=False)]
    batches = list(batches_of(parts, workers=2))
    assert [[sample["key"] for sample in batch.samples] for batch in batches] == [
        ["0", "1", "2"], ["3", "4", "5"], ["6"], ["5", "2"],
    ]  # fmt: skip
    assert batches[0].images["image"].dtype == torch.uint8
    assert ["image" in batch.samples[0] for batch in batches] == [True, True, True, False]
    expected = to_tensor(crop.place_sample(split[5]).image(split[5]["image"]))
    assert torch.equal(batches[3].images_on("cpu")[0], expected)


def validator(split, crop, asked, **options) -> Validator:
    spec = task("age_morph2")
    constant = KINDS[spec.kind].constant_baseline(spec, _Labels(split))

    def baseline(sample, placed):
        asked.append(sample["key"])
        return constant(sample, placed)

    return Validator(*({spec.name: each} for each in (split, spec, crop, baseline)), batch=16, device="cpu", **options)


def test_constants_are_measured_once_and_kept_by_what_shapes_them(tmp_path):
    """A look before the training, the rest at the first validation, nothing at the second or in the next run."""
    split, crop = toy.FakeSplit(1, size=40), CropSpec(kind="box", size=32, scale=0.8)
    model, _ = toy.model_and_criteria()
    facts = facts_of(task("age_morph2"), crop, Spread(split, 40), {"train": "t", "val": "v"})
    asked = []
    first = validator(split, crop, asked, constants=KeptConstants(tmp_path, {"age_morph2": facts}))
    assert len(asked) == 32
    found = first(model)
    assert len(asked) == 32 + 40 and first(model) == found and len(asked) == 72
    again = validator(split, crop, asked, constants=KeptConstants(tmp_path, {"age_morph2": facts}))
    assert again(model) == found == validator(split, crop, asked[:0])(model) and len(asked) == 72
    validator(split, crop, asked, constants=KeptConstants(tmp_path, {"age_morph2": facts | {"val": "other"}}))
    assert len(asked) == 72 + 32


def test_what_a_batch_costs_is_told_from_a_loader_process():
    found = loader_rates(toy.steps(2), images=2)
    assert set(found.images_per_second) == set(toy.TASKS) and min(found.images_per_second.values()) > 0
    assert found.cores_for(2.0) == pytest.approx(found.core_seconds / 2)
    pixels = 3 * 3 * 32 * 32  # of three images, as every task has
    assert found.float_bytes == 3 * 4 * pixels and 3 * 4 * pixels < found.bytes < 3 * 4 * pixels + 10_000  # all boxes


# --- fewer pixels ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A prepared set of smooth pictures of 203 x 181 pixels, as JPEG."""
    home = tmp_path_factory.mktemp("photographs")
    (home / "in").mkdir()
    rows = ["file,part,spots"]
    for name in range(4):
        y, x = np.mgrid[:203, :181] / 40
        picture = np.stack([np.sin(x + name), np.cos(y - x), np.sin(y * 1.3)], axis=-1)
        Image.fromarray((127 + 120 * picture).astype(np.uint8)).save(home / "in" / f"{name}.jpg", quality=95)
        rows.append(f"{name}.jpg,train,{20 + name}")
    (home / "in" / "labels.csv").write_text("\n".join(rows))
    described = {"labels": "labels.csv", "image": "file", "split": "part", "age": "spots"}
    prepare(
        "mine", home / "in", home / "out", validation=0.0, seed=1, max_rejects=0.5, reader=Generic.name,
        options={"description": described},
    )  # fmt: skip
    return home / "out"


@pytest.mark.parametrize(
    ("kind", "size", "sides"), [("square", 28, (51, 46)), ("whole", 60, (102, 91)), ("whole", 100, (203, 181))]
)
def test_a_reduced_picture_gives_nearly_the_same_crop_with_the_same_labels(photographs, kind, size, sides):
    whole, crop = open_split(photographs, "train"), CropSpec(kind=kind, size=size)
    for row, split in ((2, Reduced(whole, crop)), (1, Reduced(Chosen(whole, [0, 2]), crop))):
        sample, full = split[row], whole[2]
        assert sample["image"].shape[:2] == sides and sample["size"] == full["size"] == (203, 181)
        assert {key: sample[key] for key in ("key", "age")} == {key: full[key] for key in ("key", "age")}
        placed = crop.place_sample(full, jitter=Jitter(rotation=0.2, shift=(0.02, -0.04), zoom=0.1))
        few, many = placed.on(sample["image"].shape[:2]).image(sample["image"]), placed.image(full["image"])
        assert np.abs(few - many)[2:-2, 2:-2].mean() < 0.003


@pytest.mark.parametrize(("antialias", "fewer"), [(True, 4), (False, 1)])
def test_only_a_crop_that_smooths_takes_fewer_pixels(antialias, fewer):
    crop = CropSpec(kind="box", size=27, antialias=antialias)
    assert crop.place((203, 181), box=np.array([3, 5, 170, 190])).spare() == fewer
