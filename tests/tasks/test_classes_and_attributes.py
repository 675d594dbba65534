"""Expression and attributes: masks, absent classes, calibration, majority answers."""

import numpy as np
import pytest
import torch

from faceptor.errors import DataError
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.attributes import (
    AttributesPrediction,
    accuracy_per_attribute,
    balanced_accuracy_per_attribute,
)
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.measures import mean_of_defined, reliability

EXPRESSION, FACES = KINDS["expression"], TASKS["expression_rafdb"]
ATTRIBUTES = KINDS["attributes"]
TOY = TaskSpec("attributes_toy", "attributes", "toy", ("a", "b", "c"))


def classified(pairs):
    metric = EXPRESSION.metric(FACES)
    for truth, found in pairs:
        probabilities = np.full(7, 0.05)
        probabilities[found] = 0.7
        metric.update(ClassPrediction(found, probabilities), {"expression": truth})
    return metric


def test_expression_metrics_by_hand():
    metric = classified([(0, 0), (0, 0), (0, 1), (1, 1)])
    result = metric.compute()
    assert result["accuracy"] == pytest.approx(75)
    assert result["recall_neutral"] == pytest.approx(200 / 3) and result["recall_happy"] == 100
    assert result["mean_recall"] == pytest.approx((200 / 3 + 100) / 2)
    assert result["calibration_error"] == pytest.approx(100 * abs(0.7 - 0.75))
    assert metric.confusion()[0, :2].tolist() == [2, 1]
    assert "anger" in metric.notes()[0] and "recall_anger" not in result


@pytest.mark.parametrize("label", [-1, 7])
def test_expression_out_of_range_raises(label):
    with pytest.raises(DataError, match="expression"):
        EXPRESSION.target(FACES, {"key": "x", "expression": label}, None)
    with pytest.raises(DataError, match="expression"):
        EXPRESSION.criterion(FACES)(torch.zeros(1, 7), {"expression": torch.tensor([label])})


def test_expression_constant_baseline_is_the_commonest_class(fake_split):
    found = EXPRESSION.constant_baseline(FACES, fake_split([{"expression": c} for c in (3, 3, 1, 6, 3)]))({}, None)
    assert found.label == 3 and found.probabilities[3] == pytest.approx(0.6)


# --- attributes ------------------------------------------------------------------------------------------------------


def test_loss_sums_over_known_attributes_and_averages_over_faces():
    raw = torch.tensor([[0.0, 0.0, 50.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[1, -1, 1], [-1, -1, 0]], dtype=torch.int8)
    loss = ATTRIBUTES.criterion(TOY)(raw, {"attributes": labels})["loss"]
    assert loss.item() == pytest.approx(2 * np.log(2) / 2)


def test_unknown_labels_get_no_gradient():
    raw = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([[1, -1, 0]] * 4, dtype=torch.int8)
    ATTRIBUTES.criterion(TOY)(raw, {"attributes": labels})["loss"].backward()
    assert (raw.grad[:, 1] == 0).all() and (raw.grad[:, [0, 2]] != 0).all()


def test_accuracies_by_hand():
    truth = np.array([[1, 0, -1], [1, -1, -1], [0, 0, -1], [1, 0, -1]])
    yes = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    accuracy, balanced = accuracy_per_attribute(yes, truth), balanced_accuracy_per_attribute(yes, truth)
    np.testing.assert_allclose(accuracy, [0.5, 2 / 3, np.nan])
    np.testing.assert_allclose(balanced, [(2 / 3 + 0) / 2, np.nan, np.nan])
    assert mean_of_defined(accuracy) == pytest.approx((0.5 + 2 / 3) / 2)


def test_attributes_without_labels_are_left_out_and_named():
    metric = ATTRIBUTES.metric(TOY)
    metric.update(AttributesPrediction(np.array([0.9, 0.9, 0.9])), {"attributes": np.array([1, 0, -1], np.int8)})
    result = metric.compute()
    assert result["mean_accuracy"] == 50 and "accuracy_c" not in result
    assert metric.notes()[0].endswith(": c") and metric.notes()[1].endswith(": a, b")
    assert "mean_balanced_accuracy" not in result


def test_nothing_known_is_an_error():
    metric = ATTRIBUTES.metric(TOY)
    metric.update(AttributesPrediction(np.full(3, 0.5)), {"attributes": np.full(3, -1, np.int8)})
    with pytest.raises(DataError, match="no attribute"):
        metric.compute()


def test_wrong_label_counts_and_values_raise():
    with pytest.raises(DataError, match="toy"):
        ATTRIBUTES.target(TOY, {"key": "x", "attributes": np.zeros(4, np.int8)}, None)
    with pytest.raises(DataError, match=r"\[-1, 1\]"):
        ATTRIBUTES.target(TOY, {"key": "x", "attributes": np.array([0, 1, 2], np.int8)}, None)
    with pytest.raises(DataError, match="x: attributes has 4"):
        sample = {"key": "x", "attributes": np.zeros(4, np.int8)}
        ATTRIBUTES.metric(TOY).update(AttributesPrediction(np.full(3, 0.5)), sample)


def test_constant_baseline_is_the_commoner_answer(fake_split):
    labels = [[1, 0, -1], [1, 0, -1], [0, 1, -1]]
    train = fake_split([{"attributes": np.array(row, np.int8)} for row in labels])
    found = ATTRIBUTES.constant_baseline(TOY, train)({}, None)
    np.testing.assert_allclose(found.probabilities, [2 / 3, 1 / 3, 0.5], rtol=1e-6)


# --- calibration -----------------------------------------------------------------------------------------------------


def test_reliability_by_hand():
    result = reliability(np.array([0.1, 0.15, 0.95, 1.0]), np.array([0, 1, 1, 1]))
    assert result.count.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert result.confidence[1] == pytest.approx(0.125) and result.frequency[1] == 0.5
    assert result.error == pytest.approx(0.5 * 0.375 + 0.5 * 0.025)


def test_calibrated_predictions_have_no_error():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=200_000)
    assert reliability(probability, rng.uniform(size=probability.size) < probability).error < 0.005
