"""Age: 101 queries, one per year, read as a distribution (DLDL-v2; paper section 3, losses of Table 2).

Labels and predictions in years. Metrics: `mae` in years, `cs5` in percent, `epsilon_error` in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from faceptor.config.sections import Whole
from faceptor.datasets.labels import AGES
from faceptor.figures.parts import Distribution
from faceptor.figures.plots import PALETTE, error_data, new_figure
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.metric import PairedMetric, share_of

SIGMA = 3.0  # of the epsilon error, years
MAX_PLOTTED_YEARS = 20.0  # end of the plotted distribution of errors


@dataclass(frozen=True)
class AgePrediction(Prediction):
    """years: expected age; distribution: (N,) probability of each whole year, sums to 1."""

    years: float
    distribution: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {"years": float(self.years), "distribution": [float(value) for value in self.distribution]}


def mean_absolute_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """In years."""
    return float(np.abs(predicted - truth).mean())


def cumulative_score(predicted: np.ndarray, truth: np.ndarray, *, years: float = 5.0) -> float:
    """Share of samples at most `years` off, a fraction."""
    return float((np.abs(predicted - truth) <= years).mean())


def epsilon_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """1 - mean exp(-error^2 / (2 sigma^2)); 0 is perfect, 1 is far off everywhere."""
    return float(1 - np.exp(-((predicted - truth) ** 2) / (2 * SIGMA**2)).mean())


class AgeMetric(PairedMetric):
    """Of ages in years."""

    def _update(self, prediction: AgePrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.years)
        self.predicted.append(float(prediction.years))
        self.truth.append(float(label_of(sample, "age")))

    def _compute(self) -> dict[str, float]:
        pair = self.arrays()
        return {
            "mae": mean_absolute_error(*pair),
            "cs5": 100 * cumulative_score(*pair),
            "epsilon_error": epsilon_error(*pair),
        }

    def _values(self):
        errors = np.abs(np.subtract(*self.arrays()))
        return {
            "mae": errors,
            "cs5": 100.0 * (errors <= 5.0),
            "epsilon_error": 1 - np.exp(-(errors**2) / (2 * SIGMA**2)),
        }

    def _shares(self):
        return {"cs5": share_of(self._values()["cs5"])}


class AgeOptions(Options):
    """first: the age in years that the first label stands for; each that follows is a year more."""

    first: Whole = 0


class Age(Kind[AgePrediction, AgeMetric]):
    name, head, inputs, columns = "age", "value", "face", ("age",)
    metric_class, headline, higher_is_better, options = AgeMetric, "mae", False, AgeOptions
    losses: ClassVar = {"dldl": {"sigma": 2.0, "kl": 1.0, "l1": 1.0}, "l1_ce": {"ce": 0.5, "l1": 0.5}}

    def own_options(self, reader):
        return {"first": AGES[0]}

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.age import AgeLoss, L1CrossEntropyLoss

        first = spec.options.get("first", 0)
        return {"dldl": AgeLoss, "l1_ce": L1CrossEntropyLoss}[name](first=first, count=spec.queries, **numbers)

    def limits(self, spec, *, classes=None):
        return {"age": Limits(*(float(year) for year in self._ages(spec)[[0, -1]]))}

    def _ages(self, spec: TaskSpec) -> np.ndarray:
        return spec.options.get("first", 0) + np.arange(spec.queries, dtype=np.float32)

    def target(self, spec, sample, crop):
        age, ages = float(np.float32(label_of(sample, "age"))), self._ages(spec)
        check_within(f"{key_of(sample)}: age", age, age, (ages[0], ages[-1]), f"{spec.name} has no such year")
        return {"age": np.asarray(age, np.float32)}

    def decode(self, spec, raw, crop):
        from faceptor.tasks.losses.age import log_distribution

        p = log_distribution(raw.detach().float()[None])[0].exp().cpu().numpy()
        return AgePrediction(float(p @ self._ages(spec)), p)

    def constant_baseline(self, spec, train, place=None):
        """The median training age: of all constants it has the smallest mean absolute error."""
        known = np.asarray(train.column("age"), np.float64)
        median, ages = float(np.median(known)), self._ages(spec)
        distribution = np.bincount(np.clip(np.rint(known - ages[0]), 0, len(ages) - 1).astype(int), minlength=len(ages))
        constant = AgePrediction(median, (distribution / distribution.sum()).astype(np.float32))
        return lambda sample, crop: constant

    def figure(self, spec, metric):
        """Predicted against true age, error by decade, and residuals."""
        import seaborn

        predicted, truth = metric.arrays()
        title = f"{spec.name}: MAE {mean_absolute_error(predicted, truth):.2f} years"
        figure, (scatter, decades, residuals) = new_figure(title, 3)
        low, high = min(predicted.min(), truth.min()), max(predicted.max(), truth.max())
        scatter.plot([low, high], [low, high], color="0.6", linestyle="--", linewidth=1)
        scatter.scatter(truth, predicted, s=6, alpha=0.4, color=PALETTE[0], linewidths=0)
        scatter.set(xlabel="true age (years)", ylabel="predicted age (years)")
        decade = (truth // 10 * 10).astype(int)
        starts = np.unique(decade)
        decades.bar(
            [f"{start}s\n{(decade == start).sum()}" for start in starts],
            [np.abs(predicted - truth)[decade == start].mean() for start in starts],
            color=PALETTE[0],
        )
        decades.set(xlabel="true age, number of faces", ylabel="mean absolute error (years)")
        seaborn.histplot(x=predicted - truth, ax=residuals, color=PALETTE[0], binwidth=1)
        residuals.axvline(0, color="0.3", linewidth=1)
        residuals.set(xlabel="predicted - true (years)", ylabel="faces")
        return figure

    def plots(self, spec, metric):
        return [error_data(np.abs(np.subtract(*metric.arrays())), MAX_PLOTTED_YEARS)]

    def panel(self, spec, prediction):
        """The number, the range that holds 80 % of the probability, and the distribution."""
        first, p = spec.options.get("first", 0), prediction.distribution
        low, high = (first + int(np.searchsorted(p.cumsum(), q)) for q in (0.1, 0.9))
        return [Distribution(f"{prediction.years:.0f}", "years", f"80 %: {low} to {high}", p, first, low, high)]

    def describe(self, spec, prediction):
        return [f"age {prediction.years:.0f}"]
