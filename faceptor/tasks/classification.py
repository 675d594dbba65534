"""One class per image: one query per class, softmax cross entropy. All reported metrics in percent.

Expression, gender, race and age group are this with another label; `column` names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from faceptor.config.sections import AtKey, Whole
from faceptor.errors import ConfigError
from faceptor.figures.parts import Bar, Bars, spelt_out
from faceptor.figures.plots import confusion_data, draw_confusion, draw_reliability, new_figure, reliability_data
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.fitting import groups_by_name, labelled
from faceptor.tasks.intervals import calibration_of, joined, mean_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.measures import confusion_matrix, mean_of_defined, percent_of_each, recall_per_class, reliability
from faceptor.tasks.metric import PairedMetric, share_of


@dataclass(frozen=True)
class ClassPrediction(Prediction):
    """label: index of the likeliest class; probabilities: (N,), sums to 1."""

    label: int
    probabilities: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        named = zip(spec.labels, self.probabilities, strict=True)
        return {"label": spec.labels[self.label], "probabilities": {name: float(value) for name, value in named}}


class ClassMetric(PairedMetric):
    """accuracy, mean_recall, recall_<class>, calibration_error: percent."""

    def __init__(self, kind: Classification, spec: TaskSpec):
        super().__init__(spec)
        self.kind = kind
        self.probabilities: list[np.ndarray] = []

    def _update(self, prediction: ClassPrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.probabilities)
        self.truth.append(self.kind.label(self.spec, sample))
        self.predicted.append(int(prediction.label))
        self.probabilities.append(prediction.probabilities)

    def confusion(self) -> np.ndarray:
        """(C, C) counts, rows = truth."""
        return confusion_matrix(np.asarray(self.truth), np.asarray(self.predicted), len(self.spec.labels))

    def stated(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) probability of the chosen class, and 1 where it was right, else 0."""
        chosen = np.stack(self.probabilities)[np.arange(len(self.predicted)), self.predicted]
        return chosen, np.equal(self.predicted, self.truth).astype(int)

    def reliability(self):
        """Probability of the chosen class against how often it was right."""
        return reliability(*self.stated())

    def _compute(self) -> dict[str, float]:
        confusion = self.confusion()
        recall = recall_per_class(confusion)
        return {
            "accuracy": 100 * np.trace(confusion) / confusion.sum(),
            "mean_recall": 100 * mean_of_defined(recall),
            **percent_of_each("recall", self.spec.labels, recall),
            "calibration_error": 100 * self.reliability().error,
        }

    def _values(self):
        truth = np.asarray(self.truth)
        right = 100.0 * np.equal(self.predicted, truth)
        recalls = {f"recall_{label}": np.where(truth == i, right, np.nan) for i, label in enumerate(self.spec.labels)}
        return {"accuracy": right} | {name: values for name, values in recalls.items() if not np.isnan(values).all()}

    def _shares(self):
        each = {name: share_of(values) for name, values in self._values().items()}
        return each | {"mean_recall": joined(share for name, share in each.items() if name.startswith("recall_"))}

    def resampler(self):
        means = super().resampler()
        error = calibration_of(*(each[:, None] for each in self.stated()))

        def metrics(counts):
            found = means(counts)
            mean = mean_of([values for name, values in found.items() if name.startswith("recall_")])
            return found | {"mean_recall": mean, "calibration_error": 100 * error(counts)}

        return metrics

    def notes(self) -> list[str]:
        faces = self.confusion().sum(1) if self.count else np.ones(len(self.spec.labels))
        absent = [label for label, count in zip(self.spec.labels, faces, strict=True) if not count]
        return [f"no sample of {', '.join(absent)}: left out of mean_recall"] if absent else []


class ClassOptions(Options):
    """groups: class of the task for each class of the data set, where they differ."""

    groups: Annotated[tuple[Whole, ...], Field(min_length=1)] = ()

    def check(self, spec):
        if self.groups and max(self.groups) >= spec.queries:
            raise AtKey("groups", f"expected classes below {spec.queries}, found {max(self.groups)}")


class Classification(Kind[ClassPrediction, ClassMetric]):
    """Base of the kinds that name one class per image; `column` is also the target's name."""

    head, inputs, options = "value", "face", ClassOptions
    headline, higher_is_better = "accuracy", True
    losses: ClassVar = {"cross_entropy": {}}
    ordered: ClassVar[bool] = False  # classes are told in their own order, not the likeliest first

    def options_on(self, spec, own, other):
        """Classes may stand in another order there: their names say which is which."""
        options = dict(spec.options)
        if self.column in labelled(other):
            options["groups"] = groups_by_name(spec, self.column, own, other)
            if options["groups"] == tuple(range(spec.queries)):
                del options["groups"]
        return options

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.classes import ClassLoss

        return ClassLoss(column=self.column, **numbers)

    def limits(self, spec, *, classes=None):
        return {self.column: Limits(0, spec.queries - 1)}

    def label(self, spec: TaskSpec, sample: Any) -> int:
        """The sample's class, an index into the task's labels."""
        label, key, groups = int(label_of(sample, self.column)), key_of(sample), self.groups(spec)
        remedy = f"{spec.dataset} has {len(groups)} classes"
        check_within(f"{key}: {self.column}", label, label, (0, len(groups) - 1), remedy)
        return groups[label]

    def known_labels(self, spec: TaskSpec, train: Any) -> np.ndarray:
        """(n,) classes of all samples of a prepared split."""
        return np.asarray(self.groups(spec))[np.asarray(train.column(self.column), np.int64)]

    def groups(self, spec: TaskSpec) -> tuple[int, ...]:
        """Class of the task for each class of the data set: `options["groups"]`, without it the same."""
        groups = spec.options.get("groups", tuple(range(spec.queries)))
        if any(not 0 <= index < spec.queries for index in groups):
            raise ConfigError(f"{spec.name}: options.groups: expected classes below {spec.queries}, found {groups}")
        return groups

    def target(self, spec, sample, crop):
        return {self.column: np.asarray(self.label(spec, sample), np.int64)}

    def decode(self, spec, raw, crop):
        probabilities = raw.detach().float().softmax(0).cpu().numpy()
        return ClassPrediction(int(probabilities.argmax()), probabilities)

    def metric(self, spec):
        return ClassMetric(self, spec)

    def constant_baseline(self, spec, train, place=None):
        """The commonest training class, stated with the training frequencies."""
        counts = np.bincount(self.known_labels(spec, train), minlength=spec.queries)
        constant = ClassPrediction(int(counts.argmax()), (counts / counts.sum()).astype(np.float32))
        return lambda sample, crop: constant

    def figure(self, spec, metric):
        """Confusion (rows sum to 100 %) and reliability diagram."""
        figure, (left, right) = new_figure(f"{spec.name}: accuracy {metric.compute()['accuracy']:.1f} %", 2)
        draw_confusion(left, metric.confusion(), spec.labels)
        draw_reliability(right, metric.reliability(), "probability of the chosen class")
        return figure

    def plots(self, spec, metric):
        return [confusion_data(metric.confusion(), spec.labels), reliability_data(metric.reliability())]

    def panel(self, spec, prediction):
        order = range(spec.queries) if self.ordered else np.argsort(-prediction.probabilities, kind="stable")
        named = [(spelt_out(spec.labels[i]), float(prediction.probabilities[i]), i) for i in order]
        return [Bars([Bar(name, p, "answer" if i == prediction.label else "other") for name, p, i in named])]

    def describe(self, spec, prediction):
        return [f"{spec.labels[prediction.label]} {100 * prediction.probabilities[prediction.label]:.0f} %"]
