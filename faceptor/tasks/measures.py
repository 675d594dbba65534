"""Counting measures shared by kinds: confusion, F1, calibration. Pure numpy, all values fractions in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceptor.errors import DataError

BINS = 10  # of stated probabilities, of equal width


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 counts, rows = truth, columns = prediction; any shape, as long as it is the same."""
    if truth.shape != predicted.shape:
        raise DataError(f"truth has shape {truth.shape}, the prediction {predicted.shape}; they must be the same")
    truth, predicted = truth.ravel(), predicted.ravel()
    for name, values in (("truth", truth), ("prediction", predicted)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise DataError(f"{name}: expected classes 0 .. {classes - 1}, found {values.min()} .. {values.max()}")
    index = truth.astype(np.int32) * classes + predicted
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)


def ratio(parts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """parts / counts, of one shape; nan where nothing was counted."""
    return np.divide(parts, counts, out=np.full(np.shape(parts), np.nan), where=counts > 0)


def percent_of_each(name: str, labels: Sequence[str], fractions: np.ndarray) -> dict[str, float]:
    """`<name>_<label>` -> percent, of the labels whose fraction is defined."""
    named = zip(labels, fractions, strict=True)
    return {f"{name}_{label}": 100 * value for label, value in named if not np.isnan(value)}


def f1_per_class(confusion: np.ndarray) -> np.ndarray:
    """(C,) F1 = 2 TP / (predicted + true); nan where a class is in neither, as 0/0 is."""
    return ratio(2 * np.diag(confusion), confusion.sum(0) + confusion.sum(1))


def recall_per_class(confusion: np.ndarray) -> np.ndarray:
    """(C,) share of each true class that was found; nan where a class has no sample."""
    return ratio(np.diag(confusion), confusion.sum(1))


def mean_of_defined(values: np.ndarray) -> float:
    """Mean over the entries that are not nan; nan if none is defined."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else float("nan")


@dataclass(frozen=True)
class Reliability:
    """Confidence against what came true, in equal-width bins; empty bins are nan."""

    confidence: np.ndarray  # (bins,) mean stated probability
    frequency: np.ndarray  # (bins,) share that came true
    count: np.ndarray  # (bins,)

    @property
    def error(self) -> float:
        """Expected calibration error: |confidence - frequency| weighted by the bins' counts."""
        filled = self.count > 0
        gaps = np.abs(self.confidence[filled] - self.frequency[filled])
        return float(np.average(gaps, weights=self.count[filled])) if filled.any() else float("nan")


def bins_of(probability: np.ndarray) -> np.ndarray:
    """The bin of each stated probability, from 0."""
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def reliability(probability: np.ndarray, outcome: np.ndarray) -> Reliability:
    """Bin stated probabilities and compare with the 0/1 outcomes; both of the same shape."""
    probability, outcome = np.ravel(probability).astype(float), np.ravel(outcome).astype(float)
    index = bins_of(probability)
    count = np.bincount(index, minlength=BINS)
    stated, true = (np.bincount(index, weights=values, minlength=BINS) for values in (probability, outcome))
    return Reliability(ratio(stated, count), ratio(true, count), count)
