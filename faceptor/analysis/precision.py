"""What a lower precision costs a trained model: the same validation faces and crops, computed in other numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from faceptor.analysis.task_faces import SEED, TaskFaces
from faceptor.evaluation.measure import gain

EXACT = "fp32"


def costs(
    tasks: Sequence[TaskFaces], networks: Mapping[str, Any], *, faces: int | None = None, batch: int = 32
) -> pd.DataFrame:
    """A row per task and precision but fp32: task, precision, faces, metric (name of the headline), exact (its value in
    fp32), value, and lost, low, high: points of skill lost against fp32, with a 95 % interval paired over faces. On the
    first `faces` of each task, or all. networks: precision -> the model as it computes at that precision
    (`faceptor.predict.engine.Engine`), "fp32" among them."""
    rows = []
    for task in tasks:
        some = replace(task, samples=list(task.samples)[:faces])
        asked = {name: replace(some, model=network) for name, network in networks.items()}
        found = {name: some.judged(one.answers(batch=batch)) for name, one in asked.items()}
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
