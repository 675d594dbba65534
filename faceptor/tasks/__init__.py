"""Tasks: the table (`TASKS`), the kinds (`KINDS`) and `task(name)`. None of them needs torch or matplotlib."""

from __future__ import annotations

from faceptor.errors import ConfigError
from faceptor.tasks.base import Kind, Prediction, TaskSpec
from faceptor.tasks.kinds import KINDS, kind_of
from faceptor.tasks.metric import Metric
from faceptor.tasks.table import TASKS

__all__ = ["KINDS", "TASKS", "Kind", "Metric", "Prediction", "TaskSpec", "kind_of", "task"]


def task(name: str) -> TaskSpec:
    """The task of that name in the table; an unknown name is an error."""
    if name not in TASKS:
        raise ConfigError(f"task {name!r} is unknown; expected one of {', '.join(TASKS)}")
    return TASKS[name]
