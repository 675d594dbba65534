"""What is lost between a data set's own crops and the way a user's photograph goes: detector, crop, model, picture.

The same validation faces are cut in four ways and judged in their picture's own pixels:

* own: as the data set's pictures are cut for its tests, what every table of results is measured on;
* boxed: as `faceptor.predict` cuts them when the true face box is given. Own less boxed is what *framing* costs;
* found: as it cuts them around the detected face. Boxed less found is what *detection* costs;
* shared: as `faceptor.predict(crops="shared")` cuts them there: one crop for all tasks of the input group. Found less
  shared is what *sharing* costs.

Losses are paired differences of skill on the faces that were found. Faces that were missed are counted apart; with them
as failures, which are answered by the constant baseline and so have no skill, the whole pipeline is judged once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from faceptor.analysis.calibration import ERRORS
from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.errors import DataError
from faceptor.evaluation.measure import Gain, Measured, gain
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction
from faceptor.tasks.intervals import DRAWS, interval
from faceptor.transforms.crop import PlacedCrop

FEWEST_FOUND = 4  # faces, with which something can be said
UNKNOWN = Gain(np.nan, np.nan, np.nan)
WAYS = {
    "own": "own crops", "boxed": "true box given", "found": "detected", "shared": "detected, shared crop",
    "all": "detected, missed faces as failures"
}  # fmt: skip
CUTS = ("own", "boxed", "found", "shared")
HEADLINES = {"own crops": "own", "detected": "found", "shared crop": "shared"}
LOSSES = {
    "framing": ("own", "boxed"), "detection": ("boxed", "found"), "both": ("own", "found"),
    "and missed": ("own_all", "all"), "sharing": ("found", "shared"),
}  # fmt: skip
MOVES = {
    "moved": "view displaced, share of the crop's side", "scaled": "view larger or smaller, powers of two",
    "rolled": "view turned, degrees",
}  # fmt: skip


@dataclass(frozen=True)
class Views:
    """Crops of the same faces, in order; None where no label tells the true box, or where no face was found."""

    own: Sequence[PlacedCrop]
    boxed: Sequence[PlacedCrop | None]
    found: Sequence[PlacedCrop | None]
    shared: Sequence[PlacedCrop | None]


@dataclass(frozen=True)
class _Placed:
    """Crops that were placed before, by the sample's key; stands where a CropSpec does."""

    crops: Mapping[str, PlacedCrop]

    def place_sample(self, sample: Mapping[str, Any]) -> PlacedCrop:
        return self.crops[sample["key"]]


@dataclass(frozen=True)
class Truth:
    """A task and its answers to faces that were cut in the ways of `CUTS`; None where a face has no such crop."""

    task: TaskFaces
    views: Views
    answers: Mapping[str, Sequence[Prediction | None]]  # by way of `CUTS`

    @cached_property
    def rows(self) -> list[int]:
        """Faces that the detector found."""
        return [row for row, one in enumerate(self.views.found) if one]

    @property
    def missed(self) -> int:
        return len(self.task.samples) - len(self.rows)

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """By way: "own", "found", "shared" and, if every box is known, "boxed" on the faces that were found; "own_all"
        and "all", with missed faces as failures, on all of them. Empty where too few were found."""
        if len(self.rows) < FEWEST_FOUND:
            return {}
        ways = ["own", "found", "shared"] + (["boxed"] if all(self.views.boxed[row] for row in self.rows) else [])
        constants = self.task.constants()
        constant = self.task.metric([constants[row] for row in self.rows], self.rows)
        told = {way: [self.answers[way][row] for row in self.rows] for way in ways}
        judged = {way: Measured(self.task.spec, self.task.metric(told[way], self.rows), constant) for way in ways}
        failed = [_failure(one, like) for one, like in zip(constants, self.answers["own"], strict=True)]
        whole = [one or other for one, other in zip(self.answers["found"], failed, strict=True)]
        return judged | {"own_all": self.task.judged(self.answers["own"]), "all": self.task.judged(whole)}

    def lost(self, before: str, after: str) -> Gain:
        """Skill that one way has more than another; nan where one of them is not known."""
        found = self.measured
        return gain(found[before], found[after], seed=SEED) if {before, after} <= set(found) else UNKNOWN


