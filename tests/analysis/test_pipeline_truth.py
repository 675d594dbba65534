"""The ways to a crop: what differs between views, what is lost by whom, and faces that were missed."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from faceptor.analysis import pipeline_figures, pipeline_truth
from faceptor.analysis.task_faces import TaskFaces
from faceptor.errors import DataError
from faceptor.pipeline import face_search
from faceptor.predict.detector import Detection
from faceptor.tasks import TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.transforms.crop import CropSpec, Jitter
from tests.models.toy_models import toy_model

SPEC, SPEC_OF = CropSpec(kind="whole", size=32), TASKS["age_utkface"]
RNG = np.random.default_rng(2)
SAMPLES = [
    {"key": f"{i}", "size": (40, 40), "age": float(age), "image": np.full((40, 40, 3), i, np.uint8)}
    for i, age in enumerate(RNG.integers(10, 80, 30))
]


@dataclass(frozen=True)
class Seen(TaskFaces):
    """Ages that are off by 100 years per crop side by which the view is displaced."""

    def answers(self, crop=None, *, batch):
        told = []
        for sample in self.samples:
            view = (crop or self.crop).place_sample(sample)
            moved = pipeline_truth.view_shift(SPEC.place_sample(sample), view)["moved"]
            told.append(AgePrediction(sample["age"] + 1 + 100 * moved, np.ones(101) / 101))
        return told


def moved(sample, share):
    return SPEC.place_sample(sample, jitter=Jitter(shift=(share, 0.0)))


def truth(*, boxed, found, shared=None):
    constant = AgePrediction(45.0, np.ones(101) / 101)
    task = Seen(None, SPEC_OF, SAMPLES, SPEC, lambda sample, crop: constant, {})
    views = pipeline_truth.Views([SPEC.place_sample(sample) for sample in SAMPLES], boxed, found, shared or found)
    return pipeline_truth.truth_of(task, views)


def test_how_views_differ():
    own = SPEC.place_sample(SAMPLES[0])
    there = SPEC.place_sample(SAMPLES[0], jitter=Jitter(shift=(0.3, -0.4), rotation=np.deg2rad(20), magnify=2.0))
    found = pipeline_truth.view_shift(own, there)
    assert found["moved"] == pytest.approx(0.5, abs=0.02) and found["scaled"] == pytest.approx(1)
    assert found["rolled"] == pytest.approx(20)
    assert np.allclose([*pipeline_truth.view_shift(own, own).values()], 0)


def test_losses_are_parted_and_missed_faces_are_failures():
    shares = RNG.uniform(0.05, 0.3, len(SAMPLES))
    detected = [None if i < 10 else moved(sample, shares[i]) for i, sample in enumerate(SAMPLES)]
    further = [None if i < 10 else moved(sample, shares[i] + 0.05) for i, sample in enumerate(SAMPLES)]
    one = truth(boxed=[SPEC.place_sample(sample) for sample in SAMPLES], found=detected, shared=further)
    assert one.lost("found", "shared").low > 0
    assert one.missed == 10 and one.measured["found"].samples == 20 and one.measured["all"].samples == 30
    assert one.lost("own", "boxed").skill == 0 and one.lost("boxed", "found").low > 0
    assert one.measured["all"].skill < one.measured["own_all"].skill
    assert one.measured["all"].metric.predicted[:10] == [45.0] * 10
    why = pipeline_truth.causes(pipeline_truth.moves([one])).set_index("move")
    assert why.loc["moved", "rho"] > 0.99 and not why.loc["rolled", "low"] > 0
    said, cause = pipeline_truth.conclusions([one], why.reset_index())
    assert "missed 10 of 30" in said and "framing 0 [0, 0] (undecided)" in said and "a displaced view" in cause
    assert pipeline_truth.losses([one]).loc["age_utkface", "framing"] == "0 [0, 0]"
    for figure in (
        pipeline_figures.way_dots(pipeline_truth.skills([one])), pipeline_figures.view_rows([one]),
        pipeline_figures.move_dots(pipeline_truth.moves([one])),
    ):  # fmt: skip
        assert figure._repr_png_()


def test_without_a_true_box_nothing_is_parted_and_without_a_face_nothing_is_said():
    nothing = [None] * len(SAMPLES)
    one = truth(boxed=nothing, found=[SPEC.place_sample(sample) for sample in SAMPLES])
    assert np.isnan(one.lost("own", "boxed").skill) and one.lost("own", "found").skill == 0
    nobody = pd.DataFrame(columns=["task", "move", "rho", "low", "high", "faces"])
    blind = truth(boxed=nothing, found=nothing)
    assert blind.missed == len(SAMPLES) and "too few" in pipeline_truth.conclusions([blind], nobody)[0]
    with pytest.raises(DataError, match="take more faces"):
        pipeline_truth.skills([blind])


def test_views_of_no_face_at_all():
    nobody = SimpleNamespace(model=toy_model(tasks=("age_morph2",)), spec=TASKS["age_morph2"], samples=[], crop=SPEC)
    assert face_search.views_of(nobody, []) == pipeline_truth.Views((), (), (), ())


def test_a_picture_is_searched_once(tmp_path, monkeypatch):
    looked = []

    def look(image):
        looked.append(int(image[0, 0, 0]))
        return [Detection(np.array([1.0, 2, 30, 31.25]), 0.9, 22.0)] if image[0, 0, 0] % 2 else []

    class Found:
        def prepared(self, dataset):
            return tmp_path / "prepared" / dataset

    monkeypatch.setattr(face_search, "detect_faces", look)
    monkeypatch.setattr(face_search, "prepared_of", lambda found, dataset, root: found.prepared(dataset))
    monkeypatch.setattr(face_search, "held_out_split", lambda folder: "val")
    hashes = {"val": "one"}
    monkeypatch.setattr(face_search, "content_hashes", lambda folder: hashes)
    first = face_search.detections(Found(), "300w", SAMPLES[:4], root=tmp_path)
    again = face_search.detections(Found(), "300w", SAMPLES[:6], root=tmp_path)
    assert looked == [0, 1, 2, 3, 4, 5] and [len(faces) for faces in again] == [0, 1, 0, 1, 0, 1]
    assert np.array_equal(first[1][0].box, again[1][0].box) and again[1][0].roll == 22
    assert (tmp_path / "results/detections/_300w.json").is_file()
    hashes["val"] = "another"
    face_search.detections(Found(), "300w", SAMPLES[:1], root=tmp_path)
    assert looked[-1] == 0 and len(looked) == 7
