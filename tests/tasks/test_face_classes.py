"""Gender, race and age group: classes of the data sets, and years that fall into groups."""

import numpy as np
import pytest
import torch

from faceptor.datasets import labels
from faceptor.errors import ConfigError, DataError
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.agegroup import group_of_years
from faceptor.tasks.classification import Classification, ClassPrediction

GROUPS = KINDS["agegroup"]
UTKFACE, FAIRFACE = TASKS["agegroup_utkface"], TASKS["agegroup_fairface"]


def certain(spec: TaskSpec, label: int) -> ClassPrediction:
    return ClassPrediction(label, np.eye(spec.queries, dtype=np.float32)[label])


@pytest.mark.parametrize("name", ["gender_utkface", "gender_fairface", "race_utkface", "race_fairface"])
def test_top_1_accuracy_by_hand(name):
    spec = TASKS[name]
    kind = KINDS[spec.kind]
    metric = kind.metric(spec)
    for truth, found in [(0, 0), (1, 1), (1, 0), (0, 0)]:
        metric.update(certain(spec, found), {spec.kind: truth})
    result = metric.compute()
    assert result["accuracy"] == 75 and kind.headline_of(spec) == "accuracy"
    assert result[f"recall_{spec.labels[0]}"] == 100 and result[f"recall_{spec.labels[1]}"] == 50
    assert metric.confusion()[1, :2].tolist() == [1, 1]


def test_tables_are_those_of_the_data_sets():
    assert TASKS["gender_utkface"].labels == TASKS["gender_fairface"].labels == ("male", "female")
    assert TASKS["race_utkface"].labels == ("White", "Black", "Asian", "Indian", "Others")
    assert TASKS["race_fairface"].labels == labels.FAIRFACE_RACES and len(labels.FAIRFACE_RACES) == 7
    assert UTKFACE.labels == FAIRFACE.labels == labels.AGE_DECADES  # one head can serve both


def test_classes_are_one_subclass_away():
    class Hair(Classification):
        name, columns, column = "hair", ("hair",), "hair"

    spec, kind = TaskSpec("hair_toy", "hair", "toy", ("short", "long")), Hair()
    target = kind.target(spec, {"hair": 1}, None)
    loss = kind.criterion(spec)(torch.zeros(1, 2), {"hair": torch.as_tensor(target["hair"])[None]})["loss"]
    assert loss.item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(("name", "label"), [("gender_utkface", 2), ("race_utkface", 5), ("race_fairface", -1)])
def test_classes_out_of_range_raise(name, label):
    spec = TASKS[name]
    with pytest.raises(DataError, match=spec.kind):
        KINDS[spec.kind].target(spec, {"key": "x", spec.kind: label}, None)


# --- age groups ------------------------------------------------------------------------------------------------------


def test_years_fall_into_decades():
    years = np.array([0, 9, 9.9, 10, 19, 20, 69, 70, 71, 116])
    assert group_of_years(years, labels.DECADE_STARTS).tolist() == [0, 0, 0, 1, 1, 2, 6, 7, 7, 7]


def test_starts_are_those_of_the_names():
    first = [int(name.removesuffix("+").split("-")[0]) for name in labels.AGE_DECADES]
    assert first == list(labels.DECADE_STARTS)


def test_fairface_groups_lie_within_their_decades():
    assert len(labels.FAIRFACE_AGE_TO_DECADE) == len(labels.FAIRFACE_AGES)
    for name, decade in zip(labels.FAIRFACE_AGES, labels.FAIRFACE_AGE_TO_DECADE, strict=True):
        ends = [int(part) for part in name.removeprefix("more than ").split("-")]
        assert {int(group_of_years(year, labels.DECADE_STARTS)) for year in ends} == {decade}


def test_a_group_counts_before_years():
    assert GROUPS.target(UTKFACE, {"age": 34.0}, None)["agegroup"] == 3
    assert GROUPS.target(UTKFACE, {"age": 34.0, "agegroup": 5}, None)["agegroup"] == 5
    assert GROUPS.target(FAIRFACE, {"agegroup": 1}, None)["agegroup"] == 0  # 3-9
    assert GROUPS.target(FAIRFACE, {"agegroup": 8}, None)["agegroup"] == 7  # more than 70


@pytest.mark.parametrize("sample", [{"age": -1.0}, {"age": float("nan")}, {"agegroup": 9}, {}])
def test_impossible_groups_raise(sample):
    with pytest.raises(DataError, match="face1"):
        GROUPS.target(FAIRFACE, {"key": "face1", **sample}, None)


def test_groups_beyond_the_classes_are_an_error():
    spec = TaskSpec("agegroup_toy", "agegroup", "toy", ("young", "old"), {"groups": (0, 2)})
    with pytest.raises(ConfigError, match=r"options\.groups"):
        GROUPS.target(spec, {"agegroup": 0}, None)


def test_metric_and_constant_baseline_see_the_same_classes(fake_split):
    metric = GROUPS.metric(FAIRFACE)
    metric.update(certain(FAIRFACE, 0), {"agegroup": 1})
    assert metric.compute()["accuracy"] == 100
    found = GROUPS.constant_baseline(FAIRFACE, fake_split([{"agegroup": g} for g in (0, 1, 4, 4, 0)]))({}, None)
    assert found.label == 0 and found.probabilities[0] == pytest.approx(0.6)
    found = GROUPS.constant_baseline(UTKFACE, fake_split([{"age": years} for years in (31.0, 39.0, 80.0)]))({}, None)
    assert found.label == 3 and found.probabilities[7] == pytest.approx(1 / 3)
