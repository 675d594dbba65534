"""Statistics of a label column: what is counted while a data set is prepared, and how its dataset card says it.

`count` takes some values of the column as one array (n, ...) and gives a `Tally`; tallies of further values are added
with `+=`, sample by sample or block by block. `report` turns the whole into plain JSON; `names` are those of the
column's classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from faceptor.datasets.labels import AGES
from faceptor.datasets.own_columns import MOST_CLASSES, MOST_VALUES

ANGLES = ("pitch", "yaw", "roll")
DECADES = 10
UNKNOWN = "unknown"  # pixels that have none of the classes


def _nothing() -> np.ndarray:
    return np.zeros(0)


@dataclass
class Tally:
    """Of some values: how often each occurs, sums, extremes, distinct ones. A column fills the parts it reports."""

    counts: np.ndarray = field(default_factory=_nothing)  # int64
    sums: np.ndarray = field(default_factory=_nothing)  # float64, like the two extremes (nan where there is none)
    least: np.ndarray = field(default_factory=_nothing)
    most: np.ndarray = field(default_factory=_nothing)
    distinct: set[int] = field(default_factory=set)

    def __iadd__(self, other: Tally) -> Tally:
        self.counts, self.sums = self.counts + other.counts, self.sums + other.sums
        self.least, self.most = np.fmin(self.least, other.least), np.fmax(self.most, other.most)
        self.distinct |= other.distinct
        return self

    def to_state(self) -> dict:
        """Plain data, fit for JSON; `from_state` is the inverse."""
        state = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: sorted(part) if isinstance(part, set) else part.tolist() for name, part in state.items()}

    @classmethod
    def from_state(cls, state: Mapping) -> Tally:
        arrays = {name: np.array(state[name], np.float64) for name in ("sums", "least", "most")}
        return cls(np.array(state["counts"], np.int64), **arrays, distinct=set(state["distinct"]))


class Statistic(NamedTuple):
    count: Callable[[np.ndarray], Tally]
    report: Callable[[Tally, Sequence[str]], Any]


def _named(counts: Iterable, names: Iterable[str]) -> dict[str, int]:
    return {name: int(count) for name, count in zip(names, counts, strict=False)}


def _histogram(most: int) -> Callable[[np.ndarray], Tally]:
    return lambda values: Tally(np.bincount(values.ravel(), minlength=most))


def _pixel_shares(tally: Tally, names: Sequence[str]) -> dict[str, float]:
    shares = tally.counts / tally.counts.sum()
    rest = {UNKNOWN: shares[len(names) :].sum()} if tally.counts[len(names) :].any() else {}
    named = dict(zip(names, shares, strict=False)) | rest
    return {name: round(float(share), 6) for name, share in named.items()}


def _count_years(values: np.ndarray) -> Tally:
    years = np.bincount(values.astype(np.int64), minlength=len(AGES))
    return Tally(years, *(np.array([number], np.float64) for number in (values.sum(), values.min(), values.max())))


def _report_years(tally: Tally, names: Sequence[str]) -> dict:
    decades = [int(part.sum()) for part in np.array_split(tally.counts[:100], DECADES)]
    decades[-1] += int(tally.counts[100])
    mean = round(float(tally.sums[0]) / int(tally.counts.sum()), 3)
    return {"range": [float(tally.least[0]), float(tally.most[0])], "mean": mean, "decades": decades}


def _count_answers(values: np.ndarray) -> Tally:
    """(3, N) of yes, no and unknown, for (n, N) answers."""
    return Tally(np.stack([(values == answer).sum(axis=0) for answer in (1, 0, -1)]))


def _report_attributes(tally: Tally, names: Sequence[str]) -> dict:
    yes, no, unknown = tally.counts
    known = yes + no
    shares = [round(float(part / total), 4) if total else None for part, total in zip(yes, known, strict=True)]
    return {
        "prevalence": dict(zip(names, shares, strict=True)),
        "unknown": round(float(unknown.sum() / (known + unknown).sum()), 6),
    }


def _count_ratings(values: np.ndarray) -> Tally:
    values = values.astype(np.float64)
    known = ~np.isnan(values)
    extremes = (rule.reduce(values, axis=0, initial=np.nan) for rule in (np.fmin, np.fmax))
    return Tally(known.sum(axis=0), np.where(known, values, 0).sum(axis=0), *extremes)


def _report_ratings(tally: Tally, names: Sequence[str]) -> dict:
    return {
        name: {
            "known": int(known),
            "range": [float(least), float(most)] if known else [],
            "mean": round(float(total) / int(known), 4) if known else None,
        }
        for name, known, total, least, most in zip(
            names, tally.counts, tally.sums, tally.least, tally.most, strict=True
        )
    }


def _count_angles(values: np.ndarray) -> Tally:
    values = values.astype(np.float64)
    return Tally(least=values.min(axis=0), most=values.max(axis=0))


def _report_angles(tally: Tally, names: Sequence[str]) -> dict[str, list[float]]:
    ends = zip(tally.least.tolist(), tally.most.tolist(), strict=True)
    return {angle: [round(end, 3) for end in both] for angle, both in zip(ANGLES, ends, strict=True)}


def _report_people(tally: Tally, names: Sequence[str]) -> dict[str, int]:
    return {"identities": len(tally.distinct), "largest": max(tally.distinct)}


CLASSES = Statistic(_histogram(MOST_CLASSES), lambda tally, names: _named(tally.counts, names))
PIXELS = Statistic(_histogram(MOST_VALUES), _pixel_shares)
YEARS = Statistic(_count_years, _report_years)
ATTRIBUTES = Statistic(_count_answers, _report_attributes)
VISIBILITY = Statistic(
    _count_answers, lambda tally, names: _named(tally.counts.sum(axis=1), ("visible", "occluded", "unknown"))
)
RATINGS = Statistic(_count_ratings, _report_ratings)
ANGLE_RANGES = Statistic(_count_angles, _report_angles)
PEOPLE = Statistic(lambda values: Tally(distinct=set(np.unique(values).tolist())), _report_people)
