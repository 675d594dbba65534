"""Answers as a flat table: a row for each face, a column for each number or word, its unit in the heading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from faceptor.errors import ConfigError

# Of an answer's plain data: what is no number of its own, and what the numbers below a name are.
NO_ANSWERS = ("labels", "scheme", "size", "runs", "map", "generated", "range", "unit")
UNITS = {
    "years": "years", "points": "px", "probabilities": "probability", "distribution": "probability", "share": "share",
}  # fmt: skip
UNNAMED = ("years", "points", "probabilities", "share", "value")  # in headings: the unit says it
ABOUT = {  # of the photograph and of the face, before the answers: name -> type
    "file": str, "sha256": str, "frame": int, "seconds": float, "width [px]": int, "height [px]": int, "faces": int,
    "face": int, "x1 [px]": float, "y1 [px]": float, "x2 [px]": float, "y2 [px]": float, "score": float,
    "roll [degrees]": float,
}  # fmt: skip
AFTER = {"warning": str, "error": str}
CORNERS = ("x1 [px]", "y1 [px]", "x2 [px]", "y2 [px]")
SHORT, ALL = "short", "all"


@dataclass(frozen=True)
class Column:
    """One number or word of a task, or a list of numbers with a name each (landmarks, an embedding).

    where: the way to it in the answer's plain data; axis: 0 or 1 of xy points, else None; at: which places of the list
    the names stand for, None = all.
    """

    task: str
    where: tuple[str, ...]
    kind: type
    names: tuple[str, ...] | None = None
    axis: int | None = None
    unit: str = ""
    at: tuple[int, ...] | None = None

    @property
    def heading(self) -> str:
        """Of the column as a whole."""
        return self._spelt()

    @property
    def headings(self) -> list[str]:
        """One for each number."""
        if self.names is None:
            return [self.heading]
        return [self._spelt(name) for name in self.names]

    def _spelt(self, *names: str) -> str:
        told = (part for part in self.where if part not in UNNAMED)
        name = ".".join([self.task, *told, *names, *(() if self.axis is None else "xy"[self.axis])])
        return f"{name} [{self.unit}]" if self.unit else name

    def value(self, told: Mapping[str, Any]) -> Any:
        """What a face's tasks, as plain data, hold here; None if nothing."""
        found: Any = told.get(self.task)
        for part in self.where:
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None or self.names is None:
            return found
        kept = found if self.at is None else [found[place] for place in self.at]
        return kept if self.axis is None else [point[self.axis] for point in kept]


def columns_of(tasks: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """The columns of a face's answers, in their order; tasks: name -> plain data (`Prediction.to_json`)."""
    return [column for task, told in tasks.items() for column in _columns(task, told, (), told.get("labels") or ())]


def _columns(task: str, told: Mapping[str, Any], where: tuple[str, ...], labels: Sequence[str]) -> Iterator[Column]:
    for name, value in told.items():
        here, unit = (*where, name), _unit(told, (*where, name))
        if name in NO_ANSWERS or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _columns(task, value, here, labels)
        elif not isinstance(value, list):
            yield Column(task, here, str if isinstance(value, str) else float, unit=unit)
        elif value:
            named = labels if len(labels) == len(value) else [str(index) for index in range(len(value))]
            for axis in (0, 1) if isinstance(value[0], list) else (None,):
                yield Column(task, here, float, tuple(named), axis, unit)


def _unit(told: Mapping[str, Any], where: tuple[str, ...]) -> str:
    return next((UNITS[part] for part in reversed(where) if part in UNITS), None) or str(told.get("unit") or "")


def chosen(columns: Sequence[Column], wanted: str) -> list[Column]:
    """Columns by "short" (lists left out), "all", or patterns of headings between commas, as `age*,*.Smiling*`.

    Of a list the names that fit are kept. ConfigError where a pattern fits nothing.
    """
    if wanted in (SHORT, ALL):
        return [column for column in columns if wanted == ALL or column.names is None]
    patterns = [pattern.strip() for pattern in wanted.split(",") if pattern.strip()]
    known = [heading for column in columns for heading in (column.heading, *column.headings)]
    for pattern in patterns or [wanted]:
        if not any(_fits(heading, pattern) for heading in known):
            some = ", ".join(dict.fromkeys(column.heading for column in columns))
            raise ConfigError(f"--columns {pattern!r}: fits no column; expected short, all or patterns of {some}")
    return [kept for column in columns if (kept := _kept(column, patterns)) is not None]


def _kept(column: Column, patterns: Sequence[str]) -> Column | None:
    """A column, of a list what fits; None if nothing does."""
    if any(_fits(column.heading, pattern) for pattern in patterns):
        return column
    headings = column.headings if column.names is not None else []
    at = tuple(i for i, heading in enumerate(headings) if any(_fits(heading, pattern) for pattern in patterns))
    return replace(column, names=tuple(column.names[i] for i in at), at=at) if at else None


def _fits(heading: str, pattern: str) -> bool:
    return fnmatchcase(heading, pattern.replace("[", "[[]")) or fnmatchcase(heading.partition(" [")[0], pattern)


def rows(told: Mapping[str, Any], columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """A record (`faceptor.predict.stream.record`) as rows, heading -> value; one without a face where there is none."""
    about = {
        "file": told.get("photo", told.get("video")), "sha256": told.get("sha256"), "frame": told.get("frame"),
        "seconds": told.get("seconds"), "width [px]": told.get("width"), "height [px]": told.get("height"),
        "faces": len(told["faces"]) if "faces" in told else None, "error": told.get("error"),
    }  # fmt: skip
    if not told.get("faces"):
        yield about
    for number, face in enumerate(told.get("faces", ()), start=1):
        place = dict(zip(CORNERS, face["box"], strict=True)) | {"score": face["score"], "roll [degrees]": face["roll"]}
        values = {column.heading: column.value(face["tasks"]) for column in columns}
        yield about | {"face": number, "warning": told.get("warning")} | place | values
