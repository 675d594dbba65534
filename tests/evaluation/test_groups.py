"""Numbers by group: the right faces in each, small groups marked, and no gap claimed where there is none."""

import numpy as np
import pytest

from faceptor.evaluation.groups import FEWEST_FACES, by_group, groups_of
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.classification import ClassPrediction

AGE, RACE = TASKS["age_utkface"], TASKS["race_fairface"]
NAMES = {"gender": ("male", "female"), "race": RACE.labels}


def ages(errors, labels):
    metric = KINDS["age"].metric(AGE)
    for error, label in zip(errors, labels, strict=True):
        metric.update(AgePrediction(40 + float(error), np.ones(1)), {"age": 40.0} | label)
    return metric


def test_a_group_is_judged_as_if_alone():
    rng = np.random.default_rng(0)
    labels = [{"gender": int(g)} for g in rng.integers(0, 2, 120)]
    errors = rng.exponential(3, 120)
    found = {one.name: one for one in by_group(ages(errors, labels), labels, NAMES, seed=1)[0].groups}
    for index, name in enumerate(NAMES["gender"]):
        own = [label["gender"] == index for label in labels]
        assert found[name].value == pytest.approx(errors[own].mean()) and found[name].faces == sum(own)
        assert found[name].interval.low < errors[own].mean() < found[name].interval.high


def test_a_small_group_is_marked_and_never_the_worst():
    labels = [{"race": 0}] * 40 + [{"race": 1}] * 40 + [{"race": 2}] * (FEWEST_FACES - 1)
    errors = np.r_[np.full(40, 1.0), np.full(40, 2.0), np.full(FEWEST_FACES - 1, 9.0)]
    found = by_group(ages(errors, labels), labels, NAMES, seed=1)[0]
    assert [group.few for group in found.groups] == [False, False, True]
    assert (found.worst, found.best, found.gap) == ("Black", "White", 1.0) and found.interval.low > 0
    assert found.to_json()["faces"]["Latino_Hispanic"] == FEWEST_FACES - 1
    quick = by_group(ages(errors, labels), labels, NAMES, seed=None)[0]
    assert (quick.worst, quick.gap, quick.to_json()["values"]) == ("Black", 1.0, found.to_json()["values"])
    assert np.isnan(quick.interval.low)


def test_groups_that_are_alike_are_undecided_and_those_that_are_not_are_found():
    rng, false_alarms, found_apart = np.random.default_rng(3), 0, 0
    labels = [{"race": index % 7} for index in range(210)]
    for _ in range(40):
        errors = rng.exponential(4.0, 210)
        false_alarms += by_group(ages(errors, labels), labels, NAMES, seed=1)[0].interval.low > 0
        errors[::7] += 8
        found_apart += by_group(ages(errors, labels), labels, NAMES, seed=1)[0].interval.low > 0
    assert false_alarms <= 6 and found_apart >= 36  # of 40, of which 2 may be wrong in the mean


def test_all_right_in_a_group_is_not_certain():
    metric, labels = KINDS["race"].metric(RACE), [{"race": 0, "gender": index % 2} for index in range(60)]
    for index, label in enumerate(labels):
        told = 1 if index in (1, 3) else 0
        metric.update(ClassPrediction(told, np.eye(7)[told]), label)
    found = next(one for one in by_group(metric, labels, NAMES, seed=0) if one.column == "gender")
    assert found.best == "male" and found.groups[0].value == 100 and found.groups[0].interval.low < 95
    assert not found.interval.low > 0


def test_groups_of_a_face():
    labels = {"age": 19.4, "pose": np.array([0, -50, 3.0]), "attributes": np.array([-1, 1]), "subsets": ("test/full",)}
    found = groups_of(labels, {"attributes": ("Young", "Male")})
    assert found == {
        "age": ["0 to 19 years"], "turn_of_head": ["45 degrees and more"], "male": ["male"], "subset": ["test/full"]
    }  # fmt: skip
