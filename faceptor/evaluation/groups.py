"""A test's headline metric for groups of its faces: by age, gender, race, skin, expression, pose, named subset.

Which groups there are is told by the label columns of the judged data set. Groups of fewer than FEWEST_FACES faces are
listed and marked, and are neither the worst group nor part of the gap.

The gap is that between the best and the worst group. These two were picked by looking at the numbers, so its interval
is one that holds for every pair of groups at once (the maximum of studentised differences over the bootstrap draws, as
Tukey's range test does it for means); faces of one person are drawn together. Where it holds 0 the order of the groups
is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from faceptor.tasks import kind_of
from faceptor.tasks.intervals import LEVEL, UNKNOWN, Interval, Z, draw_counts, interval, interval_of_shares, widened
from faceptor.tasks.metric import Metric

FEWEST_FACES = 20  # of a group that is compared with others
AGE_STARTS = (0, 20, 40, 60)  # first year of every age band
YAW_STARTS = (0, 15, 45)  # first degree of every band of the head's turn to either side
CLASS_COLUMNS = ("gender", "race", "agegroup", "expression")
# Attributes (CelebA's and LFW-73's names) that stand for such a group: name -> what it is called with and without.
ATTRIBUTES = {
    "Male": ("male", "female"),
    "Young": ("young", "not young"),
    "Pale_Skin": ("pale skin", "other skin"),
    "Pale Skin": ("pale skin", "other skin"),
    "Eyeglasses": ("with glasses", "without glasses"),
}
COLUMNS = (*CLASS_COLUMNS, "age", "pose", "attributes", "subsets")  # of a sample that its groups are told by


@dataclass(frozen=True)
class Group:
    """Faces of one group: how many, the headline metric, and its 95 % interval. few: too few to be compared."""

    name: str
    faces: int
    value: float  # nan where the metric is not defined on these faces
    interval: Interval
    few: bool


@dataclass(frozen=True)
class Grouping:
    """The groups of one label, in its own order. worst, best: of those with enough faces; None where fewer than two
    have them. gap: how much better the best is, in the metric's unit, never negative; interval: of the gap, see the
    module."""

    column: str
    groups: tuple[Group, ...]
    worst: str | None = None
    best: str | None = None
    gap: float = float("nan")
    interval: Interval = UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """By group "values" (the headline metric, where it is defined), "faces" (how many) and "intervals" (their ends,
        None where they cannot be told); where groups can be compared "worst", "best", "gap" and "gap_interval"."""
        told: dict[str, Any] = {
            "values": {one.name: round(one.value, 4) for one in self.groups if np.isfinite(one.value)},
            "faces": {one.name: one.faces for one in self.groups},
            "intervals": {one.name: _ends(one.interval) for one in self.groups},
        }
        if self.worst is None:
            return told
        gap = {"gap": round(self.gap, 4), "gap_interval": _ends(self.interval)}
        return told | {"worst": self.worst, "best": self.best} | gap


def _ends(found: Interval) -> list[float | None]:
    return [round(end, 4) if np.isfinite(end) else None for end in found]


def labels_of(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What tells the groups of a sample, without its image."""
    return {name: sample[name] for name in COLUMNS if sample.get(name) is not None}


