"""Age: 101 queries, one per year, read as a distribution (DLDL-v2; paper section 3, losses of Table 2).

Labels and predictions in years. Metrics: `mae` in years, `cs5` in percent, `epsilon_error` in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.base import (
    Kind,
    Loss,
    Metric,
    Prediction,
    TaskSpec,
    check_finite,
    check_target,
    check_within,
    key_of,
    label_of,
    share_of,
)

MOST_YEARS = 20.0  # end of the plotted distribution of errors


@dataclass(frozen=True)
class AgePrediction(Prediction):
    """years: expected age; distribution: (N,) probability of each whole year, sums to 1."""

    years: float
    distribution: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {"years": float(self.years), "distribution": [float(value) for value in self.distribution]}


def target_distribution(age: Tensor, ages: Tensor, *, sigma: float = 2.0) -> Tensor:
    """(B,) years -> (B, N): Gaussian density at each whole year, divided by its sum so that the ends lose nothing."""
    return torch.softmax(-((ages - age[:, None]) ** 2) / (2 * sigma**2), dim=1)


def log_distribution(logits: Tensor) -> Tensor:
    """(B, N) logits -> log of sigmoid(logits) / sum, without underflow."""
    return F.log_softmax(F.logsigmoid(logits), dim=1)


def expected_age(logits: Tensor, ages: Tensor) -> Tensor:
    """(B, N) logits -> (B,) years."""
    return (log_distribution(logits).exp() * ages).sum(1)


class AgeLoss(nn.Module):
    """kl * KL(target || p) + l1 * |expected age - age|, both means over samples."""

    def __init__(self, *, first: int, count: int, sigma: float, kl: float, l1: float):
        super().__init__()
        self.sigma, self.kl, self.l1 = sigma, kl, l1
        self.register_buffer("ages", first + torch.arange(count, dtype=torch.float32), persistent=False)

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        raw, age, ages = raw.float(), target["age"].float(), self.ages.to(raw.device)
        check_target("age", age, ages[0].item(), ages[-1].item())
        wanted = target_distribution(age, ages, sigma=self.sigma)
        log_p = log_distribution(raw)
        kl = (torch.xlogy(wanted, wanted) - wanted * log_p).sum(1).mean()  # 0 * log 0 = 0
        l1 = ((log_p.exp() * ages).sum(1) - age).abs().mean()
        return {"loss": self.kl * kl + self.l1 * l1, "kl": kl, "l1": l1}


def mean_absolute_error(predicted: np.ndarray, truth: np.ndarray) -> float:
    """In years."""
    return float(np.abs(predicted - truth).mean())


def cumulative_score(predicted: np.ndarray, truth: np.ndarray, *, years: float = 5.0) -> float:
    """Share of samples at most `years` off, a fraction."""
    return float((np.abs(predicted - truth) <= years).mean())


def epsilon_error(predicted: np.ndarray, truth: np.ndarray, *, sigma: float = 3.0) -> float:
    """1 - mean exp(-error^2 / (2 sigma^2)); 0 is perfect, 1 is far off everywhere."""
    return float(1 - np.exp(-((predicted - truth) ** 2) / (2 * sigma**2)).mean())


class AgeMetric(Metric):
    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.predicted: list[float] = []
        self.truth: list[float] = []

    def _update(self, prediction: AgePrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.years)
        self.predicted.append(float(prediction.years))
        self.truth.append(float(label_of(sample, "age")))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) predicted and (n,) true ages in years."""
        return np.asarray(self.predicted), np.asarray(self.truth)

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
            "epsilon_error": 1 - np.exp(-(errors**2) / (2 * 3.0**2)),
        }

    def _shares(self):
        return {"cs5": share_of(self._values()["cs5"])}


class L1CrossEntropyLoss(nn.Module):
    """ce * cross entropy at the whole year nearest to the age + l1 * |expected age - age|, means over samples.

    FaceXFormer (section 3.4) trains age with the mean of the two. Both are taken of the distribution that `decode`
    reads, so that a model answers as it was trained.
    """

    def __init__(self, *, first: int, count: int, ce: float, l1: float):
        super().__init__()
        self.ce, self.l1 = ce, l1
        self.register_buffer("ages", first + torch.arange(count, dtype=torch.float32), persistent=False)

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        raw, age, ages = raw.float(), target["age"].float(), self.ages.to(raw.device)
        check_target("age", age, ages[0].item(), ages[-1].item())
        log_p = log_distribution(raw)
        ce = F.nll_loss(log_p, (age - ages[0]).round().long())
        l1 = ((log_p.exp() * ages).sum(1) - age).abs().mean()
        return {"loss": self.ce * ce + self.l1 * l1, "ce": ce, "l1": l1}


def _dldl(kind: Age, spec: TaskSpec, *, classes: int | None, **numbers: float) -> AgeLoss:
    return AgeLoss(first=spec.options.get("first", 0), count=spec.queries, **numbers)


def _l1_ce(kind: Age, spec: TaskSpec, *, classes: int | None, **numbers: float) -> L1CrossEntropyLoss:
    return L1CrossEntropyLoss(first=spec.options.get("first", 0), count=spec.queries, **numbers)


class Age(Kind):
    name, head, inputs, columns = "age", "value", "face", ("age",)
    headline, higher_is_better = "mae", False
    losses: ClassVar = {
        "dldl": Loss(_dldl, {"sigma": 2.0, "kl": 1.0, "l1": 1.0}),
        "l1_ce": Loss(_l1_ce, {"ce": 0.5, "l1": 0.5}),
    }

    def _ages(self, spec: TaskSpec) -> np.ndarray:
        return spec.options.get("first", 0) + np.arange(spec.queries, dtype=np.float32)

    def target(self, spec, sample, crop):
        age, ages = np.float32(label_of(sample, "age")), self._ages(spec)
        check_within(f"{key_of(sample)}: age", age, age, (ages[0], ages[-1]), f"{spec.name} has no such year")
        return {"age": np.asarray(age)}

    def decode(self, spec, raw, crop):
        p = log_distribution(raw.detach().float()[None])[0].exp().cpu().numpy()
        return AgePrediction(float(p @ self._ages(spec)), p)

    def metric(self, spec):
        return AgeMetric(spec)

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

        from faceptor.tasks.plots import PALETTE, new_figure

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
        from faceptor.tasks.plots import error_data

        return [error_data(np.abs(np.subtract(*metric.arrays())), MOST_YEARS)]

    def describe(self, spec, prediction):
        return [f"age {prediction.years:.0f}"]
