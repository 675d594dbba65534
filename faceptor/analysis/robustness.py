"""What is left of every task's skill when the picture is spoilt: blurred, hidden, noisy, coarse, dark, turned.

Validation faces are cut as the model wants them and spoilt after that (`faceptor.transforms.corruptions`); labels stay
as they are. The same faces are judged clean and spoilt, so what was lost is a paired difference.

A frame of `measure_task` has a row for each corruption and strength: task, metric, corruption, strength, label (of the
strength), skill and low, high (95 % interval over faces), lost and lost_low, lost_high (clean minus spoilt), faces.
The clean crop stands in it once for every corruption, at its place among the strengths, with the label CLEAN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.evaluation.measure import Measured, gain
from faceptor.tasks import kind_of
from faceptor.transforms.corruptions import CORRUPTIONS, Corrupted, corruption

CLEAN = "clean"


def overview(tasks: Sequence[TaskFaces]) -> pd.DataFrame:
    """What is judged: by task its metric, faces, how they are cut, and the side of the network's input in pixels."""
    rows = [
        {
            "task": task.spec.name, "metric": kind_of(task.spec).headline_of(task.spec), "faces": len(task.samples),
            "crop": task.crop.kind, "side, pixels": task.crop.size,
        }
        for task in tasks
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("task")


def measure_corruptions(
    tasks: Sequence[TaskFaces], strengths: Mapping[str, Sequence[float]], *, batch: int = 32
) -> pd.DataFrame:
    """Every task under every corruption. strengths: corruption -> its strengths, from weak to strong; ConfigError for
    names or strengths that mean nothing."""
    for name, values in strengths.items():
        for strength in values:
            corruption(name, strength)
    return pd.concat([measure_task(task, strengths, batch=batch) for task in tasks], ignore_index=True)


def measure_task(task: TaskFaces, strengths: Mapping[str, Sequence[float]], *, batch: int) -> pd.DataFrame:
    """One task under every corruption."""
    clean = task.judged(task.answers(batch=batch))
    unspoilt = numbers_of(clean, clean)
    rows = []
    for name, values in strengths.items():
        for strength, label in ladder(name, values):
            found = unspoilt
            if label != CLEAN:
                spoilt = task.judged(task.answers(Corrupted(task.crop, name, strength), batch=batch))
                found = numbers_of(spoilt, clean)
            rows.append({"corruption": name, "strength": strength, "label": label} | found)
    return pd.DataFrame(rows).assign(task=task.spec.name, metric=clean.headline, faces=len(task.samples))


def ladder(name: str, values: Sequence[float]) -> Iterator[tuple[float, str]]:
    """Strengths with their labels and, at its place among them, the clean crop: first, or where its number stands."""
    how = CORRUPTIONS[name]
    steps = [(float(value), how.form.format(value)) for value in values]
    between = how.clean is not None and min(values) < how.clean < max(values)
    clean = (float("nan") if how.clean is None else how.clean, CLEAN)
    yield from sorted([*steps, clean]) if between else (clean, *steps)


def numbers_of(spoilt: Measured, clean: Measured) -> dict[str, float]:
    """skill, low, high of the spoilt crops; lost, lost_low, lost_high of skill against the clean ones."""
    low, high = spoilt.intervals(seed=SEED)["skill"]
    lost = gain(clean, spoilt, seed=SEED)
    return {
        "skill": spoilt.skill, "low": low, "high": high,
        "lost": lost.skill, "lost_low": lost.low, "lost_high": lost.high,
    }  # fmt: skip


# --- summary ----------------------------------------------------------------------------------------------------------


def worst_strengths(table: pd.DataFrame) -> pd.DataFrame:
    """By task and corruption the row of the strength that costs most."""
    spoilt = table[table["label"] != CLEAN].reset_index(drop=True)
    return spoilt.loc[spoilt.groupby(["task", "corruption"], sort=False)["lost"].idxmax()]


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Share of its clean skill that a task keeps under the strength of each corruption that costs most, percent and at
    least 0; NaN for a task that has no skill to lose. A row per task, a column per corruption."""
    clean = table[table["label"] == CLEAN].groupby("task", sort=False)["skill"].first()
    wide = worst_strengths(table).pivot(index="task", columns="corruption", values="skill")
    order = list(dict.fromkeys(table["corruption"]))
    shares = 100 * wide.clip(lower=0).div(clean.where(clean > 0), axis=0)
    return shares.loc[clean.index, order]


def conclusions(table: pd.DataFrame) -> list[str]:
    """One sentence per task: the clean skill, what costs most, and what is undecided."""
    worst = worst_strengths(table)
    return [_sentence(table[table["task"] == task], part) for task, part in worst.groupby("task", sort=False)]


def _sentence(rows: pd.DataFrame, worst: pd.DataFrame) -> str:
    first = rows[rows["label"] == CLEAN].iloc[0]
    told = f"{first['task']}: skill {first['skill']:.0%} [{first['low']:.0%}, {first['high']:.0%}] on clean crops"
    if not first["low"] > 0:
        return f"{told}; undecided whether there is any to lose ({first['faces']} faces)."
    order = worst.sort_values("lost", ascending=False)
    sure = order["lost_low"] > 0
    if sure.any():
        top = [
            f"{row.corruption} ({row.label}) {row.lost:.0%} [{row.lost_low:.0%}, {row.lost_high:.0%}]"
            for row in order[sure].head(2).itertuples()
        ]
        told += f"; most is lost to {' and '.join(top)}"
    if not sure.all():
        others = ", ".join(order.loc[~sure, "corruption"])
        told += f"; undecided whether anything is lost to {others} at the strengths tried"
    return told + "."


def kept_lowest(table: pd.DataFrame) -> str:
    """A sentence about the corruption that all tasks together bear worst."""
    means = kept(table).mean().dropna()
    if means.empty:
        return "No task has skill to lose."
    name = str(means.idxmin())
    return f"Over all tasks {name} costs most: {means[name]:.0f} % of the clean skill is left at its worst strength."