def _failure(constant: Prediction, like: Prediction) -> Prediction:
    """The constant answer; one embedding for every face has the size of the model's."""
    if not hasattr(like, "embedding"):
        return constant
    return replace(like, embedding=np.ones_like(like.embedding))


def truth_of(task: TaskFaces, views: Views, *, batch: int = 32) -> Truth:
    """The task's answers by each way of `CUTS`."""
    answers = {}
    for way in CUTS:
        placed = getattr(views, way)
        rows = [row for row, one in enumerate(placed) if one]
        some = replace(task, samples=[task.samples[row] for row in rows])
        crops = _Placed({task.samples[row]["key"]: placed[row] for row in rows})
        told = dict(zip(rows, some.answers(crops, batch=batch), strict=True))
        answers[way] = [told.get(row) for row in range(len(placed))]
    return Truth(task, views, answers)


# --- tables -----------------------------------------------------------------------------------------------------------


def skills(truths: Sequence[Truth]) -> pd.DataFrame:
    """A row per task and way of `WAYS`: task, way, skill, low, high, faces. DataError where nothing can be said."""
    rows = []
    for truth in truths:
        for way in WAYS:
            if (one := truth.measured.get(way)) is not None:
                low, high = one.intervals(seed=SEED)["skill"]
                rows.append((truth.task.spec.name, way, one.skill, low, high, one.samples))
    if not rows:
        raise DataError(f"the detector found fewer than {FEWEST_FOUND} faces of every task; take more faces")
    return pd.DataFrame(rows, columns=["task", "way", "skill", "low", "high", "faces"])


def losses(truths: Sequence[Truth]) -> pd.DataFrame:
    """A row per task in words: faces, missed, the headline on own crops, as detected and with the shared crop, and
    points of skill lost to framing, to detection, to both, with missed faces as failures, and to sharing a crop."""
    rows = []
    for truth in truths:
        found = truth.measured
        rows.append({
            "task": truth.task.spec.name, "faces": len(truth.task.samples), "missed": truth.missed,
            "metric": kind_of(truth.task.spec).headline_of(truth.task.spec),
            **{name: found[way].metrics[found[way].headline] if found else np.nan for name, way in HEADLINES.items()},
            **{name: _points(truth.lost(*ways)) for name, ways in LOSSES.items()},
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("task")


def _points(lost: Gain) -> str | None:
    if not np.isfinite(lost).all():
        return None
    points, low, high = (round(100 * value) for value in lost)
    return f"{points} [{low}, {high}]"


def moves(truths: Sequence[Truth]) -> pd.DataFrame:
    """A row per found face of a task whose answers have an error (ages, landmarks): task, moved, scaled, rolled (how
    its view differs from its own crop: `MOVES`) and lost: points of skill that this face costs, its extra error in
    errors of the constant baseline."""
    rows = []
    for truth in truths:
        if truth.task.spec.kind not in ERRORS or not truth.rows:
            continue
        told = (truth.answers["own"], truth.answers["found"], truth.task.constants())
        own, found, constant = (_errors(truth, answers) for answers in told)
        for place, row in enumerate(truth.rows):
            shift = view_shift(truth.views.own[row], truth.views.found[row])
            lost = 100 * (found[place] - own[place]) / constant.mean()
            rows.append({"task": truth.task.spec.name, **shift, "lost": float(lost)})
    if not rows:
        raise DataError("no found face of a task whose answers have an error (ages, landmarks); take more faces")
    return pd.DataFrame(rows)


def _errors(truth: Truth, answers: Sequence[Prediction | None]) -> np.ndarray:
    """(found,) error of every found face, in the unit of its task."""
    some = replace(truth.task, samples=[truth.task.samples[row] for row in truth.rows])
    return ERRORS[truth.task.spec.kind](some, [answers[row] for row in truth.rows])[2].mean(axis=1)


def view_shift(own: PlacedCrop, other: PlacedCrop) -> dict[str, float]:
    """How one view of a face differs from its own crop. moved: between their middles, in sides of the crop; scaled: how
    much larger the face appears, as power of two; rolled: degrees it is turned, clockwise as seen."""
    relative = other.matrix @ np.linalg.inv(own.matrix)
    middle = np.full(2, (own.size - 1) / 2)
    there, turn = relative[:2, :2] @ middle + relative[:2, 2], relative[:2, :2]
    return {
        "moved": float(np.linalg.norm(there - middle) / own.size),
        "scaled": float(np.log2(abs(np.linalg.det(turn))) / 2),
        "rolled": float(np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))),
    }


