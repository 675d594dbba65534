"""Whether the labels of another data set mean what a task means by them. What is compared are facts about readers."""

from __future__ import annotations

from typing import Any

from faceptor.datasets.labels import LandmarkScheme, landmark_scheme
from faceptor.datasets.reader import Reader
from faceptor.errors import DataError
from faceptor.tasks.base import TaskSpec


class Misfit(ValueError):
    """Why a data set cannot judge a task."""


def labelled(reader: Reader) -> tuple[str, ...]:
    """What a reader labels. Some find all of it out only where the data are; their classes are known anywhere."""
    try:
        return tuple(reader.columns)
    except DataError:
        return tuple(reader.classes)


def check_names(spec: TaskSpec, column: str, other: Reader) -> None:
    """The other data set has the same labels in the same order."""
    found = tuple(other.classes.get(column, ()))
    if found != spec.labels:
        odd = [name for name in found if name not in spec.labels] + [n for n in spec.labels if n not in found]
        about = f", such as {', '.join(odd[:3])}" if odd else ", in another order"
        count = f"its {column} has {len(found)} classes, the task {len(spec.labels)}"
        raise Misfit(f"{count}: they differ{about if found else ''}")


def check_points(spec: TaskSpec, other: Reader) -> LandmarkScheme:
    """The other data set's scheme: it has the same landmarks, or the first of them alone, and boxes where their size
    divides errors."""
    own = landmark_scheme(spec.options["scheme"])
    if other.scheme is None or other.scheme not in (spec.options["scheme"], own.begins_with):
        found = other.scheme if isinstance(other.scheme, str | None) else "its own"
        raise Misfit(f"expected landmarks of the scheme {spec.options['scheme']}, found {found}")
    by_box = [name for name, rule in spec.options.get("normalisers", {}).items() if isinstance(rule, str)]
    if by_box and "box" not in labelled(other):
        raise Misfit(f"expected face boxes, which {by_box[0]} needs, found none")
    return landmark_scheme(other.scheme)


def normalisers(scheme: LandmarkScheme, *names: str) -> dict[str, Any]:
    """NME name -> two point groups whose means are a known distance apart, or a name for a box measure."""
    known = {
        "nme_inter_ocular": scheme.inter_ocular and tuple((index,) for index in scheme.inter_ocular),
        "nme_inter_pupil": scheme.inter_pupil,
        "nme_diag": "diag",
        "nme_box": "box",
    }
    return {name: known[name] for name in names}


def groups_by_name(spec: TaskSpec, column: str, own: Reader, other: Reader) -> tuple[int, ...]:
    """Class of the task for each class of the other data set."""
    there = tuple(other.classes.get(column, ()))
    here = tuple(own.classes.get(column, spec.labels))
    groups = spec.options.get("groups", tuple(range(spec.queries)))
    known = dict(zip(spec.labels, range(spec.queries), strict=True)) | dict(zip(here, groups, strict=False))
    if strangers := [name for name in there if name not in known]:
        raise Misfit(f"its {column} has {', '.join(strangers)}, which the task does not know ({', '.join(known)})")
    if not there:
        raise Misfit(f"nothing says what the classes of its {column} are")
    return tuple(known[name] for name in there)
