"""How much worse a model answers when the face is cropped wider, tighter, beside the middle or turned.

Every task is measured on validation faces of its own data set, cropped by the spec in the model folder and then
displaced about the crop's centre:

* margin m: the crop shows m times the side it should; below 1 it is too tight, above 1 too loose. Beyond the picture
  it is black.
* shift s: its centre lies s crop sides off, in one of eight directions, dealt to the faces in turn.
* rotation r: it is turned by r degrees, to either side in turn.

Labels stay where they are: predictions come back to the picture's own pixels before they are judged, so nothing but
the network's view has changed. What is judged is skill, the share of the way from the constant baseline to
perfection: an accuracy of 80 % is no skill where a constant reaches 79 %. The baseline is measured on the
undisplaced crops.

A frame has the columns task, metric, higher_is_better, axis, value, score and low, high (the headline metric and its
95 % interval over faces), skill and skill_low, skill_high, constant (what the constant baseline scores) and faces,
the number of faces behind a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.config import Params
from faceptor.datasets.subset import spread
from faceptor.errors import ConfigError, DataError
from faceptor.evaluation.measure import Measured, headline_of
from faceptor.evaluation.samples import open_samples
from faceptor.models.base import FaceModel
from faceptor.prepared.reading import held_out_split
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.crop import CropSpec, Jitter, PlacedCrop
from faceptor.transforms.framing import crop_of, own_crop

AXES = ("margin", "shift", "rotation")
NEUTRAL = {"margin": 1.0, "shift": 0.0, "rotation": 0.0}
DIRECTIONS = 8
SAMPLED_TOGETHER = 8  # neighbours that are sampled together, so that a person's pictures stay together
DISPLACEMENTS = {"tighter": "{:.2f} x", "looser": "{:.2f} x", "shift": "{:.1%} of the side", "rotation": "{:.0f}°"}
MEASURED = ("score", "low", "high", "skill", "skill_low", "skill_high", "constant")
LOST_SHARE = 0.1  # share of the skill that counts as lost


@dataclass(frozen=True)
class Displaced:
    """A crop spec whose crops are all displaced alike; stands where a CropSpec does."""

    spec: CropSpec
    jitter: Jitter

    def place_sample(self, sample: Mapping) -> PlacedCrop:
        return self.spec.place_sample(sample, jitter=self.jitter)


def displaced(spec: CropSpec, axis: str, value: float, direction: int) -> Displaced:
    """The spec with one displacement. direction: 0 to 7, eighths of a turn from x towards y; odd ones turn back."""
    angle = 2 * np.pi * direction / DIRECTIONS
    amount = {**NEUTRAL, axis: float(value)}
    shift = (amount["shift"] * np.cos(angle), amount["shift"] * np.sin(angle))
    turn = np.deg2rad(amount["rotation"]) * (1 if direction % 2 == 0 else -1)
    return Displaced(
        spec.model_copy(update={"scale": spec.scale / amount["margin"]}), Jitter(shift=shift, rotation=turn)
    )


def crops(model: FaceModel) -> pd.DataFrame:
    """What is displaced. By task the kind, magnification and side of the crop of its own pictures, and what it shows
    of any photograph: width, height and middle in sides of the face box (square, brows to chin), x right, y down."""
    rows = {}
    for name in model.tasks:
        crop, framing = crop_of(model, name)
        left, top, right, bottom = framing.to_list()
        shown = {"width": right - left, "height": bottom - top, "x": (left + right) / 2, "y": (top + bottom) / 2}
        rounded = {key: round(value, 2) + 0.0 for key, value in shown.items()}  # no -0.0
        rows[name] = {"kind": crop.kind, "scale": crop.scale, "side": crop.size, **rounded}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


# --- faces ----------------------------------------------------------------------------------------------------------


def measurable(model: FaceModel, params: Params, *, root: Path) -> list[str]:
    """Tasks whose data sets are prepared here: a model may know more than the parameters list."""
    named = [name for name, spec in model.tasks.items() if spec.dataset in params.datasets]
    found = [n for n in named if (root / params.prepared(model.tasks[n].dataset) / "card.json").exists()]
    if not found:
        raise DataError(
            f"{root / params.data.prepared}: expected a prepared data set of {', '.join(model.tasks)}, found none; "
            "run `faceptor preprocess`"
        )
    return found


def validation_samples(params: Params, spec: TaskSpec, *, root: Path, count: int) -> list[Mapping]:
    """Up to `count` samples of the task's validation split (the test split where everything else was trained on), in
    runs of neighbours spread evenly over it."""
    folder = root / params.prepared(spec.dataset)
    split = open_samples(spec, folder, held_out_split(folder))
    if not len(split):
        raise DataError(f"{spec.dataset}: the val split is empty; raise data.validation and preprocess again")
    return [split[index] for index in spread(len(split), count, run=SAMPLED_TOGETHER)]


# --- measuring ------------------------------------------------------------------------------------------------------


def predictions(task: TaskFaces, axis: str, value: float, *, batch: int) -> list[Prediction]:
    """What the model says about faces whose crops are displaced by `value` along `axis`, in their order."""
    answers: dict[int, Prediction] = {}
    directions = 1 if value == NEUTRAL[axis] or axis == "margin" else DIRECTIONS
    for direction in range(directions):
        # 3 and 8 share no factor, so neighbours, such as a person's pictures, go different ways
        mine = [index for index in range(len(task.samples)) if index * 3 % directions == direction]
        some = replace(task, samples=[task.samples[index] for index in mine])
        told = some.answers(displaced(task.crop, axis, value, direction), batch=batch)
        answers |= dict(zip(mine, told, strict=True))
    return [answers[index] for index in range(len(task.samples))]


def scored(measured: Measured) -> dict[str, float]:
    """The numbers of MEASURED."""
    found, headline = measured.intervals(seed=SEED), measured.headline
    (low, high), (skill_low, skill_high) = found[headline], found["skill"]
    return {
        "score": measured.metrics[headline], "low": low, "high": high,
        "skill": measured.skill, "skill_low": skill_low, "skill_high": skill_high,
        "constant": measured.metrics[f"constant_{headline}"],
    }  # fmt: skip


def measure_task(
    model: FaceModel, name: str, samples: Sequence[Mapping], values: Mapping[str, Sequence[float]], *, train: Any,
    batch: int,
) -> pd.DataFrame:  # fmt: skip
    """One task along every axis; the undisplaced crop is measured once and stands on all of them. train: the prepared
    split whose labels the constant baseline is made from."""
    spec, crop = model.require_task(name), own_crop(model, name)
    baseline = kind_of(spec).constant_baseline(spec, train, crop.place_sample)
    task = TaskFaces(model, spec, samples, crop, baseline, names={})

    def row(axis: str, value: float) -> dict[str, float]:
        return scored(task.judged(predictions(task, axis, value, batch=batch)))

    reference, rows = row("margin", NEUTRAL["margin"]), []
    for axis in AXES:
        for value in sorted({*map(float, values[axis]), NEUTRAL[axis]}):
            rows.append({"axis": axis, "value": value} | (reference if value == NEUTRAL[axis] else row(axis, value)))
    better, faces = kind_of(spec).higher_is_better, len(samples)
    return pd.DataFrame(rows).assign(task=name, metric=headline_of(spec), higher_is_better=better, faces=faces)


def measure_tasks(
    model: FaceModel,
    params: Params,
    *,
    root: Path,
    faces: int,
    margins: Sequence[float],
    shifts: Sequence[float],
    rotations: Sequence[float],
    batch: int = 32,
) -> pd.DataFrame:
    """The `measurable` tasks of the model, each on `faces` validation faces of its own data set."""
    values = checked({"margin": margins, "shift": shifts, "rotation": rotations})
    model.eval()
    tables = []
    for name in measurable(model, params, root=root):
        spec = model.tasks[name]
        samples = validation_samples(params, spec, root=root, count=faces)
        train = open_samples(spec, root / params.prepared(spec.dataset), "train")
        tables.append(measure_task(model, name, samples, values, train=train, batch=batch))
    return pd.concat(tables, ignore_index=True)


def checked(values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """The displacements as lists of numbers; ConfigError for those that mean nothing."""
    least = {"margin": 1e-3, "shift": 0.0, "rotation": 0.0}
    for axis, found in values.items():
        wrong = [v for v in found if isinstance(v, bool) or not isinstance(v, int | float) or not v >= least[axis]]
        if wrong or not len(found):
            raise ConfigError(
                f"notebooks.crop_sensitivity.{axis}s: expected numbers, {'above' if axis == 'margin' else 'from'} 0, "
                f"found {wrong[0] if wrong else 'none'!r}"
            )
    return {axis: [float(v) for v in found] for axis, found in values.items()}


# --- summary --------------------------------------------------------------------------------------------------------


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """By task: the undisplaced score and skill, and the least displacement at which LOST_SHARE of the skill is lost.

    Columns metric, score, low, high, skill, skill_low, skill_high, constant, faces, and DISPLACEMENTS: "tighter" (a
    margin below 1), "looser", "shift", "rotation", NaN where none that was measured costs so much, or where there is no
    skill to lose. Between measured displacements the skill is taken to be a straight line.
    """
    return pd.DataFrame([_loss(part) for _, part in table.groupby("task", sort=False)]).set_index("task")


def _loss(part: pd.DataFrame) -> dict[str, Any]:
    first = part[(part["axis"] == "margin") & (part["value"] == NEUTRAL["margin"])].iloc[0]
    limit = limit_of(first["skill"])
    facts = {key: first[key] for key in ("task", "metric", *MEASURED, "faces")}
    return facts | {way: crossing(curve, limit) for way, curve in ways(part).items()}


def ways(part: pd.DataFrame) -> dict[str, pd.Series]:
    """Skill against displacement, each way from the undisplaced crop outwards."""
    curves = {axis: curve.set_index("value")["skill"].sort_index() for axis, curve in part.groupby("axis")}
    margin = curves["margin"]
    found = {"tighter": margin[margin.index <= 1][::-1], "looser": margin[margin.index >= 1]}
    return found | {axis: curves[axis] for axis in ("shift", "rotation")}


def limit_of(skill: float) -> float:
    """The skill that is left when LOST_SHARE of it is lost; NaN where there is none to lose."""
    return skill * (1 - LOST_SHARE) if skill > 0 else float("nan")


def crossing(curve: pd.Series, limit: float) -> float:
    """Where a curve, followed from its first point, first falls below `limit`; NaN where it never does."""
    gap = curve.to_numpy(float) - limit
    places = curve.index.to_numpy(float)
    for one, other in pairwise(range(len(gap))):
        if gap[one] >= 0 > gap[other]:
            return float(places[one] + (places[other] - places[one]) * gap[one] / (gap[one] - gap[other]))
    return float("nan")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`losses` in words; "beyond" the last measured displacement where none costs so much."""
    found, ends = losses(table), {way: float(curve.index[-1]) for way, curve in ways(table).items()}
    words = pd.DataFrame(index=found.index)
    words["metric"] = found["metric"]
    words["score"] = [f"{row.score:.2f}{_brackets(row.low, row.high, '{:.2f}')}" for row in found.itertuples()]
    words["best constant"] = found["constant"].map("{:.2f}".format)
    words["skill"] = [
        f"{row.skill:.0%}{_brackets(row.skill_low, row.skill_high, '{:.0%}')}" for row in found.itertuples()
    ]
    for way, form in DISPLACEMENTS.items():
        beyond = f"beyond {form.format(ends[way])}"
        told = [form.format(value) if np.isfinite(value) else beyond for value in found[way]]
        words[way] = [
            "no skill to lose" if skill <= 0 else one for one, skill in zip(told, found["skill"], strict=True)
        ]
    return words


