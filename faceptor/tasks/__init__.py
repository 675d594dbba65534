"""Tasks: the table (`TASKS`), the kinds (`KINDS`) and `task(name)`. None of them needs torch or matplotlib."""

from __future__ import annotations

from faceptor.errors import ConfigError
from faceptor.tasks.base import Kind, Metric, Prediction, TaskSpec
from faceptor.tasks.kinds import KINDS, kind_of
from faceptor.tasks.table import TASKS

__all__ = ["KINDS", "TASKS", "Kind", "Metric", "Prediction", "TaskSpec", "kind_of", "task"]


def task(name: str) -> TaskSpec:
    """The task of that name, registered by the configuration or in the table; an unknown name is an error."""
    from faceptor.tasks.custom import registered

    known = TASKS | registered()
    if name not in known:
        raise ConfigError(f"task {name!r} is unknown; expected one of {', '.join(known)}")
    return known[name]
