"""What a user's own table says of its label columns: the sections of the description, and how a row's cells are read.

The rows of `faceptor.datasets.columns` name a section and a reading function each; `faceptor.datasets.description` puts
the sections together to the whole file. Every section has `cells`, the columns of the label file that it names, and
`labels`, the names of its classes or points.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from faceptor.config.sections import Count, Real, Section
from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.tables import Row, number_in, numbers, text, values, word
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.values import BadSample, box, integer, landmark_box, points

if TYPE_CHECKING:
    from faceptor.datasets.readers.generic import Generic


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


Cell = Annotated[str, Field(min_length=1)]  # name of a column of the label file
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Names = Annotated[Words, AfterValidator(_once)]
Cells = Annotated[
    tuple[Cell, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]
Point = int | str  # a landmark or class, by number or name
MOST_CLASSES = 128  # of an image: the prepared columns have eight bits, of which -1 says unknown; people are `identity`
MOST_VALUES = 256  # of a pixel
MOST_POINTS = 10_000
MEASURES = ("diag", "box")  # of the face box, see faceptor.tasks.landmarks


class Landmarks(Section):
    """K points. `first` is the number of the top-left pixel (1 in Matlab); the prepared points start at 0."""

    points: Cells
    names: Annotated[tuple[str, ...], AfterValidator(_once), Field(max_length=MOST_POINTS)] = ()
    count: Annotated[Count, Field(le=MOST_POINTS)] | None = None  # where no names tell it
    flip: tuple[tuple[Point, Point], ...] = ()
    groups: dict[str, tuple[int, int]] = Field(default_factory=dict)  # name -> first and last, drawn as a line
    normalisers: dict[str, str | tuple[Any, Any]] = Field(default_factory=dict)
    auc: dict[str, float] = Field(default_factory=dict)  # normaliser -> threshold (a fraction)
    five: tuple[Point, ...] | None = None  # eyes, nose tip, mouth corners, image-left first: allows aligned crops
    visibility: Cells | None = None  # 1 visible, 0 hidden, empty unknown
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

    @property
    def cells(self) -> tuple[str, ...]:
        return (*self.points, *(self.visibility or ()))

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

    column: Cell
    classes: Annotated[Names, Field(min_length=2, max_length=MOST_CLASSES)]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.column,)


class Attributes(Section):
    """Yes or no per column, or one column with a list of N; a cell that says neither is a reject, not a guess."""

    columns: Cells
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

    @property
    def cells(self) -> tuple[str, ...]:
        return self.columns


class Masks(Classes):
    """One class per pixel: the column names a single-channel image whose values are the numbers of `classes`."""

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

    column: Cell
    range: tuple[Real, Real]  # lowest and highest rating
    unit: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.column,)

    @model_validator(mode="after")
    def _rises(self):
        if not self.range[0] < self.range[1]:
            raise ValueError(f"range: expected lowest < highest, found {list(self.range)}")
        return self


def _listed(value: Any) -> Any:
    return {"columns": value} if isinstance(value, (str, list, tuple)) else value


AttributeList = Annotated[Attributes, BeforeValidator(_listed)]
Ratings = Annotated[dict[Cell, Rating], Field(min_length=1, max_length=MOST_CLASSES)]  # by scale


def numbers_in_cells(count: int) -> Any:
    """The type of a key that names one column with a list of so many numbers, or one column for each."""

    def check(cells: tuple[str, ...]) -> tuple[str, ...]:
        if len(cells) not in (1, count):
            raise ValueError(f"expected 1 or {count} columns")
        return cells

    return Annotated[Cells, AfterValidator(check)]


def cells_of(part: Any) -> tuple[str, ...]:
    """Columns of the label file that one key of a description names."""
    if isinstance(part, Mapping):
        return tuple(cell for inner in part.values() for cell in inner.cells)
    return part.cells if isinstance(part, Section) else (part,) if isinstance(part, str) else tuple(part or ())


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


# --- cells of a row ---------------------------------------------------------------------------------------------------
# Each takes the reader, the row, and the labels of the rows of `faceptor.datasets.columns` before; what is wrong is a
# BadSample.

NOT_RATED = ("", "nan", "na", "none")


def read_landmarks(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description.landmarks
    count = len(facts.labels)
    return points(numbers(row, facts.points, 2 * count, "landmarks"), count) - facts.first


def read_visibility(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description.landmarks
    found = values(row, facts.visibility)
    if len(found) != len(facts.labels):
        raise BadSample(f"visibility: expected {len(facts.labels)} values, found {len(found)}")
    words = [text(value) or "-1" for value in found]
    return np.array([integer(word, low=-1, high=1, what="visibility") for word in words], np.int8)


def read_points5(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    return landmark_scheme(reader.scheme).five_points(labels["landmarks"])


def read_box(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description
    if not facts.box:
        return landmark_box(labels["landmarks"])
    x, y, a, b = numbers(row, facts.box, 4, "box")
    first = facts.landmarks.first if facts.landmarks else 0
    x, y = x - first, y - first
    return box(x, y, x + a, y + b) if facts.box_form == "size" else box(x, y, a - first, b - first)


def read_mask(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description.mask
    return read_gray(reader.file(text(row[facts.column]), facts.folder or reader.description.images))


def read_age(reader: Generic, row: Row, labels: Mapping) -> float:
    return number_in(row[reader.description.age], "age")


def read_class(column: str) -> Callable[[Generic, Row, Mapping], int]:
    def read(reader: Generic, row: Row, labels: Mapping) -> int:
        facts: Classes = getattr(reader.description, column)
        said = text(row[facts.column])
        folded = [name.casefold() for name in facts.classes]
        for name in (said, word(row[facts.column])):
            if name in facts.classes:
                return facts.classes.index(name)
            if folded.count(name.casefold()) == 1:
                return folded.index(name.casefold())
        numbered = not any(name.isdigit() for name in facts.classes)  # else a number is a name
        if numbered and re.fullmatch(r"[0-9]{1,4}", name) and int(name) < len(facts.classes):
            return int(name)
        raise BadSample(f"{column}: expected one of {', '.join(facts.classes)} or its number, found {said[:40]!r}")

    return read


def read_attributes(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description.attributes
    meaning = {w.lower(): v for v, words in ((1, facts.yes), (0, facts.no), (-1, facts.unknown)) for w in words}
    cells = values(row, facts.columns)
    found = [said if (said := text(cell).lower()) in meaning else word(cell).lower() for cell in cells]
    if len(found) != len(facts.labels):
        raise BadSample(f"attributes: expected {len(facts.labels)} values, found {len(found)}")
    for name, said in zip(facts.labels, found, strict=True):
        if said not in meaning:
            raise BadSample(f"{name}: expected {', '.join(filter(None, meaning))} or nothing, found {said[:40]!r}")
        reader.said[name].add(said if said == "-1" and meaning[said] == -1 else meaning[said])
    return np.array([meaning[said] for said in found], np.int8)


def read_pose(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    return np.array(numbers(row, reader.description.pose, 3, "pose"), np.float32)


def read_ratings(reader: Generic, row: Row, labels: Mapping) -> np.ndarray:
    facts = reader.description.ratings
    found = [
        np.nan if text(row[scale.column]).lower() in NOT_RATED else number_in(row[scale.column], name)
        for name, scale in facts.items()
    ]
    return np.array(found, np.float32)


def read_identity(reader: Generic, row: Row, labels: Mapping) -> int:
    return integer(text(row[reader.description.identity]), low=0, high=(1 << 31) - 1, what="identity")
