"""95 % intervals of metrics: how far a number could lie elsewhere had other samples of the same kind been drawn.

The bootstrap draws the test samples again, with replacement, and a metric is computed for every draw from how often
each sample was drawn: `counts`, (draws, samples). Pictures of one person and frames of one video are drawn together.
The model is one trained model; what another seed of training would change is no part of these intervals.

Percentiles of the draws are corrected three ways:
* they are moved by what the draws are off on average, measured by their median (a calibration error, a recall at a
  precision come out larger when samples repeat);
* at few samples they are widened as the t distribution widens a normal interval (the expanded percentile interval of
  Hesterberg 2015, "What Teachers Should Know About the Bootstrap");
* shares get at least Wilson's score interval, because 20 right answers of 20 are no proof of 100 %. A mean of shares
  gets the distances to theirs added in squares (MOVER, Zou and Donner 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from faceptor.tasks.measures import BINS, bins_of, ratio

LEVEL = 0.95
DRAWS = 1000
MAX_CELLS = 4_000_000  # draws x samples held at once
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)

Resampler = Callable[[np.ndarray], dict[str, np.ndarray]]  # counts (draws, samples) -> metric -> (draws,)


class Interval(NamedTuple):
    """Both ends, in the metric's unit; nan where there are too few samples to tell."""

    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"))


Share = list[tuple[float, float]]
"""Hits and trials of every part of a metric that is the mean of shares (one part for a plain share)."""


def draw_counts(strata: Sequence[int], *, seed: int | Sequence[int], draws: int = DRAWS) -> Iterator[np.ndarray]:
    """(some, samples) float64: how often each sample is in a draw; all blocks together have `draws` rows.

    strata: sizes of neighbouring groups of samples that are drawn each for itself, such as the folds of a protocol.
    The same strata and seed give the same draws, so that two models on the same samples can be compared draw by draw.
    """
    rng = np.random.default_rng(seed)
    total, rows = sum(strata), 0
    while rows < draws:
        some = max(1, min(draws - rows, MAX_CELLS // max(total, 1)))
        parts = []
        for size in strata:
            chosen = rng.integers(0, size, (some, size)) + size * np.arange(some)[:, None]
            parts.append(np.bincount(chosen.ravel(), minlength=some * size).reshape(some, size))
        rows += some
        yield np.concatenate(parts, axis=1).astype(np.float64)


def means_of(values: Mapping[str, np.ndarray]) -> Resampler:
    """values: name -> (samples,), nan where a sample does not count. The means are nan where none that counts was
    drawn."""
    table = np.stack([*values.values()], axis=1).astype(np.float64)
    defined = ~np.isnan(table)
    known, weights = np.where(defined, table, 0), defined.astype(np.float64)

    def means(counts: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(values, ratio(counts @ known, counts @ weights).T, strict=True))

    return means


def mean_of(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(draws,) each -> (draws,) mean over the parts that are defined; nan where none is."""
    table = np.stack(list(parts))
    defined = ~np.isnan(table)
    return ratio(np.where(defined, table, 0).sum(0), defined.sum(0))


def calibration_of(probability: np.ndarray, outcome: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """counts -> (draws,) expected calibration error, a fraction, as `measures.reliability` bins it.

    probability, outcome: (samples, answers of a sample); outcome is 1 or 0, nan where it is not known.
    """
    known = ~np.isnan(np.asarray(outcome, np.float64))
    index = bins_of(probability)
    gap = np.where(known, probability - np.where(known, outcome, 0), 0)
    gaps = np.stack([np.where(index == place, gap, 0).sum(1) for place in range(BINS)], axis=1)
    answers = known.sum(1).astype(np.float64)
    return lambda counts: ratio(np.abs(counts @ gaps).sum(1), counts @ answers)


def wilson(hits: float, trials: float) -> Interval:
    """Wilson's score interval of a share, fractions."""
    if trials <= 0:
        return UNKNOWN
    share, z2 = hits / trials, Z * Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return Interval(float(min(middle - half, share)), float(max(middle + half, share)))


def joined(shares: Iterable[Share]) -> Share:
    """The mean of several shares."""
    return list(chain.from_iterable(shares))


def interval_of_shares(share: Share) -> Interval:
    """Of the mean of independent shares: the squares of the distances to Wilson's ends added. Fractions."""
    known = [(hits, trials) for hits, trials in share if trials > 0]
    if not known:
        return UNKNOWN
    ends = np.array([wilson(hits, trials) for hits, trials in known])
    each = np.array([hits / trials for hits, trials in known])
    reach = np.sqrt(np.square(ends - each[:, None]).sum(0)) / len(known)
    return Interval(float(max(each.mean() - reach[0], 0)), float(min(each.mean() + reach[1], 1)))


def interval(estimate: float, drawn: np.ndarray, samples: float) -> Interval:
    """The corrected percentile interval around an estimate on `samples` samples; (draws,) in the same unit."""
    from scipy.special import ndtr, stdtrit

    drawn = drawn[~np.isnan(drawn)]
    if samples < 2 or not len(drawn) or not np.isfinite(estimate):
        return UNKNOWN
    reach = stdtrit(samples - 1, (1 + LEVEL) / 2) * np.sqrt(samples / (samples - 1))
    tail = ndtr(-reach)
    low, middle, high = np.quantile(drawn, [tail, 0.5, 1 - tail])
    shift = estimate - middle
    # no further than a draw can come, which keeps shares within their range
    least, most = min(estimate, drawn.min()), max(estimate, drawn.max())
    return Interval(float(np.clip(low + shift, least, estimate)), float(np.clip(high + shift, estimate, most)))


def widened(one: Interval, other: Interval) -> Interval:
    """The smallest interval that holds both; an undefined one adds nothing."""
    return Interval(float(np.fmin(one.low, other.low)), float(np.fmax(one.high, other.high)))
