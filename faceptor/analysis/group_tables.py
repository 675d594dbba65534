"""Headline metrics by group as tables: from the test faces that `faceptor evaluate` judged, or from faces at hand.

A frame has a row per group: test, metric, label, group, faces, value, low, high (95 % interval over faces), few (fewer
than `FEWEST_FACES`, so not compared), worst. That of `gaps` has one per label: test, metric, label, worst, best, gap
and gap_low, gap_high (`faceptor.evaluation.groups` says what they hold), smallest (faces of the smallest group that is
compared).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from faceptor.analysis.task_faces import TaskFaces
from faceptor.errors import DataError
from faceptor.evaluation.groups import FEWEST_FACES
from faceptor.io.files import RESULTS, read_json
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction

Tests = Mapping[str, Mapping[str, Any]]  # test -> {"headline", "groups": label -> `Grouping.to_json`}


def evaluated(models: Iterable[str], root: Path) -> dict[str, Mapping[str, Any]]:
    """Tests that results/evaluate/details has by group, of the first of some models that has them."""
    found: dict[str, Mapping[str, Any]] = {}
    for model in models:
        path = root / RESULTS / "evaluate" / "details" / f"{model}.json"
        rows = read_json(path)["tasks"] if path.is_file() else {}
        found |= {test: row for test, row in rows.items() if row.get("groups") and test not in found}
    return found


def measured(tasks: Sequence[TaskFaces], answers: Mapping[str, Sequence[Prediction]]) -> dict[str, Mapping[str, Any]]:
    """The same of faces at hand, whose answers are given by test."""
    return {
        task.test: {
            "headline": kind_of(task.spec).headline_of(task.spec),
            "groups": {one.column: one.to_json() for one in task.by_group(answers[task.test])},
        }
        for task in tasks
    }


def by_group(tests: Tests) -> pd.DataFrame:
    """A row per group; DataError where no test parts its faces."""
    rows = [
        {
            "test": test, "metric": row["headline"], "label": label.replace("_", " "), "group": name,
            "faces": told["faces"][name], "value": told["values"].get(name, np.nan),
            **dict(zip(("low", "high"), told["intervals"][name], strict=True)),
            "few": told["faces"][name] < FEWEST_FACES, "worst": name == told.get("worst"),
        }
        for test, row in tests.items()
        for label, told in row["groups"].items()
        for name in told["faces"]
    ]  # fmt: skip
    if not rows:
        raise DataError(f"groups: none of {', '.join(tests) or 'no test'} has labels that part its faces")
    return pd.DataFrame(rows).astype({"low": float, "high": float})  # None, where there is no interval, becomes nan


def gaps(tests: Tests) -> pd.DataFrame:
    """A row per label whose groups can be compared."""
    rows = [
        {
            "test": test, "metric": row["headline"], "label": label.replace("_", " "), "worst": told["worst"],
            "best": told["best"], "gap": told["gap"], "gap_low": told["gap_interval"][0],
            "gap_high": told["gap_interval"][1],
            "smallest": min(faces for faces in told["faces"].values() if faces >= FEWEST_FACES),
        }
        for test, row in tests.items()
        for label, told in row["groups"].items()
        if "worst" in told
    ]  # fmt: skip
    if not rows:
        raise DataError(f"groups: no label has two groups of {FEWEST_FACES} faces; judge more faces")
    return pd.DataFrame(rows)


def readable(found: pd.DataFrame) -> pd.DataFrame:
    """`gaps` in words."""
    words = found[["test", "metric", "label", "worst", "best"]].copy()
    words["gap"] = [f"{row.gap:.1f} [{row.gap_low:.1f}, {row.gap_high:.1f}]" for row in found.itertuples()]
    words["smallest group"] = found["smallest"]
    words["verdict"] = np.where(found["gap_low"] > 0, "differ", "undecided")
    return words.set_index("test")


def conclusions(found: pd.DataFrame, everything: pd.DataFrame) -> list[str]:
    """A sentence per label whose groups differ, one about those that are undecided, one about groups of few faces."""
    sentences = [
        f"{row.test}: {row.metric} is worst for {row.worst} ({row.label}), {row.gap:.1f} [{row.gap_low:.1f}, "
        f"{row.gap_high:.1f}] from {row.best}."
        for row in found[found["gap_low"] > 0].itertuples()
    ]
    open_ = found[~(found["gap_low"] > 0)]
    if len(open_):
        told = "; ".join(f"{test} by {', '.join(part['label'])}" for test, part in open_.groupby("test", sort=False))
        sentences.append(f"Undecided, the interval of the gap holds 0: {told}.")
    if few := int(everything["few"].sum()):
        told = f"{few} of {len(everything)} groups have fewer than {FEWEST_FACES} faces"
        sentences.append(f"{told} and are not compared.")
    return sentences
