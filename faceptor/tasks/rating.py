"""Ratings: faces judged on continuous scales, each with its range and unit (trustworthiness 1 to 7, valence -1 to 1).

One query per scale; a face need not be rated on all of them. A raw number becomes a rating by the logistic function,
stretched to the range, so that no answer lies outside the scale.

Metrics: `nmae` in percent of the range, the mean over ratings known (it stands for the kind, since scales have their
own units); `mae` in the scale's unit; `pearson` and `ccc` in [-1, 1], Pearson's correlation and Lin's concordance
correlation coefficient (Lin 1989: 2 cov / (var + var + (difference of means)^2)), means over scales. Both are 0 where
the answers or the true ratings are all the same. With several scales each has its own, `mae_<scale>` and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from faceptor.config.sections import AtKey, Real
from faceptor.errors import DataError
from faceptor.figures.parts import Bar, Bars, spelt_out
from faceptor.figures.plots import PALETTE, error_data, new_figure
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, check_finite, key_of, label_of
from faceptor.tasks.fitting import Misfit, check_names
from faceptor.tasks.intervals import mean_of, means_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.measures import ratio
from faceptor.tasks.metric import PairedMetric

MIN_VARIANCE = 1e-12  # in squared shares of the range; with less, all are the same


@dataclass(frozen=True)
class RatingPrediction(Prediction):
    """values: (N,) one rating per scale, in its unit."""

    values: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        ranges, units = ranges_of(spec), spec.options["units"]
        return {
            name: {"value": float(value), "range": [float(low), float(high)], "unit": unit}
            for name, value, (low, high), unit in zip(spec.labels, self.values, ranges, units, strict=True)
        }


def ranges_of(spec: TaskSpec) -> np.ndarray:
    """(N, 2) lowest and highest rating of every scale."""
    return np.asarray(spec.options["ranges"], np.float64)


def agreements(predicted: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(draws,) Pearson's correlation and (draws,) Lin's concordance of (n,) arrays where sample j counts counts[i, j]
    times; 0 where one of the arrays does not vary, nan where no sample counts."""
    total = counts.sum(1)
    share = np.divide(counts, total[:, None], out=np.zeros_like(counts, np.float64), where=total[:, None] > 0)
    x, y = predicted - predicted.mean(), truth - truth.mean()
    mean_x, mean_y = share @ x, share @ y
    var_x, var_y = share @ (x * x) - mean_x**2, share @ (y * y) - mean_y**2
    covariance = share @ (x * y) - mean_x * mean_y
    gap = mean_x - mean_y + predicted.mean() - truth.mean()
    varied = (var_x > MIN_VARIANCE) & (var_y > MIN_VARIANCE)
    spread = np.sqrt(np.where(varied, var_x * var_y, 1))
    pearson = np.where(varied, covariance / spread, 0.0).clip(-1, 1)
    concordance = np.where(varied, 2 * covariance / np.where(varied, var_x + var_y + gap**2, 1), 0.0)
    return np.where(total > 0, pearson, np.nan), np.where(total > 0, concordance, np.nan)


class RatingMetric(PairedMetric):
    """Of ratings of all N scales, nan where a face was not rated."""

    def _update(self, prediction: RatingPrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.values)
        self.predicted.append(np.asarray(prediction.values, np.float64))
        self.truth.append(np.asarray(label_of(sample, "ratings"), np.float64))

    def notes(self) -> list[str]:
        known = np.any(~np.isnan(self.arrays()[1]), axis=0)
        missing = [name for name, some in zip(self.spec.labels, known, strict=True) if not some]
        return [f"{name}: no face of this split is rated" for name in missing]

    def _compute(self) -> dict[str, float]:
        metrics = self.resampler()(np.ones((1, self.count)))
        if np.isnan(metrics["nmae"][0]):
            raise DataError(f"{self.spec.name}: no face of this split is rated; check the prepared {self.spec.dataset}")
        return {name: float(values[0]) for name, values in metrics.items() if not np.isnan(values[0])}

    def resampler(self):
        """Means of errors, and correlations, of any draw."""
        means, (predicted, truth) = means_of(self._values()), self.arrays()
        width = np.diff(ranges_of(self.spec))[:, 0]
        known = ~np.isnan(truth)

        def metrics(counts: np.ndarray) -> dict[str, np.ndarray]:
            found, scales = means(counts), {}
            for n, name in enumerate(self.spec.labels):
                rated = known[:, n]
                if rated.any():
                    pair = predicted[rated, n] / width[n], truth[rated, n] / width[n]
                    scales[name] = agreements(*pair, counts[:, rated])
            if not scales:
                return found
            for place, measure in enumerate(("pearson", "ccc")):
                found[measure] = mean_of([both[place] for both in scales.values()])
                if len(self.spec.labels) > 1:
                    found |= {f"{measure}_{name}": both[place] for name, both in scales.items()}
            return found

        return metrics

    def _values(self) -> dict[str, np.ndarray]:
        predicted, truth = self.arrays()
        errors = np.abs(predicted - truth)
        shares = 100 * errors / np.diff(ranges_of(self.spec))[:, 0]
        known = ~np.isnan(shares)
        mean = ratio(np.where(known, shares, 0).sum(1), known.sum(1))
        if len(self.spec.labels) == 1:
            return {"nmae": mean, "mae": errors[:, 0]}
        return {"nmae": mean, **{f"mae_{name}": errors[:, n] for n, name in enumerate(self.spec.labels)}}


