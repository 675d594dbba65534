"""How faces lie in a data set's crops is measured once."""

import json

import numpy as np
import pytest

from faceptor.pipeline import framings
from faceptor.tasks import task
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.framing import Framing

WHOLE = CropSpec(kind="whole", size=32)


class Found:
    """An experiment with one data set and one crop."""

    def __init__(self, folder, crop=WHOLE):
        self.folder, self.cut = folder, crop

    def prepared(self, dataset):
        return self.folder / dataset

    def crop(self, name, mode):
        return self.cut


@pytest.fixture
def looked(tmp_path, monkeypatch):
    """Tasks that were measured, and the hash of the training pictures."""
    state = {"measured": [], "split": "one", "framing": Framing(-1, -1.5, 1, 0.5)}

    def measure(spec, split, crop, *, limit):
        state["measured"].append(spec.name)
        return state["framing"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(framings, "measure_framing", measure)
    monkeypatch.setattr(framings, "open_split", lambda folder, part: [{"image": np.zeros((4, 4, 3), np.uint8)}])
    monkeypatch.setattr(framings, "content_hashes", lambda folder: {"train": state["split"]})
    return state


def test_tasks_of_one_data_set_that_are_cut_alike_share_a_measurement(tmp_path, looked):
    found = Found(tmp_path)
    first, second = (
        framings.framing_of(found, task(name), pictures=24) for name in ("race_fairface", "gender_fairface")
    )
    assert first == second == looked["framing"]
    assert looked["measured"] == ["race_fairface"]
    kept = json.loads((tmp_path / "runs/framings/fairface.json").read_text())
    assert [each["framing"] for each in kept["framings"]] == [[-1, -1.5, 1, 0.5]]


def test_it_is_measured_again_where_pictures_crop_or_code_are_others(tmp_path, looked, monkeypatch):
    spec = task("race_fairface")

    def ask(crop=WHOLE, pictures=24):
        framings.framing_of(Found(tmp_path, crop), spec, pictures=pictures)
        return len(looked["measured"])

    assert [ask(), ask()] == [1, 1]
    assert [ask(CropSpec(kind="square", size=32)), ask(), ask(pictures=12)] == [2, 2, 3]
    looked["split"] = "another"
    assert [ask(), ask()] == [4, 4]
    monkeypatch.setattr(framings, "framing_version", lambda: "new")
    assert [ask(), ask()] == [5, 5]


def test_that_no_face_was_located_is_kept_too_and_a_damaged_file_is_written_anew(tmp_path, looked):
    looked["framing"], spec = None, task("race_fairface")
    assert framings.framing_of(Found(tmp_path), spec, pictures=24) is None
    assert framings.framing_of(Found(tmp_path), spec, pictures=24) is None
    assert len(looked["measured"]) == 1
    (tmp_path / "runs/framings/fairface.json").write_text("{")
    assert framings.framing_of(Found(tmp_path), spec, pictures=24) is None
    assert len(looked["measured"]) == 2
