"""The YAML that describes a user's own data set: which column of its label file holds what.

```yaml
title: Faces of our lab
labels: labels.csv            # or .parquet; below the data set's folder
images: photos                # folder that the image names start from; default: the data set's folder
image: file                   # from here on: names of columns
split: part                   # train, val and test; or a share, e.g. 0.2: that part of the groups is the test split
group: person                 # validation (and a drawn test split) never shares one with training
box: [left, top, right, bottom]
landmarks:
  points: [x0, y0, x1, y1, x2, y2]   # 2K columns, or one that holds a list
  names: [left_eye, right_eye, chin]
  flip: [[left_eye, right_eye]]      # what changes places in the mirror, by name or number
  normalisers: {nme_eyes: [left_eye, right_eye]}
age: years
expression: {column: mood, classes: [calm, cheerful, cross]}
attributes: [glasses, hat]
ratings: {trust: {column: q7, range: [1, 7], unit: points}}   # continuous; an empty cell is not rated
```
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from faceptor.config.sections import Count, Real, Section, Share, explain
from faceptor.config.yaml12 import read_yaml
from faceptor.datasets.base import brief, printable
from faceptor.errors import ConfigError


def _words(value: Any) -> Any:
    """YAML reads true, false and 1 as other things than text; in a list of words they are text."""
    plain = {True: "true", False: "false"}
    if not isinstance(value, (list, tuple)):
        return value
    return [plain[item] if isinstance(item, bool) else str(item) if isinstance(item, int) else item for item in value]


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("expected every name once")
    return names


Column = Annotated[str, Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Names = Annotated[Words, AfterValidator(_once)]
Columns = Annotated[
    tuple[Column, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]
Point = int | str  # a landmark or class, by number or name
LARGEST = 1 << 20  # bytes of a description
MOST_CLASSES = 128  # of an image: the prepared columns have eight bits, of which -1 says unknown; people are `identity`
MOST_VALUES = 256  # of a pixel
MOST_POINTS = 10_000
SHOWN = 5  # problems of a description in one error
MEASURES = ("diag", "box")  # of the face box, see faceptor.tasks.landmarks


class Landmarks(Section):
    """K points. `first` is the number of the top-left pixel (1 in Matlab); the prepared points start at 0."""

    points: Columns
    names: Annotated[tuple[str, ...], AfterValidator(_once), Field(max_length=MOST_POINTS)] = ()
    count: Annotated[Count, Field(le=MOST_POINTS)] | None = None  # where no names tell it
    flip: tuple[tuple[Point, Point], ...] = ()
    groups: dict[str, tuple[int, int]] = Field(default_factory=dict)  # name -> first and last, drawn as a line
    normalisers: dict[str, str | tuple[Any, Any]] = Field(default_factory=dict)
    auc: dict[str, float] = Field(default_factory=dict)  # normaliser -> threshold (a fraction)
    five: tuple[Point, ...] | None = None  # eyes, nose tip, mouth corners, image-left first: allows aligned crops
    visibility: Columns | None = None  # 1 visible, 0 hidden, empty unknown
    first: Literal[0, 1] = 0

    @model_validator(mode="after")
    def _consistent(self):
        if not self.names and self.count is None:
            raise ValueError("names or count: one of them must say how many points there are")
        if self.names and self.count not in (None, len(self.names)):
            raise ValueError(f"count: expected the number of names {len(self.names)}, found {self.count}")
        if len(self.points) not in (1, 2 * len(self.labels)):
            expected = f"one column with a list, or {2 * len(self.labels)} columns (x and y of every point)"
            raise ValueError(f"points: expected {expected}, found {len(self.points)}")
        if self.visibility and len(self.visibility) not in (1, len(self.labels)):
            raise ValueError(f"visibility: expected 1 or {len(self.labels)} columns, found {len(self.visibility)}")
        if self.five is not None and len(self.five) != 5:
            raise ValueError(f"five: expected five points, found {len(self.five)}")
        for name, (first, last) in self.groups.items():
            if not 0 <= first <= last < len(self.labels):
                raise ValueError(f"groups.{name}: expected first <= last < {len(self.labels)}, found {first}, {last}")
        if not set(self.auc) <= set(self.rules()):
            raise ValueError(f"auc: expected names of normalisers ({', '.join(self.rules())})")
        permutation(self.flip, self.labels, "flip")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names or tuple(f"point_{index}" for index in range(self.count))

    def rules(self) -> dict[str, Any]:
        """NME name -> "diag" or "box" of the face box, or two groups of points; by default the box's diagonal."""
        rules = {}
        for name, rule in self.normalisers.items():
            if isinstance(rule, str):
                if rule not in MEASURES:
                    raise ValueError(f"normalisers.{name}: expected diag, box or two points, found {rule!r}")
                rules[name] = rule
                continue
            sides = [side if isinstance(side, (list, tuple)) else [side] for side in rule]
            rules[name] = tuple(tuple(number_of(p, self.labels, f"normalisers.{name}") for p in side) for side in sides)
        return rules or {"nme_diag": "diag"}

    def scheme(self, name: str) -> dict[str, Any]:
        """The facts of a landmark scheme, as `labels.yaml` writes them."""
        five = {"five_alignment_points": [number_of(p, self.labels, "five") for p in self.five]} if self.five else {}
        return {
            "name": name,
            "count": len(self.labels),
            "names": list(self.labels),
            "flip_permutation": list(permutation(self.flip, self.labels, "flip")),
            "groups": {group: list(ends) for group, ends in self.groups.items()},
            **five,
        }


