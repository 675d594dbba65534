"""Spoilt pictures, groups and calibration: what is lost is paired, what is promised holds, what is open is said."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from faceptor.analysis import calibration, group_tables, robustness, robustness_figures
from faceptor.analysis.task_faces import TaskFaces
from faceptor.errors import ConfigError, DataError
from faceptor.tasks import TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.transforms.crop import CropSpec

RNG = np.random.default_rng(4)
AGES = [
    {"key": f"face {i}", "group": f"face {i}", "size": (8, 8), "age": float(age), "gender": i % 2}
    for i, age in enumerate(RNG.integers(10, 80, 80))
]
OFF = RNG.normal(0, 3, len(AGES))


@dataclass(frozen=True)
class Guessed(TaskFaces):
    """Ages that are a little off on clean crops and 20 years more on every spoilt one but the brighter."""

    def answers(self, crop=None, *, batch):
        more = 0.0 if crop is None or crop.name == "light" else 20.0
        told = zip(self.samples, OFF, strict=True)
        return [AgePrediction(sample["age"] + off + more, np.ones(101) / 101) for sample, off in told]


def ages():
    constant = AgePrediction(45.0, np.ones(101) / 101)
    names = {"gender": ("male", "female")}
    return Guessed(None, TASKS["age_utkface"], AGES, CropSpec(kind="whole"), lambda sample, crop: constant, names)


def test_what_is_lost_is_told_and_what_may_not_be_is_undecided():
    table = robustness.measure_corruptions([ages()], {"blur": (0.1, 0.2), "light": (0.5, 2.0)})
    at = table.set_index(["corruption", "label"])
    assert list(table["label"]) == ["clean", "10%", "20%", "0.5", "clean", "2"]
    assert at.loc[("light", "2"), "lost"] == 0 and at.loc[("light", "2"), "lost_high"] == 0
    assert at.loc[("blur", "20%"), "lost_low"] > 0.5 and at.loc[("blur", "clean"), "skill"] > 0.7
    assert robustness.kept(table).loc["age_utkface"].tolist() == [0.0, 100.0]
    (said,) = robustness.conclusions(table)
    assert "most is lost to blur" in said and "undecided whether anything is lost to light" in said
    assert robustness_figures.corruption_curves(table)._repr_png_()


def test_unknown_corruptions_and_empty_tables_are_refused():
    with pytest.raises(ConfigError, match="fog"):
        robustness.measure_corruptions([ages()], {"fog": (1.0,)})
    with pytest.raises(DataError):
        robustness_figures.corruption_curves(pd.DataFrame())
    with pytest.raises(DataError, match="no test"):
        group_tables.by_group({})


def test_a_conformal_radius_holds_what_it_promises_of_other_faces():
    held = []
    for _ in range(300):
        errors = RNG.exponential(5.0, (60, 2))
        held.append((errors[30:] <= calibration.radii(errors[:30], 0.9)).mean())
    assert 0.89 < np.mean(held) < 0.95  # 28 of 31 in the mean, and never less than promised
    assert np.isinf(calibration.radii(np.ones((8, 1)), 0.9)).all()


def test_coverage_of_an_age_interval():
    task = ages()
    answers = {task.test: task.answers(batch=8)}
    (found,) = calibration.coverages([task], answers, target=0.8)
    assert found.calibrated + found.judged == len(AGES) and found.radius[0] < 9
    assert found.interval.low <= found.measured <= found.interval.high and "as promised" in found.verdict
    with pytest.raises(DataError, match="take at least 198"):
        calibration.coverages([task], answers, target=0.99)


@pytest.mark.parametrize(("sharper", "verdict"), [(1.0, "undecided"), (3.0, "over-confident")])
def test_over_confidence_is_found_and_calibration_is_undecided(sharper, verdict):
    spec, rng = TASKS["gender_fairface"], np.random.default_rng(1)
    stated = rng.uniform(0.5, 0.95, 400)
    labels = (rng.random(400) > stated).astype(int)  # class 0 is right as often as was stated
    samples = [{"key": str(i), "gender": int(label)} for i, label in enumerate(labels)]
    task = TaskFaces(None, spec, samples, CropSpec(kind="whole"), None, {})
    shown = stated ** (1 / sharper)
    answers = [ClassPrediction(0, np.array([p, 1 - p])) for p in shown]
    (found,) = calibration.calibrations([task], {task.test: answers})
    assert found.verdict == verdict and found.interval.low <= found.ece <= found.interval.high
    assert robustness_figures.reliability_panels([found])._repr_png_()


def test_groups_of_an_evaluation_and_of_faces_at_hand(tmp_path):
    task = ages()
    tests = group_tables.measured([task], {task.test: task.answers(batch=8)})
    table, gaps = group_tables.by_group(tests), group_tables.gaps(tests)
    assert (
        set(table["label"]) == {"gender", "age"} and table["few"].any() and not table.loc[table["few"], "worst"].any()
    )
    said = " ".join(group_tables.conclusions(gaps, table))
    assert "Undecided" in said and "fewer than 20 faces" in said
    assert robustness_figures.group_dots(table)._repr_png_()
    assert group_tables.evaluated(["nobody"], tmp_path) == {}
