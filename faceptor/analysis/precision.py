"""What a lower precision costs a trained model: the same validation faces and crops, computed in other numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.evaluation.measure import Measured, gain

EXACT = "fp32"


def measured(task: TaskFaces, networks: Mapping[str, Any], *, batch: int = 32) -> dict[str, Measured]:
    """Precision -> what the task's answers are worth. networks: precision -> the model as it computes at that precision
    (`faceptor.predict.engine.Engine`), "fp32" among them."""
    return {name: task.judged(replace(task, model=network).answers(batch=batch)) for name, network in networks.items()}


def costs(
    tasks: Sequence[TaskFaces], networks: Mapping[str, Any], *, faces: int | None = None, batch: int = 32
) -> pd.DataFrame:
    """A row per task and precision but fp32: task, precision, faces, metric (name of the headline), exact (its value in
    fp32), value, and lost, low, high: points of skill lost against fp32, with a 95 % interval paired over faces. On the
    first `faces` of each task, or all."""
    rows = []
    for task in tasks:
        some = replace(task, samples=list(task.samples)[:faces])
        found = measured(some, networks, batch=batch)
        exact = found.pop(EXACT)
        for name, one in found.items():
            lost = gain(exact, one, seed=SEED)
            metric = exact.headline
            points = (100 * part for part in (lost.skill, lost.low, lost.high))
            rows.append((task.test, name, one.samples, metric, exact.metrics[metric], one.metrics[metric], *points))
    columns = ["task", "precision", "faces", "metric", "exact", "value", "lost", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """`costs` for readers: a row per task, the headline at each precision, and the points of skill lost."""
    rows = []
    for task, part in found.groupby("task", sort=False):
        row = {"task": task, "metric": part["metric"].iloc[0], EXACT: part["exact"].iloc[0]}
        for one in part.itertuples():
            lost = f"{one.lost:.1f} [{one.low:.1f}, {one.high:.1f}]"
            row |= {one.precision: one.value, f"lost by {one.precision}": lost}
        rows.append(row)
    return pd.DataFrame(rows).set_index("task")
