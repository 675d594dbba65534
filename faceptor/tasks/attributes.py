"""Binary attributes: one query per attribute, sigmoid cross entropy (paper section 3). Reported metrics in percent.

Labels: 1 yes, 0 no, -1 unknown. Unknown labels are masked in the loss and not counted in any metric. An attribute
without any known label is left out of the means and named in `notes()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from faceptor.errors import DataError
from faceptor.figures.parts import Bar, Words, longest, spelt_out
from faceptor.figures.plots import draw_bars, draw_reliability, new_figure, reliability_data
from faceptor.tasks.base import Kind, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.fitting import check_names
from faceptor.tasks.intervals import calibration_of, joined, mean_of, means_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.measures import Reliability, mean_of_defined, percent_of_each, ratio, reliability
from faceptor.tasks.metric import PairedMetric, share_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PRESENT, ABSENT = 0.6, 0.4  # probabilities; attributes between the two are marked as uncertain
MAX_BARS, MAX_UNSURE_BARS = 12, 6


@dataclass(frozen=True)
class AttributesPrediction(Prediction):
    """probabilities: (N,) of each attribute being present, each in [0, 1]."""

    probabilities: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        named = zip(spec.labels, self.probabilities, strict=True)
        return {"probabilities": {name: float(value) for name, value in named}}


def accuracy_per_attribute(yes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, N) bool answers, (n, N) labels 1/0/-1 -> (N,) fraction right among the known; nan where none is known."""
    known = truth >= 0
    right = ((truth == 1) == yes) & known
    return ratio(right.sum(0), known.sum(0))


def balanced_accuracy_per_attribute(yes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) mean of the recalls of "yes" and "no"; nan where one of the two never occurs."""
    recalls = [accuracy_per_attribute(yes, np.where(truth == value, truth, -1)) for value in (0, 1)]
    return np.mean(recalls, axis=0)


class AttributesMetric(PairedMetric):
    """mean_accuracy, mean_balanced_accuracy, accuracy_<attribute>, calibration_error: percent.

    Kept are probabilities and labels 1/0/-1 of all N attributes.
    """

    column = "attributes"

    def _update(self, prediction: AttributesPrediction, sample: Any) -> None:
        truth = np.asarray(label_of(sample, self.column), np.int8)
        if truth.shape != prediction.probabilities.shape:
            found = f"{self.column} has {truth.size} labels, the model answers {prediction.probabilities.size}"
            raise DataError(f"{key_of(sample)}: {found}; prepare the data set again")
        check_finite(key_of(sample), prediction.probabilities)
        self.predicted.append(prediction.probabilities)
        self.truth.append(truth)

    def accuracies(self) -> np.ndarray:
        """(N,) fractions, nan where nothing is known."""
        p, truth = self.arrays()
        return accuracy_per_attribute(p > 0.5, truth)

    def balanced(self) -> np.ndarray:
        """(N,) fractions, nan where only one answer occurs."""
        p, truth = self.arrays()
        return balanced_accuracy_per_attribute(p > 0.5, truth)

    def majority(self) -> np.ndarray:
        """(N,) share of the commoner answer in the evaluated labels: accuracy of the best constant, a fraction."""
        _, truth = self.arrays()
        share = ratio((truth == 1).sum(0), (truth >= 0).sum(0))
        return np.maximum(share, 1 - share)

    def stated(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) probability of a yes, and 1 where it was one, else 0; over all known attributes together."""
        p, truth = self.arrays()
        known = truth >= 0
        return p[known], truth[known]

    def reliability(self) -> Reliability:
        """Over all known attributes together."""
        return reliability(*self.stated())

    def _compute(self) -> dict[str, float]:
        accuracies = self.accuracies()
        if np.isnan(accuracies).all():
            raise DataError(f"{self.spec.name}: no attribute of {self.spec.dataset} has a known label in this split")
        balanced = mean_of_defined(self.balanced())
        return {
            "mean_accuracy": 100 * mean_of_defined(accuracies),
            **({} if np.isnan(balanced) else {"mean_balanced_accuracy": 100 * balanced}),
            **percent_of_each("accuracy", self.spec.labels, accuracies),
            "calibration_error": 100 * self.reliability().error,
        }

    def _values(self):
        right = self._right(self.arrays()[1] >= 0)
        named = {f"accuracy_{label}": right[:, i] for i, label in enumerate(self.spec.labels)}
        return {name: values for name, values in named.items() if not np.isnan(values).all()}

    def _right(self, counted: np.ndarray) -> np.ndarray:
        """(n, N) 100 where the answer is right, 0 where it is wrong, nan where the label is not in the mask."""
        p, truth = self.arrays()
        return np.where(counted, 100.0 * ((p > 0.5) == (truth == 1)), np.nan)

    def _recalls(self) -> dict[str, np.ndarray]:
        """What is right among the "no" and among the "yes" of every attribute that has both."""
        _, truth = self.arrays()
        both = np.flatnonzero(~np.isnan(self.balanced()))
        of = {value: self._right(truth == value) for value in (0, 1)}
        return {f"{value} {self.spec.labels[i]}": of[value][:, i] for i in both for value in (0, 1)}

    def _shares(self):
        each = {name: share_of(values) for name, values in self._values().items()}
        means = {"mean_accuracy": joined(each.values())}
        means["mean_balanced_accuracy"] = joined(share_of(values) for values in self._recalls().values())
        return each | means

    def resampler(self):
        p, truth = self.arrays()
        accuracies, recalls = super().resampler(), self._recalls()
        each = means_of(recalls) if recalls else None
        error = calibration_of(p, np.where(truth >= 0, truth == 1, np.nan))

        def metrics(counts):
            found = accuracies(counts)
            means = {"mean_accuracy": mean_of(list(found.values()))}
            if each:
                no_yes = np.stack([*each(counts).values()]).reshape(-1, 2, len(counts))
                means["mean_balanced_accuracy"] = mean_of(no_yes.mean(1))  # nan unless both answers occur
            return found | means | {"calibration_error": 100 * error(counts)}

        return metrics

    def notes(self) -> list[str]:
        if not self.count:
            return []
        unknown = np.isnan(self.accuracies())
        one_sided = np.isnan(self.balanced()) & ~unknown
        listed = {
            "no known label: left out of the means": unknown,
            "only one answer occurs: left out of mean_balanced_accuracy": one_sided,
        }
        names = np.asarray(self.spec.labels)
        return [f"{reason}: {', '.join(names[mask])}" for reason, mask in listed.items() if mask.any()]