class Classes(Section):
    """One class per image: the column holds its name or its number in `classes`."""

    column: Column
    classes: Annotated[Names, Field(min_length=2, max_length=MOST_CLASSES)]


class Attributes(Section):
    """Yes or no per column, or one column with a list of N; a cell that says neither is a reject, not a guess."""

    columns: Columns
    names: Annotated[tuple[str, ...], AfterValidator(_once)] = ()
    yes: Words = ("1", "yes", "true")
    no: Words = ("0", "no", "false")
    unknown: Words = ("", "-1", "nan", "none")

    @model_validator(mode="after")
    def _consistent(self):
        if self.names and len(self.columns) not in (1, len(self.names)):
            raise ValueError(f"columns: expected 1 or {len(self.names)}, one per name, found {len(self.columns)}")
        words = [word.lower() for word in (*self.yes, *self.no, *self.unknown)]
        if len(set(words)) != len(words):
            raise ValueError("yes, no, unknown: expected no word twice; with -1 for no, set no: ['-1'], unknown: ['']")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names or self.columns


class Masks(Section):
    """One class per pixel: the column names a single-channel image whose values are the numbers of `classes`."""

    column: Column
    classes: Annotated[Names, Field(min_length=2, max_length=MOST_VALUES)]
    flip: tuple[tuple[Point, Point], ...] = ()
    folder: str = ""  # default: the folder of the images
    background: int = 0

    @model_validator(mode="after")
    def _consistent(self):
        permutation(self.flip, self.classes, "flip")
        if not 0 <= self.background < len(self.classes):
            raise ValueError(f"background: expected a class below {len(self.classes)}, found {self.background}")
        return self


class Rating(Section):
    """A continuous scale: the column holds a number in the range, or nothing where a face was not rated."""

    column: Column
    range: tuple[Real, Real]  # lowest and highest rating
    unit: str = ""

    @model_validator(mode="after")
    def _rises(self):
        if not self.range[0] < self.range[1]:
            raise ValueError(f"range: expected lowest < highest, found {list(self.range)}")
        return self


def _attributes(value: Any) -> Any:
    return {"columns": value} if isinstance(value, (str, list, tuple)) else value


