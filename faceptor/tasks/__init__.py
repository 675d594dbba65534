"""Tasks: the table (`TASKS`), the kinds (`KINDS`) and `task(name)`.

`KINDS` is imported on first use, so that reading the table (as the configuration does) needs no torch.
"""

from __future__ import annotations

from importlib import import_module

from faceptor.errors import ConfigError
from faceptor.tasks.base import Kind, Metric, Prediction, TaskSpec
from faceptor.tasks.table import TASKS

__all__ = ["KINDS", "TASKS", "Kind", "Metric", "Prediction", "TaskSpec", "kind_of", "task"]

# A new kind is its file and its entry here.
_KINDS = {
    "landmarks": ("faceptor.tasks.landmarks", "Landmarks"),
    "parsing": ("faceptor.tasks.parsing", "Parsing"),
    "age": ("faceptor.tasks.age", "Age"),
    "expression": ("faceptor.tasks.expression", "Expression"),
    "attributes": ("faceptor.tasks.attributes", "Attributes"),
    "recognition": ("faceptor.tasks.recognition", "Recognition"),
    "pose": ("faceptor.tasks.pose", "Pose"),
    "gender": ("faceptor.tasks.gender", "Gender"),
    "race": ("faceptor.tasks.race", "Race"),
    "agegroup": ("faceptor.tasks.agegroup", "AgeGroup"),
    "visibility": ("faceptor.tasks.visibility", "Visibility"),
    "rating": ("faceptor.tasks.rating", "Rating"),
}


def __getattr__(name: str):
    if name != "KINDS":
        raise AttributeError(f"module 'faceptor.tasks' has no attribute {name!r}")
    globals()["KINDS"] = {kind: getattr(import_module(path), cls)() for kind, (path, cls) in _KINDS.items()}
    return globals()["KINDS"]


def task(name: str) -> TaskSpec:
    """The task of that name, registered by the configuration or in the table; an unknown name is an error."""
    from faceptor.tasks.custom import registered

    known = TASKS | registered()
    if name not in known:
        raise ConfigError(f"task {name!r} is unknown; expected one of {', '.join(known)}")
    return known[name]


def kind_of(spec: TaskSpec) -> Kind:
    """The kind of a task; a task from elsewhere (a saved model) may name one that does not exist here."""
    kinds = __getattr__("KINDS") if "KINDS" not in globals() else globals()["KINDS"]
    if spec.kind not in kinds:
        raise ConfigError(f"task {spec.name!r}: kind {spec.kind!r} is unknown; expected one of {', '.join(kinds)}")
    return kinds[spec.kind]
