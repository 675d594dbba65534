"""A task on the test faces of another data set: whether its labels fit, and what its options are there.

`evaluate.test_sets` names the data sets that judge a task. What is compared are facts about the readers, so that a pair
that cannot fit is refused when params.yaml is read.
"""

from __future__ import annotations

from dataclasses import replace

from faceptor.datasets.base import Reader
from faceptor.errors import ConfigError, DataError
from faceptor.tasks.base import TaskSpec

COLUMNS = {  # of kinds whose column has another name
    "parsing": ("mask",), "recognition": ("identity",), "agegroup": ("agegroup", "age"), "rating": ("ratings",),
}  # fmt: skip
MAPPED = ("expression", "gender", "race", "agegroup")  # kinds whose classes may stand in another order


def columns_of(spec: TaskSpec) -> tuple[str, ...]:
    """Prepared columns that can label a task; one of them is enough."""
    return COLUMNS.get(spec.kind, (spec.kind,))


def judged_on(spec: TaskSpec, own: Reader, other: Reader, dataset: str) -> TaskSpec:
    """The task with the options it has on the faces of `dataset`, whose reader is `other`; `own` reads the task's own
    data set. ConfigError where the labels do not fit."""
    if dataset == spec.dataset:
        return spec
    known = _columns(other)
    columns = [name for name in columns_of(spec) if name in known]
    if not columns:
        wanted = " or ".join(columns_of(spec))
        _refuse(spec, dataset, f"expected labels of {wanted}, found {', '.join(known)}")
    options = dict(spec.options)
    if spec.kind in ("landmarks", "visibility"):
        _check_points(spec, dataset, other)
    elif spec.kind in ("parsing", "attributes", "rating"):
        names = tuple(other.classes.get(columns[0], ()))
        if names != spec.labels:
            _refuse(spec, dataset, _difference(columns[0], spec.labels, names))
        ranges = [tuple(each) for each in getattr(other, "ranges", {}).values()]
        if spec.kind == "rating" and ranges != [tuple(each) for each in spec.options["ranges"]]:
            _refuse(spec, dataset, f"expected scales of {spec.options['ranges']}, found {ranges}")
    elif spec.kind in MAPPED and columns[0] == spec.kind:
        options["groups"] = _mapped(spec, dataset, own, other)
        if options["groups"] == tuple(range(spec.queries)):
            del options["groups"]
    return replace(spec, dataset=dataset, options=options)


def _columns(reader: Reader) -> tuple[str, ...]:
    """What a reader labels. Some find all of it out only where the data are; their classes are known anywhere."""
    try:
        return tuple(reader.columns)
    except DataError:
        return tuple(reader.classes)


def _check_points(spec: TaskSpec, dataset: str, other: Reader) -> None:
    if other.scheme != spec.options["scheme"]:
        found = other.scheme if isinstance(other.scheme, str | None) else "its own"
        _refuse(spec, dataset, f"expected landmarks of the scheme {spec.options['scheme']}, found {found}")
    by_box = [name for name, rule in spec.options.get("normalisers", {}).items() if isinstance(rule, str)]
    if by_box and "box" not in _columns(other):
        _refuse(spec, dataset, f"expected face boxes, which {by_box[0]} needs, found none")


def _mapped(spec: TaskSpec, dataset: str, own: Reader, other: Reader) -> tuple[int, ...]:
    """Class of the task for each class of the other data set, by name."""
    there = tuple(other.classes.get(spec.kind, ()))
    here = tuple(own.classes.get(spec.kind, spec.labels))
    groups = spec.options.get("groups", tuple(range(spec.queries)))
    known = dict(zip(spec.labels, range(spec.queries), strict=True)) | dict(zip(here, groups, strict=False))
    if strangers := [name for name in there if name not in known]:
        reason = f"its {spec.kind} has {', '.join(strangers)}, which the task does not know ({', '.join(known)})"
        _refuse(spec, dataset, reason)
    if not there:
        _refuse(spec, dataset, f"nothing says what the classes of its {spec.kind} are")
    return tuple(known[name] for name in there)


def _difference(column: str, expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    odd = [name for name in found if name not in expected] + [name for name in expected if name not in found]
    about = f", such as {', '.join(odd[:3])}" if odd else ", in another order"
    return f"its {column} has {len(found)} classes, the task {len(expected)}: they differ{about if found else ''}"


def _refuse(spec: TaskSpec, dataset: str, reason: str) -> None:
    raise ConfigError(
        f"evaluate.test_sets.{spec.name}: {dataset} cannot judge this task: {reason}; name another data set"
    )
