"""Expression: one query per class, softmax cross entropy (paper section 3). All reported metrics in percent.

`Expression.column` names the label; a kind that classifies something else (gender, race, age group) overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.base import (
    Kind,
    Metric,
    Prediction,
    TaskSpec,
    check_finite,
    check_target,
    check_within,
    key_of,
    label_of,
)
from faceptor.tasks.measures import confusion_matrix, mean_of_defined, recall_per_class, reliability


@dataclass(frozen=True)
class ExpressionPrediction(Prediction):
    """label: index of the likeliest class; probabilities: (N,), sums to 1."""

    label: int
    probabilities: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        named = zip(spec.labels, self.probabilities, strict=True)
        return {"label": spec.labels[self.label], "probabilities": {name: float(value) for name, value in named}}


class ClassLoss(nn.Module):
    """Mean cross entropy over samples."""

    def __init__(self, *, column: str):
        super().__init__()
        self.column = column

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        label = target[self.column].long()
        check_target(self.column, label, 0, raw.shape[1] - 1)
        return {"loss": F.cross_entropy(raw.float(), label)}


class ExpressionMetric(Metric):
    """accuracy, mean_recall, recall_<class>, calibration_error: percent."""

    def __init__(self, spec: TaskSpec, column: str = "expression"):
        super().__init__(spec)
        self.column = column
        self.truth: list[int] = []
        self.probabilities: list[np.ndarray] = []
        self.predicted: list[int] = []

    def _update(self, prediction: ExpressionPrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.probabilities)
        self.truth.append(int(label_of(sample, self.column)))
        self.predicted.append(int(prediction.label))
        self.probabilities.append(prediction.probabilities)

    def confusion(self) -> np.ndarray:
        """(C, C) counts, rows = truth."""
        return confusion_matrix(np.asarray(self.truth), np.asarray(self.predicted), len(self.spec.labels))

    def reliability(self):
        """Probability of the chosen class against how often it was right."""
        correct = np.equal(self.predicted, self.truth)
        chosen = np.stack(self.probabilities)[np.arange(len(self.predicted)), self.predicted]
        return reliability(chosen, correct)

    def _absent(self) -> list[str]:
        rows = self.confusion().sum(1)
        return [label for label, row in zip(self.spec.labels, rows, strict=True) if not row]

    def _compute(self) -> dict[str, float]:
        confusion = self.confusion()
        recall = recall_per_class(confusion)
        named = {
            f"recall_{label}": 100 * value
            for label, value in zip(self.spec.labels, recall, strict=True)
            if not np.isnan(value)
        }
        return {
            "accuracy": 100 * np.trace(confusion) / confusion.sum(),
            "mean_recall": 100 * mean_of_defined(recall),
            **named,
            "calibration_error": 100 * self.reliability().error,
        }

    def notes(self) -> list[str]:
        absent = self._absent() if self.count else []
        return [f"no sample of {', '.join(absent)}: left out of mean_recall"] if absent else []


class Expression(Kind):
    name, head, inputs, columns = "expression", "value", "face", ("expression",)
    headline, higher_is_better = "accuracy", True
    column: ClassVar[str] = "expression"

    def target(self, spec, sample, crop):
        label = int(label_of(sample, self.column))
        check_within(
            f"{key_of(sample)}: {self.column}",
            label,
            label,
            (0, spec.queries - 1),
            f"{spec.name} has {spec.queries} classes",
        )
        return {self.column: np.asarray(label, np.int64)}

    def _criterion(self, spec, *, classes):
        return ClassLoss(column=self.column)

    def restore(self, spec, raw, crop):
        probabilities = raw.detach().float().softmax(0).cpu().numpy()
        return ExpressionPrediction(int(probabilities.argmax()), probabilities)

    def metric(self, spec):
        return ExpressionMetric(spec, self.column)

    def trivial(self, spec, train, place=None):
        """The commonest training class, stated with the training frequencies."""
        counts = np.bincount(np.asarray(train.column(self.column), np.int64), minlength=spec.queries)
        guess = ExpressionPrediction(int(counts.argmax()), (counts / counts.sum()).astype(np.float32))
        return lambda sample, crop: guess

    def figure(self, spec, metric):
        """Confusion (rows sum to 100 %) and reliability diagram."""
        from faceptor.tasks.plots import draw_confusion, draw_reliability, new_figure

        figure, (left, right) = new_figure(f"{spec.name}: accuracy {metric.compute()['accuracy']:.1f} %", 2)
        draw_confusion(left, metric.confusion(), spec.labels)
        draw_reliability(right, metric.reliability(), "probability of the chosen class")
        return figure

    def describe(self, spec, prediction):
        return [f"{spec.labels[prediction.label]} {100 * prediction.probabilities[prediction.label]:.0f} %"]
