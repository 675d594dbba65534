"""Pose, visibility, gender, race and age group from a reader's record to the prepared sample and the dataset card."""

import re
from dataclasses import replace

import numpy as np
import pytest

import faceptor.prepared.prepare as module
from faceptor.datasets.reader import Reader, Record
from faceptor.errors import DataError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split, read_card
from tests.datasets.published import jpg

POINTS = np.float32([[10 + i % 7, 10 + i] for i in range(29)])
GOOD = Record(
    key="a",
    split="train",
    image=jpg(),
    landmarks=POINTS,
    pose=np.float32([-12.5, 30, 179]),
    visibility=np.int8([1, 0, -1] * 9 + [1, 0]),
    gender=1,
    race=2,
    agegroup=0,
)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepare these records with every new column."""

    def make(*records, published=("train",), **options):
        class Everything(Reader):
            name, title, source, licence = "everything", "Everything", "here", "none"
            scheme, strict_counts = "COFW", False
            columns = ("landmarks", "pose", "visibility", "gender", "race", "agegroup")
            classes = {"gender": ("male", "female"), "race": ("x", "y", "z"), "agegroup": ("young", "old")}  # noqa: RUF012

            def read(self, split):
                return (record for record in records if record.split == split)

        Everything.published = dict.fromkeys(published, len(records))
        monkeypatch.setattr(module, "reader_class", lambda name, key: Everything)
        return prepare("everything", tmp_path, tmp_path / "out", **{"validation": 0.0, "seed": 1} | options)

    return make


def test_labels_come_back_with_their_types(prepared, tmp_path):
    card = prepared(GOOD, replace(GOOD, key="b", pose=np.float32([1, -2, 3]), gender=0))
    split = open_split(tmp_path / "out", "train")
    sample = split[0]
    np.testing.assert_array_equal(sample["pose"], GOOD.pose)
    np.testing.assert_array_equal(sample["visibility"], GOOD.visibility)
    assert (sample["pose"].dtype, sample["visibility"].dtype) == (np.float32, np.int8)
    assert [sample[name] for name in ("gender", "race", "agegroup")] == [1, 2, 0]
    assert split.column("pose").shape == (2, 3) and split.column("visibility").shape == (2, 29)
    assert split.column("gender").tolist() == [1, 0]
    labels = card["labels"]["train"]
    assert labels["gender"] == {"male": 1, "female": 1} and labels["race"] == {"x": 0, "y": 0, "z": 2}
    assert labels["pose"] == {"pitch": [-12.5, 1.0], "yaw": [-2.0, 30.0], "roll": [3.0, 179.0]}
    assert labels["visibility"] == {"visible": 20, "occluded": 20, "unknown": 18}
    assert read_card(tmp_path / "out") == card


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"pose": np.float32([0, np.nan, 0])}, "three finite angles"),
        ({"pose": np.float32([0, 200, 0])}, "within 180"),
        ({"pose": np.zeros(2, np.float32)}, "three finite angles"),
        ({"pose": None}, "three finite angles"),
        ({"visibility": np.full(29, 2, np.int8)}, "29 values of -1, 0 or 1"),
        ({"visibility": np.ones(28, np.int8)}, "29 values of -1, 0 or 1"),
        ({"gender": 2}, r"gender: expected a class in 0\.\.1, found 2"),
        ({"race": -1}, r"race: expected a class in 0\.\.2, found -1"),
        ({"agegroup": None}, "agegroup: expected a class"),
    ],
)
def test_a_bad_label_rejects_its_sample_alone(wrong, reason, prepared):
    card = prepared(GOOD, replace(GOOD, key="bad", **wrong), max_rejects=0.5)
    (reject,) = card["rejects"]["first"]
    assert reject["key"] == "bad" and card["counts"] == {"train": 1}
    assert re.search(reason, reject["reason"])


def test_a_set_for_evaluation_needs_no_training_split(prepared, tmp_path):
    test = replace(GOOD, split="test")
    card = prepared(test, published=("test",), validation=0.2)
    assert card["counts"] == {"test": 1} and not (tmp_path / "out/train").exists()
    assert len(open_split(tmp_path / "out", "test")) == 1
    with pytest.raises(DataError, match="no train split"):
        open_split(tmp_path / "out", "train")
    with pytest.raises(DataError, match="no sample left for train"):
        prepared(test, published=("train", "test"))  # one that publishes it does
    with pytest.raises(DataError, match="no sample found"):
        prepared(published=("test",))
