"""A task on the test faces of another data set: whether its labels fit, and what its options are there.

`evaluate.test_sets` names the data sets that judge a task. What is compared are facts about the readers, so that a pair
that cannot fit is refused when params.yaml is read.
"""

from __future__ import annotations

from dataclasses import replace

from faceptor.datasets.reader import Reader
from faceptor.errors import ConfigError
from faceptor.tasks import kind_of
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.fitting import Misfit, labelled


def judged_on(spec: TaskSpec, own: Reader, other: Reader, dataset: str) -> TaskSpec:
    """The task with the options it has on the faces of `dataset`, whose reader is `other`; `own` reads the task's own
    data set. ConfigError where the labels do not fit."""
    if dataset == spec.dataset:
        return spec
    kind, known = kind_of(spec), labelled(other)
    try:
        if not set(kind.columns) & set(known):
            raise Misfit(f"expected labels of {' or '.join(kind.columns)}, found {', '.join(known)}")
        return replace(spec, dataset=dataset, options=kind.options_on(spec, own, other))
    except Misfit as reason:
        where = f"evaluate.test_sets.{spec.name}: {dataset}"
        raise ConfigError(f"{where} cannot judge this task: {reason}; name another data set") from None