class RatingOptions(Options):
    """ranges: lowest and highest rating of every scale; units: of every scale, "" where it has none."""

    ranges: tuple[tuple[Real, Real], ...]
    units: tuple[str, ...]

    def check(self, spec):
        for key, values in {"ranges": self.ranges, "units": self.units}.items():
            if len(values) != spec.queries:
                raise AtKey(key, f"expected {spec.queries}, one per label, found {len(values)}")
        if wrong := next((each for each in self.ranges if each[0] >= each[1]), None):
            raise AtKey("ranges", f"expected lowest < highest, found {wrong}")


class Rating(Kind[RatingPrediction, RatingMetric]):
    name, head, inputs, columns = "rating", "value", "face", ("ratings",)
    metric_class, headline, higher_is_better, options = RatingMetric, "nmae", False, RatingOptions
    losses: ClassVar = {"l1": {}, "mse": {}}

    def own_options(self, reader):
        scales = reader.description.ratings.values()
        return {"ranges": [scale.range for scale in scales], "units": [scale.unit for scale in scales]}

    def options_on(self, spec, own, other):
        check_names(spec, "ratings", other)
        ranges = [tuple(each) for each in getattr(other, "ranges", {}).values()]
        if ranges != [tuple(each) for each in spec.options["ranges"]]:
            raise Misfit(f"expected scales of {spec.options['ranges']}, found {ranges}")
        return dict(spec.options)

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.rating import RatingLoss

        return RatingLoss(ranges_of(spec), power={"l1": 1, "mse": 2}[name])

    def limits(self, spec, *, classes=None):
        low, high = ranges_of(spec).T
        slack = 1e-4 * (high - low)
        return {"ratings": Limits(tuple(low - slack), tuple(high + slack), unknown=math.nan)}

    def target(self, spec, sample, crop):
        ratings, ranges = np.asarray(label_of(sample, "ratings"), np.float32), ranges_of(spec)
        known = ~np.isnan(ratings)
        if (
            ratings.shape != (spec.queries,)
            or not ((ratings >= ranges[:, 0] - 1e-4) & (ratings <= ranges[:, 1] + 1e-4) | ~known).all()
        ):
            expected = ", ".join(f"{n} {a:g}..{b:g}" for n, (a, b) in zip(spec.labels, ranges, strict=True))
            raise DataError(f"{key_of(sample)}: ratings: expected {expected}, found {ratings.tolist()}")
        return {"ratings": ratings}

    def decode(self, spec, raw, crop):
        low, high = ranges_of(spec).T
        return RatingPrediction(low + (high - low) * raw.detach().double().sigmoid().cpu().numpy())

    def constant_baseline(self, spec, train, place=None):
        """The median rating of every scale: of all constants it has the smallest mean absolute error."""
        known = np.asarray(train.column("ratings"), np.float64)
        middle = ranges_of(spec).mean(1)
        medians = [np.nanmedian(some) if (~np.isnan(some)).any() else middle[n] for n, some in enumerate(known.T)]
        constant = RatingPrediction(np.asarray(medians, np.float64))
        return lambda sample, crop: constant

    def figure(self, spec, metric):
        """Predicted against true ratings, one panel per scale (the first six)."""
        predicted, truth = metric.arrays()
        shown = spec.labels[:6]
        numbers = metric.compute()
        title = f"{spec.name}: {numbers['nmae']:.1f} % of the range off, CCC {numbers['ccc']:.2f}"
        figure, axes = new_figure(title, len(shown))
        for n, (axis, name) in enumerate(zip(axes, shown, strict=True)):
            low, high = ranges_of(spec)[n]
            unit = f" ({spec.options['units'][n]})" if spec.options["units"][n] else ""
            axis.plot([low, high], [low, high], color="0.6", linestyle="--", linewidth=1)
            axis.scatter(truth[:, n], predicted[:, n], s=6, alpha=0.4, color=PALETTE[0], linewidths=0)
            axis.set(xlim=(low, high), ylim=(low, high), xlabel=f"true {name}{unit}", ylabel=f"predicted {name}{unit}")
        return figure

    def plots(self, spec, metric):
        """Errors in percent of each scale's range."""
        predicted, truth = metric.arrays()
        shares = 100 * np.abs(predicted - truth) / np.diff(ranges_of(spec))[:, 0]
        named = zip(spec.labels, shares.T, strict=True)
        return [error_data(each[~np.isnan(each)], 50.0, name) for name, each in named if not np.isnan(each).all()]

    def panel(self, spec, prediction):
        """Every scale from end to end, with the number at its side."""
        scales = zip(spec.labels, prediction.values, spec.options["ranges"], strict=True)
        return [
            Bars(
                [
                    Bar(f"{spelt_out(name)} ({low:g} to {high:g})", (value - low) / (high - low), said=f"{value:.2f}")
                    for name, value, (low, high) in scales
                ]
            )
        ]

    def describe(self, spec, prediction):
        scales = zip(spec.labels, prediction.values, ranges_of(spec), spec.options["units"], strict=True)
        return [
            f"{name} {value:.2f} {unit}".rstrip() + f" ({low:g} to {high:g})"
            for name, value, (low, high), unit in scales
        ]
