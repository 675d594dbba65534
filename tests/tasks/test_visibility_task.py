"""Visibility: recall at 80 % precision by hand, and what is left of it when labels are missing."""

import numpy as np
import pytest

from faceptor.errors import DataError
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.attributes import AttributesPrediction
from faceptor.tasks.visibility import recall_at_precision

KIND, SPEC = KINDS["visibility"], TASKS["visibility_cofw"]
TOY = TaskSpec("visibility_toy", "visibility", "toy", ("a", "b", "c", "d", "e"), {"scheme": "COFW"})


def test_recall_at_precision_by_hand():
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    positive = np.array([1, 1, 0, 1, 1, 0, 0, 1], bool)
    # found: 1/1, 2/2, 2/3, 3/4, 4/5, 4/6, 4/7, 5/8
    assert recall_at_precision(score, positive) == pytest.approx(4 / 5)
    assert recall_at_precision(score, positive, 0.81) == pytest.approx(2 / 5)
    assert recall_at_precision(score, positive, 0.6) == 1
    assert recall_at_precision(-score, positive, 0.9) == pytest.approx(1 / 5)
    assert recall_at_precision(-score, ~positive, 0.9) == 0  # the surest one is wrong


def test_equal_scores_stand_or_fall_together():
    assert recall_at_precision(np.full(10, 0.3), np.arange(10) < 7) == 0
    assert recall_at_precision(np.full(10, 0.3), np.arange(10) < 8) == 1


def measured(rows):
    metric = KIND.metric(TOY)
    for index, (p, truth) in enumerate(rows):
        sample = {"key": str(index), "visibility": np.array(truth, np.int8)}
        metric.update(AttributesPrediction(np.array(p, np.float32)), sample)
    return metric


def test_occluded_points_are_the_ones_to_find():
    metric = measured([([0.9, 0.8, 0.1, 0.2, 0.7], [1, 1, 0, 0, 0]), ([0.9, 0.9, 0.9, 0.15, 0.5], [1, 1, 1, 1, -1])])
    result = metric.compute()
    # by rising probability of being visible: occluded, visible, occluded, occluded, then visible; 1/1 1/2 2/3 3/4
    assert result["recall_at_80_precision"] == pytest.approx(100 / 3)
    # by falling probability: four visible, one visible (0.8), occluded (0.7), ...
    assert result["recall_at_80_precision_visible"] == pytest.approx(100 * 5 / 6)
    assert KIND.headline_of(SPEC) == "recall_at_80_precision"
    assert result["mean_accuracy"] == pytest.approx(100 * np.mean([1, 1, 1, 0.5, 0]))


def test_one_sided_labels_are_an_error():
    with pytest.raises(DataError, match="every known point is visible"):
        measured([([0.5] * 5, [1, 1, 1, 1, -1])]).compute()


def test_constant_baseline_ranks_points_by_how_often_they_are_hidden(fake_split):
    labels = [[1, 0, 1, 1, 1], [1, 0, 1, 1, 0], [1, 0, 1, 1, 1]]
    train = fake_split([{"visibility": np.array(row, np.int8)} for row in labels])
    found = KIND.constant_baseline(TOY, train)({}, None)
    metric = measured([(found.probabilities, [1, 0, 1, 1, 1])])
    assert metric.compute()["recall_at_80_precision"] == 100


def test_words_name_the_hidden_points():
    prediction = AttributesPrediction(np.array([0.9, 0.2, 0.8, 0.5, 0.7]))
    assert KIND.describe(TOY, prediction) == ["3 of 5 points visible", "b hidden", "d hidden"]