def causes(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of what a face costs with how far its view is off, a row per task and move of
    `MOVES`: task, move, rho, low, high (95 % interval over faces), faces."""
    rng, rows = np.random.default_rng(SEED), []
    for task, part in table.groupby("task", sort=False):
        for move in MOVES:
            off, lost = part[move].abs().to_numpy(), part["lost"].to_numpy()
            picks = rng.integers(0, len(part), (DRAWS, len(part)))
            drawn, rho = _rho(off[picks], lost[picks]), float(_rho(off[None], lost[None])[0])
            rows.append((task, move, rho, *interval(rho, drawn, len(part)), len(part)))
    return pd.DataFrame(rows, columns=["task", "move", "rho", "low", "high", "faces"])


def _rho(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(draws, faces) each -> (draws,) Spearman's correlation; 0 where all values of a side are equal."""
    ranks = [pd.DataFrame(values).rank(axis=1).to_numpy() for values in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    length = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), length, out=np.zeros(len(a)), where=length > 0)


# --- conclusions ------------------------------------------------------------------------------------------------------


def conclusions(truths: Sequence[Truth], why: pd.DataFrame) -> list[str]:
    """One sentence per task: what is lost in all, how much of it to framing and to detection, and how many were missed;
    then what the loss goes along with."""
    sentences = [_sentence(truth) for truth in truths]
    for task, part in why.groupby("task", sort=False):
        sure = part[(part["low"] > 0)].sort_values("rho", ascending=False)
        names = {"moved": "a displaced view", "scaled": "another scale", "rolled": "a turned view"}
        told = [f"{names[row.move]} (rank correlation {row.rho:.2f} [{row.low:.2f}, {row.high:.2f}])" for row in
                sure.itertuples()]  # fmt: skip
        along = f"goes along with {' and '.join(told)}" if told else "is due to: undecided"
        sentences.append(f"{task}: what each of {part['faces'].iloc[0]} found faces costs {along}.")
    return sentences


def _sentence(truth: Truth) -> str:
    name, faces = truth.task.spec.name, len(truth.task.samples)
    told = f"{name}: the detector missed {truth.missed} of {faces} faces"
    if not truth.measured:
        return f"{told}; too few were found to say what the others lose."
    lost = {name: truth.lost(*ways) for name, ways in LOSSES.items()}
    parts = [_said("lost in all", lost["both"])]
    if "boxed" in truth.measured:
        parts += [_said(name, lost[name]) for name in ("framing", "detection")]
    else:
        parts.append("no label tells the true box, so framing and detection cannot be parted")
    whole, sharing = _said("lost", lost["and missed"]), _said("lost", lost["sharing"])
    told += f"; points of skill on those it found: {', '.join(parts)}; with missed faces as failures: {whole}"
    return f"{told}; in one crop with the others of its input group, against its own: {sharing}."


def _said(what: str, lost: Gain) -> str:
    """Points with their interval; undecided where it holds 0."""
    open_ = "" if lost.low > 0 or lost.high < 0 else " (undecided)"
    return f"{what} {points}{open_}" if (points := _points(lost)) else f"{what} undecided"