def groups_of(labels: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Label -> names of the groups that a face is in (several for subsets). names: of the classes of every column, as
    `Reader.classes` and a dataset card have them."""
    found = {}
    for column in CLASS_COLUMNS:
        if column in labels and column in names:
            found[column] = [names[column][int(labels[column])]]
    if "age" in labels:
        found["age"] = [_band(float(labels["age"]), AGE_STARTS, "years")]
    if "pose" in labels:
        found["turn_of_head"] = [_band(abs(float(labels["pose"][1])), YAW_STARTS, "degrees")]
    for name, value in zip(names.get("attributes", ()), labels.get("attributes", ()), strict=False):
        if name in ATTRIBUTES and value in (0, 1):
            found[name.replace(" ", "_").lower()] = [ATTRIBUTES[name][1 - int(value)]]
    if labels.get("subsets"):
        found["subset"] = list(labels["subsets"])
    return found


def _band(value: float, starts: Sequence[int], unit: str) -> str:
    """The band of a number that is not negative: "0 to 19 years", "60 years and more"."""
    place = int(np.searchsorted(starts, value, side="right")) - 1
    if place == len(starts) - 1:
        return f"{starts[-1]} {unit} and more"
    return f"{starts[place]} to {starts[place + 1] - 1} {unit}"


def by_group(
    metric: Metric,
    labels: Sequence[Mapping[str, Any]],
    names: Mapping[str, Sequence[str]],
    *,
    seed: int | Sequence[int] | None,
) -> list[Grouping]:
    """The headline metric by every label that parts the faces into two groups or more; seed: of the bootstrap, None
    where nobody asks for intervals.

    metric: has judged the faces; labels: a sample, or `labels_of` it, for every one of them, in the same order; names:
    see `groups_of`. Faces that the headline leaves out are in no group; verification pairs have none. Raises ValueError
    where faces and labels are not as many.
    """
    if len(labels) != metric.count:
        raise ValueError(f"{metric.spec.name}: {metric.count} faces were judged, labels tell of {len(labels)}")
    if kind_of(metric.spec).identities:
        return []
    members: dict[str, dict[str, np.ndarray]] = {}
    for index in np.flatnonzero(metric.counted(kind_of(metric.spec).headline_of(metric.spec))):
        for column, groups in groups_of(labels[index], names).items():
            for group in groups:
                members.setdefault(column, {}).setdefault(group, np.zeros(len(labels), bool))[index] = True
    # a label that all faces share parts nothing
    parted = {column: _in_order(column, groups, names) for column, groups in members.items() if len(groups) > 1}
    if not parted:
        return []
    drawn = _draws(metric, [mask for groups in parted.values() for mask in groups.values()], seed)
    of_each = np.split(drawn, np.cumsum([len(groups) for groups in parted.values()])[:-1])
    return [_grouping(metric, *each, own) for each, own in zip(parted.items(), of_each, strict=True)]


def _in_order(column: str, groups: dict[str, np.ndarray], names: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Classes in the order of the data set, bands from low to high, anything else by name."""
    known = list(names.get(column, ()))
    known += [_band(start, starts, unit) for starts, unit in ((AGE_STARTS, "years"), (YAW_STARTS, "degrees"))
              for start in starts]  # fmt: skip
    return {name: groups[name] for name in sorted(groups, key=lambda n: (known.index(n) if n in known else 99, n))}


def _draws(metric: Metric, masks: Sequence[np.ndarray], seed: int | Sequence[int] | None) -> np.ndarray:
    """(groups, 1 + draws) headline metric of each group: on the faces themselves, then in every draw of all faces."""
    headline, unit = kind_of(metric.spec).headline_of(metric.spec), metric.drawn_with()
    resampled = metric.resampler()
    found: list[list[np.ndarray]] = [[] for _ in masks]
    draws = () if seed is None else draw_counts(metric.strata(), seed=seed)
    for counts in (np.ones((1, sum(metric.strata()))), *draws):
        each = counts if unit is None else counts[:, unit]
        for own, mask in zip(found, masks, strict=True):
            with np.errstate(invalid="ignore", divide="ignore"):  # a draw may miss a small group
                own.append(resampled(each * mask)[headline])
    return np.array([np.concatenate(own) for own in found]).reshape(len(masks), -1)


def _grouping(metric: Metric, column: str, masks: Mapping[str, np.ndarray], drawn: np.ndarray) -> Grouping:
    groups, unseen = [], []  # unseen: standard error that the draws do not show
    for (name, mask), (value, *rest) in zip(masks.items(), drawn, strict=True):
        people = len({metric.groups[index] for index in np.flatnonzero(mask)})
        wilson, values = _wilson(metric, mask) if rest else UNKNOWN, np.asarray(rest)
        few = int(mask.sum()) < FEWEST_FACES or not np.isfinite(value)
        own = widened(interval(value, values, people), wilson)
        groups.append(Group(name, int(mask.sum()), float(value), own, few))
        # where all answers are right, or all are wrong, no draw differs
        unseen.append(0.0 if np.isnan(wilson.low) or np.nanstd(values) else (wilson.high - wilson.low) / (2 * Z))
    compared = [place for place, group in enumerate(groups) if not group.few]
    if len(compared) < 2:
        return Grouping(column, tuple(groups))
    sign = 1 if kind_of(metric.spec).higher_is_better else -1
    worst, *_, best = sorted(compared, key=lambda place: sign * groups[place].value)
    gap = abs(groups[best].value - groups[worst].value)
    found = Grouping(column, tuple(groups), groups[worst].name, groups[best].name, gap)
    if drawn.shape[1] == 1:
        return found
    reach = _reach(drawn[compared, 1:], np.array(unseen)[compared], compared.index(worst), compared.index(best))
    return replace(found, interval=Interval(gap - reach, min(gap + reach, 100.0) if sign > 0 else gap + reach))


def _wilson(metric: Metric, mask: np.ndarray) -> Interval:
    """Of a group's headline where that is a plain share of right answers, in percent."""
    share = metric.share_among(kind_of(metric.spec).headline_of(metric.spec), mask)
    return Interval(*(100 * end for end in interval_of_shares(share))) if share else UNKNOWN


def _reach(drawn: np.ndarray, unseen: np.ndarray, one: int, other: int) -> float:
    """Half of the interval of the difference of two groups, such that the intervals of all pairs hold at once in LEVEL
    of the draws. drawn: (groups, draws)."""
    centred = drawn - np.nanmean(drawn, axis=1, keepdims=True)

    def error(a: int, b: int) -> float:
        return float(np.sqrt(np.nanvar(drawn[a] - drawn[b]) + unseen[a] ** 2 + unseen[b] ** 2))

    pairs = [(a, b) for a, b in combinations(range(len(drawn)), 2) if error(a, b)]
    if not pairs:
        return 0.0
    farthest = np.nanmax([np.abs(centred[a] - centred[b]) / error(a, b) for a, b in pairs], axis=0)
    return max(float(np.nanquantile(farthest, LEVEL)), Z) * error(one, other)
