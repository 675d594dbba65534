"""Tasks that are not in the table: those of users' own data sets, and of further copies of the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from faceptor.datasets.reader import Reader
from faceptor.datasets.readers.generic import Generic
from faceptor.errors import ConfigError
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.kinds import KINDS, kind_of
from faceptor.tasks.table import TASKS


def with_own(specs: Iterable[TaskSpec]) -> Mapping[str, TaskSpec]:
    """The table and these, by name. One of the table may be given again with other labels (a protocol option of its
    data set) only; ConfigError where another data set has its name, and for options that its kind does not have."""
    known = dict(TASKS)
    for spec in specs:
        listed = TASKS.get(spec.name, spec)
        if (listed.kind, listed.dataset) != (spec.kind, spec.dataset):
            raise ConfigError(f"task {spec.name!r} is taken by {listed.dataset}; give the data set another name")
        known[spec.name] = spec
    for spec in known.values():  # what a model folder would not be loaded with must not be trained
        kind_of(spec).check(spec)
    return known


def specs_of(dataset: str, reader: Reader, *, like: str) -> tuple[TaskSpec, ...]:
    """The tasks of a data set under this key: its own, or those that the table has for the published set `like`."""
    if isinstance(reader, Generic):
        found = (kind.own_task(dataset, reader) for kind in KINDS.values())
        # As they come back from a model folder, so that the two compare equal.
        return tuple(TaskSpec.from_dict(spec.to_dict()) for spec in found if spec)
    return tuple(
        replace(spec, name=f"{spec.kind}_{dataset}", dataset=dataset, labels=_labels(spec, reader), options=options)
        for spec in TASKS.values()
        if spec.dataset == like
        for options in [spec.options | reader.task_options.get(spec.kind, {})]
    )


def _labels(spec: TaskSpec, reader: Reader) -> tuple[str, ...]:
    """The table's, unless a protocol option gives the reader's column other classes than its default."""
    column = kind_of(spec).column
    usual, found = type(reader).classes.get(column), reader.classes.get(column)
    return tuple(found) if found is not None and usual == spec.labels and found != usual else spec.labels
