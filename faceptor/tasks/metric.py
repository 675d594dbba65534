"""What every metric of a kind of task has: numbers from predictions, and how sure they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from faceptor.errors import DataError
from faceptor.tasks.intervals import (
    Interval,
    Resampler,
    Share,
    draw_counts,
    interval,
    interval_of_shares,
    means_of,
    widened,
)

if TYPE_CHECKING:
    from faceptor.tasks.base import Prediction, TaskSpec

    Sample = Mapping[str, Any]


class Metric(ABC):
    """Takes one prediction at a time; `compute` gives the numbers, the state kept serves figures and intervals.

    For its intervals a metric is computed again from how often each sample is drawn (see `faceptor.tasks.intervals`).
    What is a mean over samples need only be named in `_values`, and in `_shares` if its values are right or wrong.
    """

    def __init__(self, spec: TaskSpec):
        self.spec = spec
        self.count = 0
        self.groups: list[str] = []  # person, photograph or video of each sample
        self._drawn: tuple[tuple, dict[str, np.ndarray]] | None = None  # the last draws, and what they are of

    def update(self, prediction: Prediction, sample: Sample) -> None:
        """Judge one prediction against its sample's labels."""
        self._update(prediction, sample)
        self.groups.append(str(sample.get("group") or sample.get("key") or f"sample {self.count}"))
        self.count += 1

    def compute(self) -> dict[str, float]:
        """Named numbers; percent unless the name or the kind's docstring says otherwise."""
        if not self.count:
            raise DataError(f"{self.spec.name}: no sample was evaluated; check the prepared {self.spec.dataset}")
        return {name: float(value) for name, value in self._compute().items()}

    def notes(self) -> list[str]:
        """What was left out of the numbers, and why; one sentence each."""
        return []

    def strata(self) -> tuple[int, ...]:
        """Sizes of the parts that are drawn each for itself, of what is drawn: the groups of samples, all together,
        because pictures of one person or video tell less than as many of different ones. A protocol may have folds."""
        return (len(set(self.groups)),)

    def drawn_with(self) -> np.ndarray | None:
        """(samples,) which of what is drawn each sample belongs to; None where samples themselves are drawn."""
        return np.unique(self.groups, return_inverse=True)[1]

    def drawn(self, *, seed: int | Sequence[int]) -> dict[str, np.ndarray]:
        """Every metric, computed for each draw of the samples: name -> (draws,). The same samples and seed give the
        same draws, so that two models can be compared draw by draw."""
        key = (self.count, *np.ravel(seed).tolist())
        if self._drawn is None or self._drawn[0] != key:
            metrics, unit = self.resampler(), self.drawn_with()
            draws = draw_counts(self.strata(), seed=seed)
            blocks = [metrics(counts if unit is None else counts[:, unit]) for counts in draws]
            self._drawn = key, {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        return self._drawn[1]

    def resampler(self) -> Resampler:
        """counts (draws, samples) -> every metric of `compute`, (draws,), if sample j counted counts[i, j] times."""
        return means_of(self._values())

    def intervals(self, *, seed: int | Sequence[int]) -> dict[str, Interval]:
        """95 % interval of every metric, from samples drawn as `strata` says."""
        drawn = self.drawn(seed=seed)
        unit, everything = self.drawn_with(), sum(self.strata())

        def drawn_units(values: np.ndarray) -> int:
            counted = ~np.isnan(values)
            return int(counted.sum()) if unit is None else len(set(unit[counted].tolist()))

        units = {name: drawn_units(values) for name, values in self._values().items()}
        numbers = self.compute().items()
        found = {name: interval(value, drawn[name], units.get(name, everything)) for name, value in numbers}
        for name, share in self._shares().items():
            if name in found:
                found[name] = widened(found[name], Interval(*(100 * end for end in interval_of_shares(share))))
        return found

    def _values(self) -> dict[str, np.ndarray]:
        """Metrics that are a mean over samples: name -> (samples,) what is averaged, nan where a sample does not
        count."""
        return {}

    def _shares(self) -> dict[str, Share]:
        """Metrics in percent that are a share of right answers, or a mean of such shares."""
        return {}

    def counted(self, name: str) -> np.ndarray:
        """(samples,) bool: which samples a metric is told from; all, where it is no mean over samples."""
        values = self._values().get(name)
        return np.ones(self.count, bool) if values is None else ~np.isnan(values)

    def share_among(self, name: str, members: np.ndarray) -> Share | None:
        """What a metric in percent counts among some samples, (samples,) bool; None where it is no plain share of right
        answers."""
        values = self._values().get(name)
        return share_of(values[members]) if values is not None and name in self._shares() else None

    @abstractmethod
    def _update(self, prediction: Prediction, sample: Sample) -> None: ...

    @abstractmethod
    def _compute(self) -> dict[str, float]: ...


class PairedMetric(Metric):
    """Keeps what was predicted and what is true, of every sample."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.predicted: list[Any] = []
        self.truth: list[Any] = []

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Predicted and true, (n, ...) each."""
        return np.asarray(self.predicted), np.asarray(self.truth)


def of_subsets(subsets: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """Named test subset -> (samples,) bool which belong to it, "" for all. subsets: of every sample."""
    named = sorted({name for own in subsets for name in own})
    return {"": np.ones(len(subsets), bool)} | {name: np.array([name in own for own in subsets]) for name in named}


def share_of(values: np.ndarray) -> Share:
    """Of one metric in percent, from the 0 or 100 of every sample, nan where it does not count."""
    counted = values[~np.isnan(values)]
    return [(float(counted.sum()) / 100, len(counted))]
