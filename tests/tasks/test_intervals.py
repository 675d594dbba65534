"""Intervals: they cover what they promise, also at few samples and at perfect scores, and compare models in pairs."""

import numpy as np
import pytest

from faceptor.evaluation.measure import Measured, gain
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.intervals import draw_counts, interval_of_shares, wilson
from faceptor.tasks.recognition import IdentityPrediction, RecognitionMetric

AGE, CLASSES, PAIRS = TASKS["age_morph2"], TASKS["expression_rafdb"], TASKS["recognition_ms1mv3"]


def ages(errors, group=None):
    metric = KINDS["age"].metric(AGE)
    for index, error in enumerate(errors):
        sample = {"age": 40.0} | ({"group": group(index)} if group else {})
        metric.update(AgePrediction(40 + float(error), np.ones(1)), sample)
    return metric


def answers(right, wrong=0, classes=1):
    metric = KINDS["expression"].metric(CLASSES)
    probabilities = np.eye(7)
    for index in range(right + wrong):
        truth = index % classes
        told = truth if index < right else (truth + 1) % 7
        metric.update(ClassPrediction(told, probabilities[told]), {"expression": truth})
    return metric


def pairs_of(count, rng, noise, times=1):
    metric = RecognitionMetric(PAIRS)
    for pair in range(count):
        a = rng.standard_normal(16)
        b = a + noise * rng.standard_normal(16) if pair % 2 else rng.standard_normal(16)
        for again in range(times):
            for embedding in (a, b):
                sample = {"pair": pair * times + again, "same": bool(pair % 2), "subsets": ("lfw",)}
                metric.update(IdentityPrediction(embedding, 1.0), sample)
    return metric


@pytest.mark.parametrize(("name", "samples"), [("mae", 12), ("mae", 60), ("cs5", 12), ("cs5", 60)])
def test_intervals_cover_the_truth(name, samples):
    """In 95 of 100 worlds, give or take what 150 worlds leave open."""
    rng, covered = np.random.default_rng(8), 0
    truth = {"mae": 4.0, "cs5": 100 * (1 - np.exp(-5 / 4.0))}[name]
    for _ in range(150):
        low, high = ages(rng.exponential(4.0, samples)).intervals(seed=1)[name]
        covered += low <= truth <= high
    assert covered / 150 >= (0.88 if samples == 12 else 0.92)


def test_perfect_on_few_faces_is_not_certain():
    for right in (5, 20, 200):
        found = answers(right).intervals(seed=0)
        assert found["accuracy"].high == 100 == found["mean_recall"].high
        assert found["accuracy"].low == pytest.approx(100 * wilson(right, right).low)
        assert found["accuracy"].low < 100
    assert answers(5).intervals(seed=0)["accuracy"].low < answers(200).intervals(seed=0)["accuracy"].low < 99
    many = answers(70, classes=7).intervals(seed=0)  # ten of each
    assert many[f"recall_{CLASSES.labels[0]}"].low < 80
    assert 80 < many["mean_recall"].low < 99


def test_one_sample_tells_no_spread():
    found = ages([3.0]).intervals(seed=0)
    assert np.isnan(found["mae"]).all() and 0 < found["cs5"].low < 100 == found["cs5"].high


def test_fewer_samples_are_wider():
    errors = np.random.default_rng(0).exponential(4.0, 400)
    widths = [np.subtract(*ages(errors[:n]).intervals(seed=0)["mae"][::-1]) for n in (20, 80, 400)]
    assert widths[0] > widths[1] > widths[2] > 0


def test_frames_of_one_video_are_no_new_faces():
    """Ten faces seen twenty times are known as well as ten faces, not as two hundred."""
    errors = np.random.default_rng(0).exponential(4.0, 10)
    once = ages(errors).intervals(seed=0)["mae"]
    often = ages(np.tile(errors, 20), group=lambda index: f"video {index % 10}").intervals(seed=0)["mae"]
    alone = ages(np.tile(errors, 20)).intervals(seed=0)["mae"]
    assert often == pytest.approx(once, rel=0.05) and alone.high - alone.low < 0.4 * (once.high - once.low)


def test_shares():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Brown, Cai and DasGupta 2001, by the formula
    assert interval_of_shares([(8, 10)]) == pytest.approx(wilson(8, 10))
    low, high = interval_of_shares([(8, 10), (8, 10), (0, 0)])  # an absent class adds nothing
    assert wilson(8, 10).low < low < 0.8 < high < wilson(8, 10).high


def test_draws_repeat_and_are_made_in_blocks(monkeypatch):
    monkeypatch.setattr("faceptor.tasks.intervals.MAX_CELLS", 30_000)
    blocks, again = ([*draw_counts((90, 7), seed=5, draws=400)] for _ in range(2))
    assert len(blocks) > 1 and sum(len(block) for block in blocks) == 400
    assert (np.concatenate(blocks)[:, -7:].sum(1) == 7).all()  # each stratum keeps its size
    assert all((a == b).all() for a, b in zip(blocks, again, strict=True))


def test_verification_draws_pairs_within_folds():
    one, other = (pairs_of(40, np.random.default_rng(2), 1.0, times=times) for times in (1, 2))
    assert one.strata() == (4,) * 10
    found = one.resampler()(np.full((1, 40), 2.0))
    for name in ("accuracy", "accuracy_lfw"):
        assert found[name][0] == pytest.approx(other.compute()[name])
    low, high = one.intervals(seed=1)["accuracy"]
    assert 50 < low < one.compute()["accuracy"] < high < 100
    perfect = pairs_of(20, np.random.default_rng(2), 0.01)
    assert perfect.compute()["accuracy"] == 100 and perfect.intervals(seed=1)["accuracy"].low < 90


def measured(errors, constant=10.0):
    metric, best_constant = ages(errors), ages(np.full(len(errors), constant))
    return Measured(AGE, metric, best_constant)


def test_two_models_are_compared_face_by_face():
    rng = np.random.default_rng(1)
    errors = rng.exponential(4.0, 150)
    before, after, same = measured(errors), measured(errors - 0.2), measured(errors)
    found = gain(after, before, seed=4)
    assert 0 < found.low < found.skill < found.high  # 0.2 years better on every face: surely better
    alone = [m.intervals(seed=4)["skill"] for m in (before, after)]
    assert alone[0].high > alone[1].low  # which the two intervals by themselves cannot tell
    assert gain(same, before, seed=4) == (0, 0, 0)
    with pytest.raises(ValueError, match="same samples"):
        gain(measured(errors[:-1]), before, seed=4)


def test_skill_and_the_constant_guess_have_intervals():
    found = measured(np.random.default_rng(1).exponential(4.0, 60)).intervals(seed=4)
    assert {"mae", "constant_mae", "skill"} <= set(found)
    assert 0 < found["skill"].low < found["skill"].high < 1
