"""Faces and a model to look at, also where nothing was trained or prepared."""

import shutil
from pathlib import Path

import pytest

from faceptor.errors import ConfigError
from faceptor.pipeline import material
from faceptor.pipeline.experiment import preset
from faceptor.prepared.reading import read_card
from faceptor.synthesis import synthesize

TASK = "expression_rafdb"


def files(folder):
    return {path.read_bytes() for path in folder.rglob("*.jpg")}


def test_a_missing_data_set_is_drawn_small_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(material, "FACES", 16)
    found = preset("embedded")
    samples = material.samples_of(found, TASK, faces=2, root=tmp_path)
    cards = list((tmp_path / "runs/material").rglob("card.json"))
    assert len(samples) == 2 and all(sample["image"].ndim == 3 and "expression" in sample for sample in samples)
    assert len(cards) == 1 and list(tmp_path.iterdir()) == [tmp_path / "runs"]

    monkeypatch.setattr(material, "synthesize_set", None)  # would fail, were it drawn again
    again = material.samples_of(found, TASK, faces=2, root=tmp_path)
    assert [sample["key"] for sample in again] == [sample["key"] for sample in samples]

    full = tmp_path / "full"  # as the pipeline draws it: what the shipped model was trained on
    synthesize("rafdb", full, seed=found.params.data.seed, train=8, test=1, workers=1)
    assert files(full) and files(small := cards[0].parents[3] / "generated") and not files(full) & files(small)

    own = tmp_path / found.prepared("rafdb")  # the data set itself comes first
    shutil.copytree(cards[0].parent, own)
    assert material.prepared_of(found, "rafdb", root=tmp_path) == own


def test_a_set_for_tests_alone_stays_one(tmp_path, monkeypatch):
    monkeypatch.setattr(material, "FACES", 2)
    folder = material.prepared_of(preset("embedded"), "aflw2000", root=tmp_path)
    assert read_card(folder)["counts"] == {"test": 2}


def test_a_real_data_set_is_never_drawn(tmp_path):
    with pytest.raises(ConfigError, match=r"datasets.rafdb: .*not prepared.*faceptor preprocess rafdb"):
        material.samples_of(preset("base"), TASK, faces=2, root=tmp_path)
    with pytest.raises(ConfigError, match="split 'test'"):
        material.samples_of(preset("base"), TASK, "test", faces=3, root=Path())