def _brackets(low: float, high: float, form: str) -> str:
    return f" [{form.format(low)}, {form.format(high)}]" if np.isfinite([low, high]).all() else ""


def conclusions(table: pd.DataFrame) -> list[str]:
    """One sentence per task, and what holds for all of them, from the numbers."""
    found, words, sentences = losses(table), readable(table), []
    for name, row in found.iterrows():
        beginning = f"{name}: {row['metric']} {words.loc[name, 'score']}, skill {words.loc[name, 'skill']}"
        if not row["skill"] > 0:
            sentences.append(f"{beginning}: no better than the constant baseline, so there is nothing to lose.")
            continue
        told = ", ".join(f"{way} {words.loc[name, way]}" for way in DISPLACEMENTS)
        unsure = row["skill_high"] - row["skill_low"] > 2 * LOST_SHARE * row["skill"]
        noise = f" (on {row['faces']} faces the skill itself is not known to {LOST_SHARE:.0%})" if unsure else ""
        sentences.append(
            f"{beginning}; {LOST_SHARE:.0%} of the skill is lost at: {told}{noise}.{_nothing_left(table, name)}"
        )
    for way, most in (("shift", "off the middle"), ("rotation", "turned")):
        if found[way].notna().any():
            name = found[way].idxmin()
            sentences.append(f"Most sensitive to a crop {most}: {name}, at {words.loc[name, way]}.")
    return sentences


def _nothing_left(table: pd.DataFrame, name: str) -> str:
    """Where a task does no better than the constant baseline any more."""
    gone = {way: crossing(curve, 0.0) for way, curve in ways(table[table["task"] == name]).items()}
    told = ", ".join(f"{way} {DISPLACEMENTS[way].format(value)}" for way, value in gone.items() if np.isfinite(value))
    return f" Nothing of it is left at: {told}." if told else ""
