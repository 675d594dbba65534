"""Whether a model knows how sure it may be: reliability of stated probabilities, and intervals by split conformal
prediction (Papadopoulos et al. 2002; Lei et al. 2018).

Split conformal: errors of one half of the faces give a radius that holds the target share of them; about the answers to
the other half it is then judged. No face, and no person, is on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd

from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.datasets.subset import halves
from faceptor.errors import DataError
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction
from faceptor.tasks.intervals import DRAWS, Interval, interval, interval_of_shares, widened
from faceptor.tasks.landmarks import normaliser
from faceptor.tasks.measures import Reliability, reliability
from faceptor.tasks.metric import share_of

Answers = Mapping[str, Sequence[Prediction]]  # test -> answers to its faces


@dataclass(frozen=True)
class Calibration:
    """Stated probabilities of a task against what came true. ece: percent; chance: the calibration error that a
    perfectly calibrated model stays below in 95 of 100 such samples; excess: mean probability less the share that came
    true, percent points."""

    test: str
    states: str
    bins: Reliability
    ece: float
    interval: Interval
    chance: float
    excess: float
    faces: int

    @property
    def verdict(self) -> str:
        if self.ece <= self.chance:
            return "undecided"
        return "over-confident" if self.excess > 0 else "under-confident"


def calibrations(tasks: Sequence[TaskFaces], answers: Answers) -> list[Calibration]:
    """Of every task that states probabilities of classes or attributes; DataError if there is none."""
    found = []
    for task in tasks:
        metric = task.metric(answers[task.test])
        if not hasattr(metric, "stated"):
            continue
        probability, outcome = (np.asarray(values, float) for values in metric.stated())
        bins = reliability(probability, outcome)
        states = "probability of the chosen class" if len(probability) == metric.count else "probability of a yes"
        ends = metric.intervals(seed=SEED)["calibration_error"]
        excess, chance = 100 * (probability.mean() - outcome.mean()), chance_error(probability)
        found.append(Calibration(task.test, states, bins, 100 * bins.error, ends, chance, excess, metric.count))
    if not found:
        raise DataError(f"calibration: none of {', '.join(task.test for task in tasks)} states probabilities")
    return found


def chance_error(probability: np.ndarray, *, level: float = 0.95, draws: int = 400) -> float:
    """Percent: quantile of the calibration error where every probability is right and outcomes are drawn from them."""
    rng = np.random.default_rng(SEED)
    errors = [reliability(probability, rng.random(len(probability)) < probability).error for _ in range(draws)]
    return 100 * float(np.quantile(errors, level))


def calibration_table(found: Sequence[Calibration]) -> pd.DataFrame:
    """In words, a row per task."""
    rows = [
        {
            "test": one.test, "faces": one.faces,
            "calibration error, %": f"{one.ece:.1f} [{one.interval.low:.1f}, {one.interval.high:.1f}]",
            "by chance up to, %": f"{one.chance:.1f}", "stated less true, points": f"{one.excess:+.1f}",
            "verdict": one.verdict,
        }
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("test")


# --- conformal --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """An interval or a radius about the answers of a task. radius: (K,) for an age (K = 1) or each landmark; target and
    measured in percent; calibrated, judged: faces on either side."""

    test: str
    what: str
    unit: str
    target: float
    measured: float
    interval: Interval
    radius: np.ndarray
    calibrated: int
    judged: int

    @property
    def width(self) -> str:
        """How wide what is promised is."""
        if len(self.radius) == 1:
            return f"{2 * self.radius[0]:.1f} {self.unit} wide"
        return (
            f"radius {self.radius.mean():.1f} {self.unit} (of the points {self.radius.min():.1f} to "
            f"{self.radius.max():.1f})"
        )

    @property
    def verdict(self) -> str:
        low, high = self.interval
        if low <= self.target <= high:
            return "as promised, as far as these faces tell"
        return "holds fewer than promised" if high < self.target else "wider than promised"


def coverages(tasks: Sequence[TaskFaces], answers: Answers, *, target: float) -> list[Coverage]:
    """Of every task that answers with an age or with points. target: share from 0 to 1; DataError where there is no
    such task or too few faces."""
    found = [_coverage(task, answers[task.test], target) for task in tasks if task.spec.kind in ERRORS]
    if not found:
        raise DataError(f"conformal: none of {', '.join(task.test for task in tasks)} answers with an age or points")
    return found


def _coverage(task: TaskFaces, answers: Sequence[Prediction], target: float) -> Coverage:
    what, unit, errors = ERRORS[task.spec.kind](task, answers)
    people = [str(sample.get("group") or sample.get("key")) for sample in task.samples]
    calibrating, judging = halves(people)
    radius = radii(errors[calibrating], target)
    if not np.isfinite(radius).all() or not judging:
        raise DataError(
            f"{task.test}: {len(calibrating)} faces cannot promise {target:.0%}; take at least "
            f"{2 * ceil(target / (1 - target))} (notebooks.robustness.judged)"
        )
    inside = errors[judging] <= radius
    drawn = 100 * np.array(list(_drawn(errors, people, (calibrating, judging), target)))
    ends = interval(100 * inside.mean(), drawn, len({people[row] for row in judging}))
    if errors.shape[1] == 1:
        ends = widened(ends, Interval(*(100 * end for end in interval_of_shares(share_of(100.0 * inside[:, 0])))))
    return Coverage(
        task.test, what, unit, 100 * target, 100 * inside.mean(), ends, radius, len(calibrating), len(judging)
    )


def radii(errors: np.ndarray, target: float) -> np.ndarray:
    """(n, K) errors -> (K,) the ceil((n + 1) target)-th smallest; inf where n is too small for that."""
    rank = ceil((len(errors) + 1) * target - 1e-9)
    if rank > len(errors):
        return np.full(errors.shape[1], np.inf)
    return np.sort(errors, axis=0)[rank - 1]


def _drawn(
    errors: np.ndarray, people: Sequence[str], sides: tuple[list[int], list[int]], target: float
) -> Iterator[float]:
    """Share inside in draws of the people of both sides: what another calibration half would change is in it."""
    rng = np.random.default_rng(SEED)
    parts = []
    for side in sides:
        names = np.array([people[row] for row in side])
        parts.append([np.asarray(side)[names == name] for name in dict.fromkeys(names.tolist())])
    for _ in range(DRAWS):
        rows = [np.concatenate([part[i] for i in rng.integers(0, len(part), len(part))]) for part in parts]
        yield float((errors[rows[1]] <= radii(errors[rows[0]], target)).mean())


def _age_errors(task: TaskFaces, answers: Sequence[Prediction]) -> tuple[str, str, np.ndarray]:
    told = np.array([answer.years for answer in answers])
    return "age interval", "years", np.abs(told - [sample["age"] for sample in task.samples])[:, None]


def _point_errors(task: TaskFaces, answers: Sequence[Prediction]) -> tuple[str, str, np.ndarray]:
    name = kind_of(task.spec).headline_of(task.spec)
    rule, rows = task.spec.options["normalisers"][name], []
    for answer, sample in zip(answers, task.samples, strict=True):
        truth = np.asarray(sample["landmarks"], np.float64)
        length = normaliser(rule, truth, sample.get("box"))
        rows.append(100 * np.linalg.norm(answer.points - truth, axis=1) / length if length else None)
    unit = f"% of the {name.removeprefix('nme_').replace('_', '-')} distance"
    return "landmark radius", unit, np.stack([row for row in rows if row is not None])


ERRORS = {"age": _age_errors, "landmarks": _point_errors}  # (what, unit, (n, K) errors)


def coverage_table(found: Sequence[Coverage]) -> pd.DataFrame:
    """In words, a row per task."""
    rows = [
        {
            "test": one.test, "promise": one.what, "faces, calibrating + judging": f"{one.calibrated} + {one.judged}",
            "target, %": f"{one.target:.0f}",
            "measured, %": f"{one.measured:.1f} [{one.interval.low:.1f}, {one.interval.high:.1f}]",
            "width": one.width, "verdict": one.verdict,
        }
        for one in found
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("test")


# --- conclusions ------------------------------------------------------------------------------------------------------


def conclusions(stated: Sequence[Calibration], covered: Sequence[Coverage]) -> list[str]:
    """A sentence per task."""
    sentences = []
    for one in stated:
        told = f"{one.test}: calibration error {one.ece:.1f} % [{one.interval.low:.1f}, {one.interval.high:.1f}]"
        by_chance = f"a calibrated model shows up to {one.chance:.1f} % on as many faces"
        sure = f"{one.verdict} by {abs(one.excess):.1f} points in the mean; {by_chance}"
        told_open = f"{by_chance}, so it is undecided whether it is off at all"
        sentences.append(f"{told}; {told_open if one.verdict == 'undecided' else sure}.")
    for one in covered:
        low, high = one.interval
        sentences.append(
            f"{one.test}: the {one.what} for {one.target:.0f} % ({one.width}) holds {one.measured:.1f} % "
            f"[{low:.1f}, {high:.1f}] of the {'points' if len(one.radius) > 1 else 'faces'} that did not calibrate it: "
            f"{one.verdict}."
        )
    return sentences