class Description(Section):
    """The whole file."""

    title: str = "own data set"
    source: str = "the owner of the folder"
    licence: str = "not stated"
    redistribution: str = "no"
    labels: Column
    images: str = ""
    image: Column
    key: Column | None = None  # column that names a sample, where one image holds several faces; default: the image
    split: Column | Share
    splits: dict[Literal["train", "test"], Words] = Field(
        {"train": ("train", "training", "val", "valid", "validation"), "test": ("test", "testing")}
    )
    group: Column | None = None
    subsets: Column | None = None  # names of test subsets, separated by spaces
    box: Columns | None = None  # x1, y1, x2, y2; default: the square about the landmarks, if there are any
    box_form: Literal["corners", "size"] = "corners"  # size: x, y, width, height
    landmarks: Landmarks | None = None
    mask: Masks | None = None
    age: Column | None = None
    expression: Classes | None = None
    gender: Classes | None = None
    race: Classes | None = None
    agegroup: Classes | None = None
    attributes: Annotated[Attributes, BeforeValidator(_attributes)] | None = None
    ratings: Annotated[dict[Column, Rating], Field(min_length=1, max_length=MOST_CLASSES)] | None = None  # by scale
    pose: Columns | None = None  # pitch, yaw, roll in degrees
    identity: Column | None = None

    @model_validator(mode="after")
    def _consistent(self):
        for name, width in (("box", 4), ("pose", 3)):
            columns = getattr(self, name)
            if columns and len(columns) not in (1, width):
                raise ValueError(f"{name}: expected 1 or {width} columns, found {len(columns)}")
        if not any(getattr(self, name) for name in LABELS):
            raise ValueError(f"expected at least one label: {', '.join(LABELS)}")
        return self


PROSE = ("title", "source", "licence", "redistribution")  # may be written in several lines
LABELS = (
    *("landmarks", "mask", "age", "expression", "gender", "race", "agegroup", "attributes", "pose", "ratings"),
    "identity",
)


def number_of(point: Point, names: tuple[str, ...], where: str) -> int:
    """Index of a point or class given by name or number; ValueError when there is none."""
    if isinstance(point, str):
        if point not in names:
            raise ValueError(f"{where}: no {point!r}; expected one of {', '.join(names)}")
        return names.index(point)
    if type(point) is not int:
        raise ValueError(f"{where}: expected a name or number, found {reprlib.repr(point)}")
    if not 0 <= point < len(names):
        raise ValueError(f"{where}: expected a number below {len(names)}, found {point}")
    return point


def permutation(pairs: tuple[tuple[Point, Point], ...], names: tuple[str, ...], where: str) -> tuple[int, ...]:
    """What stands where in the mirror: the identity with the pairs exchanged, so always an involution."""
    order, used = list(range(len(names))), set()
    for pair in pairs:
        a, b = (number_of(point, names, where) for point in pair)
        if {a, b} & used:
            raise ValueError(f"{where}: {names[a]} and {names[b]}: expected every point in one pair at most")
        used |= {a, b}
        order[a], order[b] = b, a
    return tuple(order)


def parse_description(values: Any, origin: str) -> Description:
    """The description from plain values; ConfigError naming every offending key."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin}: expected keys like labels, image and split, found {type(values).__name__}")
    prose = {key: " ".join(values[key].split()) for key in PROSE if isinstance(values.get(key), str)}
    values = {**values, **prose}
    if strange := next((text for text in _texts(values) if text != printable(text)), None):
        raise ConfigError(f"{origin}: {strange[:40]!r}: expected text without control characters")
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        problems = [brief(explain(item, root=Description, origin=origin)) for item in error.errors()[:SHOWN]]
        more = [f"and {error.error_count() - SHOWN} more"] if error.error_count() > SHOWN else []
        raise ConfigError("; ".join([*problems, *more])) from None


def _texts(values: Any) -> Iterator[str]:
    """Every piece of text in plain values; what aliases repeat is looked at once."""
    left, seen = [values], set()
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            left += [*value, *value.values()] if isinstance(value, Mapping) else value


def read_description(path: Path) -> Description:
    values = read_yaml(path, largest=LARGEST, remedy="correct options.description")
    return parse_description(values, str(path))
