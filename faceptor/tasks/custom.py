"""Tasks that are not in the table: those of users' own data sets, and of further copies of the published ones.

The configuration registers them when it is read, so that `task(name)` finds those of the last one that was; a saved
model carries its own copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from faceptor.datasets.base import Reader
from faceptor.datasets.labels import AGES
from faceptor.datasets.readers.generic import Generic
from faceptor.errors import ConfigError
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.table import TASKS

_REGISTERED: dict[str, TaskSpec] = {}


def forget() -> None:
    """Nothing but the table is known."""
    _REGISTERED.clear()


@contextmanager
def unchanged() -> Iterator[None]:
    """What is registered meanwhile is forgotten, what was registered before is known again."""
    before = dict(_REGISTERED)
    try:
        yield
    finally:
        _REGISTERED.clear()
        _REGISTERED.update(before)


def register(specs: Iterable[TaskSpec]) -> None:
    """Make tasks known to `faceptor.tasks.task`; a task of that name which was registered before is replaced.

    A task of the table may only be given again with other labels (a protocol option of its data set).
    """
    for spec in specs:
        listed = TASKS.get(spec.name)
        if listed is not None and (listed.kind, listed.dataset) != (spec.kind, spec.dataset):
            raise ConfigError(f"task {spec.name!r} is taken by {listed.dataset}; give the data set another name")
        if listed != spec:
            _REGISTERED[spec.name] = spec


def registered() -> dict[str, TaskSpec]:
    """Name -> task, of those outside the table."""
    return dict(_REGISTERED)


def specs_of(dataset: str, reader: Reader, *, like: str) -> tuple[TaskSpec, ...]:
    """The tasks of a data set under this key: its own, or those that the table has for the published set `like`."""
    if isinstance(reader, Generic):
        return tuple(build(dataset, reader) for column, build in BUILD.items() if column in reader.columns)
    return tuple(
        replace(spec, name=f"{spec.kind}_{dataset}", dataset=dataset, labels=_labels(spec, reader), options=options)
        for spec in TASKS.values()
        if spec.dataset == like
        for options in [spec.options | reader.task_options.get(spec.kind, {})]
    )


def _labels(spec: TaskSpec, reader: Reader) -> tuple[str, ...]:
    """The table's, unless a protocol option gives the reader's column other classes than its default."""
    column = {"parsing": "mask"}.get(spec.kind, spec.kind)
    usual, found = type(reader).classes.get(column), reader.classes.get(column)
    return tuple(found) if usual == spec.labels and found != usual else spec.labels


# --- users' data sets ---------------------------------------------------------------------------------------------


def _plain(kind: str, column: str):
    def build(dataset: str, reader: Generic) -> TaskSpec:
        return TaskSpec(f"{kind}_{dataset}", kind, dataset, tuple(reader.classes[column]), {})

    return build


def _landmarks(dataset: str, reader: Generic) -> TaskSpec:
    facts = reader.description.landmarks
    rules = facts.rules()
    options: dict[str, Any] = {"scheme": reader.scheme, "normalisers": rules, "auc": dict(facts.auc)}
    options["headline"] = next(iter(rules))
    return _frozen(TaskSpec(f"landmarks_{dataset}", "landmarks", dataset, facts.labels, options))


def _visibility(dataset: str, reader: Generic) -> TaskSpec:
    labels = reader.description.landmarks.labels
    return _frozen(TaskSpec(f"visibility_{dataset}", "visibility", dataset, labels, {"scheme": reader.scheme}))


def _parsing(dataset: str, reader: Generic) -> TaskSpec:
    facts = reader.description.mask
    options = {"background": facts.background, "scheme": {"flip_permutation": list(reader.mask_flip)}}
    return _frozen(TaskSpec(f"parsing_{dataset}", "parsing", dataset, facts.classes, options))


def _age(dataset: str, reader: Generic) -> TaskSpec:
    return TaskSpec(f"age_{dataset}", "age", dataset, tuple(str(age) for age in AGES), {"first": AGES[0]})


def _pose(dataset: str, reader: Generic) -> TaskSpec:
    return TaskSpec(f"pose_{dataset}", "pose", dataset, ("pitch", "yaw", "roll"), {})


def _rating(dataset: str, reader: Generic) -> TaskSpec:
    facts = reader.description.ratings
    options = {"ranges": [list(scale.range) for scale in facts.values()], "units": [s.unit for s in facts.values()]}
    return _frozen(TaskSpec(f"rating_{dataset}", "rating", dataset, tuple(facts), options))


def _recognition(dataset: str, reader: Generic) -> TaskSpec:
    return TaskSpec(f"recognition_{dataset}", "recognition", dataset, (), {})


def _frozen(spec: TaskSpec) -> TaskSpec:
    """As it comes back from a model folder, so that the two compare equal."""
    return TaskSpec.from_dict(spec.to_dict())


BUILD = {  # prepared column -> the task that it makes
    "landmarks": _landmarks,
    "visibility": _visibility,
    "mask": _parsing,
    "age": _age,
    **{name: _plain(name, name) for name in ("expression", "gender", "race", "agegroup", "attributes")},
    "pose": _pose,
    "ratings": _rating,
    "identity": _recognition,
}
