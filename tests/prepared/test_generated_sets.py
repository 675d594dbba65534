"""Generated faces go through the readers of the published sets: nothing is lost, labels come back as drawn."""

import numpy as np
import pytest

import faceptor.synthesis.writers.layout as layouts
from faceptor.datasets import READERS
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.synthesis import synthesize
from tests.synthesis.fake import fake_render, published

COUNTS = {"train": 30, "test": 12}
RECOGNITION = {"train": 30, "identities": 6, "pairs": 20}
PARTS = ("train", "test", "all")
DRAWN_AT_RANDOM = ("mirrored", "pupil")  # the stand-in for the drawing puts points anywhere


@pytest.fixture
def generated(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "render", fake_render)

    def make(name):
        asked = RECOGNITION if name == "ms1mv3" else published(name, COUNTS)
        counts = synthesize(name, tmp_path / name, seed=1, workers=1, **asked)
        options = {"protocol": "subject_exclusive"} if name == "morph2" else {}
        folder = tmp_path / "prepared" / name
        arguments = {"validation": 0.2, "seed": 1, "max_rejects": 0.0, "options": options}
        return counts, prepare(name, tmp_path / name, folder, **arguments), folder

    return make


@pytest.mark.parametrize("name", READERS)
def test_every_generated_face_is_prepared(name, generated):
    counts, card, folder = generated(name)
    found = card["counts"]
    assert card["generated"] and card["rejects"]["count"] == 0
    assert sum(found.values()) == sum(counts.get(part, 0) for part in PARTS)
    assert min(found.values()) > 0
    failed = [c["name"] for c in card["checks"] if c["status"] == "fail"]
    assert not [name for name in failed if not any(word in name for word in DRAWN_AT_RANDOM)]
    groups = {part: set(open_split(folder, part).column("group")) for part in found}
    if "train" in groups:
        assert not groups["train"] & groups["val"]
    if len(groups) == 3:
        assert not (groups["train"] | groups["val"]) & groups["test"]


def test_landmarks_and_boxes_come_back_in_pixels(generated, tmp_path, monkeypatch):
    drawn = []

    def remember(face, **arguments):
        portrait = fake_render(face, **arguments)
        drawn.append(portrait.landmarks["68"])
        return portrait

    monkeypatch.setattr(layouts, "render", remember)
    counts = synthesize("300w", tmp_path / "300w", seed=1, workers=1, **COUNTS)
    prepare("300w", tmp_path / "300w", tmp_path / "out", validation=0.2, seed=1, max_rejects=0.0)
    read = np.concatenate([open_split(tmp_path / "out", part).column("landmarks") for part in ("train", "val", "test")])
    assert len(read) == sum(counts.values()) == len(drawn)
    distances = np.abs(read[:, None] - np.stack(drawn)[None]).max(axis=(2, 3))
    assert distances.min(axis=1).max() < 1e-3