def draw_accuracies(panel: Axes, metric: AttributesMetric, order: Iterable[int]) -> None:
    """A bar for every attribute of `order`, with a mark for that of the commoner answer."""
    order = list(order)
    labels, accuracies = [metric.spec.labels[i] for i in order], 100 * metric.accuracies()[order]
    commoner = 100 * metric.majority()[order]
    draw_bars(panel, labels, accuracies, "accuracy (%)", commoner, "always the commoner answer")


class Attributes(Kind[AttributesPrediction, AttributesMetric]):
    name, head, inputs, columns = "attributes", "value", "face", ("attributes",)
    metric_class, headline, higher_is_better = AttributesMetric, "mean_accuracy", True
    losses: ClassVar = {"bce": {}, "bce_mean": {}}

    def options_on(self, spec, own, other):
        check_names(spec, self.column, other)
        return dict(spec.options)

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.attributes import AttributesLoss

        return AttributesLoss(column=self.column, mean=name == "bce_mean")

    def limits(self, spec, *, classes=None):
        return {self.column: Limits(-1, 1)}

    def target(self, spec, sample, crop):
        labels = np.asarray(label_of(sample, self.column), np.int8)
        key = key_of(sample)
        if labels.shape != (spec.queries,):
            raise DataError(
                f"{key}: {self.column} has shape {labels.shape}, {spec.name} expects ({spec.queries},); "
                "prepare the data set again"
            )
        check_within(f"{key}: {self.column}", labels.min(), labels.max(), (-1, 1), "1 is yes, 0 no, -1 unknown")
        return {self.column: labels}

    def decode(self, spec, raw, crop):
        return AttributesPrediction(raw.detach().float().sigmoid().cpu().numpy())

    def constant_baseline(self, spec, train, place=None):
        """The commoner answer of each attribute, stated as its training frequency (0.5 where nothing is known)."""
        truth = np.asarray(train.column(self.column), np.int8).reshape(-1, spec.queries)
        share = np.nan_to_num(ratio((truth == 1).sum(0), (truth >= 0).sum(0)), nan=0.5)
        constant = AttributesPrediction(share.astype(np.float32))
        return lambda sample, crop: constant

    def figure(self, spec, metric):
        """Accuracy of each attribute beside that of the commoner answer, and reliability."""
        accuracies = metric.accuracies()
        known = np.flatnonzero(~np.isnan(accuracies))
        order = known[np.argsort(-accuracies[known])]
        title = f"{spec.name}: mean accuracy {metric.compute()['mean_accuracy']:.1f} %"
        figure, (left, right) = new_figure(title, 2, height=max(4.4, 0.16 * len(order)))
        draw_accuracies(left, metric, order)
        draw_reliability(right, metric.reliability(), "stated probability, all attributes")
        right.set_box_aspect(1)
        return figure

    def plots(self, spec, metric):
        return [reliability_data(metric.reliability())]

    def panel(self, spec, prediction):
        """What is present, the surest first, and what is uncertain."""
        order = np.argsort(-prediction.probabilities, kind="stable")
        named = [(spelt_out(spec.labels[i]), float(prediction.probabilities[i])) for i in order]
        present = [Bar(name, p) for name, p in named if p > PRESENT]
        unsure = [Bar(f"{name} ?", p, "unsure") for name, p in named if ABSENT <= p <= PRESENT]
        parts = longest(present, MAX_BARS) if present else [Words(("none surely present",), muted=True)]
        if unsure:
            remark = f"uncertain, {100 * ABSENT:.0f} to {100 * PRESENT:.0f} %"
            parts += [Words((remark,), muted=True), *longest(unsure, MAX_UNSURE_BARS)]
        return parts

    def describe(self, spec, prediction):
        return [
            f"{name} {100 * p:.0f} %" for name, p in zip(spec.labels, prediction.probabilities, strict=True) if p > 0.5
        ]
