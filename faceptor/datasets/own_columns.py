"""What the description of a user's own table says of its label columns: one section for each sort of column.

The rows of `faceptor.datasets.columns` name their section; `faceptor.datasets.description` puts them together to the
whole file. Every section has `cells`, the columns of the label file that it names, and `labels`, the names of its
classes or points.
"""

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from faceptor.config.sections import Count, Real, Section, each_once, either


def _words(value: Any) -> Any:
    """YAML reads true, false and 1 as other things than text; in a list of words they are text."""
    if not isinstance(value, (list, tuple)):
        return value
    return [str(item).lower() if isinstance(item, int) else item for item in value]


Cell = Annotated[str, Field(min_length=1)]  # name of a column of the label file
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Names = Annotated[Words, each_once("name")]
Cells = Annotated[
    tuple[Cell, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Point = Annotated[int | str, either("a landmark or class, by number or name")]
Rule = Annotated[str | tuple[Any, Any], either("diag, box or two points")]
MOST_CLASSES = 128  # of an image: the prepared columns have eight bits, of which -1 says unknown; people are `identity`
MOST_VALUES = 256  # of a pixel
MOST_POINTS = 10_000
BOX_MEASURES = ("diag", "box")  # of the face box, see faceptor.tasks.landmarks


class Landmarks(Section):
    """K points. `first` is the number of the top-left pixel (1 in Matlab); the prepared points start at 0."""

    points: Cells
    names: Annotated[tuple[str, ...], each_once("name"), Field(max_length=MOST_POINTS)] = ()
    count: Annotated[Count, Field(le=MOST_POINTS)] | None = None  # where no names tell it
    flip: tuple[tuple[Point, Point], ...] = ()
    groups: dict[str, tuple[int, int]] = Field(default_factory=dict)  # name -> first and last, drawn as a line
    normalisers: dict[str, Rule] = Field(default_factory=dict)
    auc: dict[str, Finite] = Field(default_factory=dict)  # normaliser -> threshold (a fraction)
    five: tuple[Point, ...] | None = None  # eyes, nose tip, mouth corners, image-left first: allows aligned crops
    visibility: Cells | None = None  # 1 visible, 0 hidden, empty unknown
    first: Literal[0, 1] = 0

    @model_validator(mode="after")
    def _as_many_as_points(self):
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
        return self

    @model_validator(mode="after")
    def _points_exist(self):
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
                if rule not in BOX_MEASURES:
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


class _OneColumn(Section):
    column: Cell

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.column,)


class Classes(_OneColumn):
    """One class per image: the column holds its name or its number in `classes`."""

    classes: Annotated[Names, Field(min_length=2, max_length=MOST_CLASSES)]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classes


class Attributes(Section):
    """Yes or no per column, or one column with a list of N; a cell that says neither is a reject, not a guess."""

    columns: Cells
    names: Annotated[tuple[str, ...], each_once("name")] = ()
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


class Rating(_OneColumn):
    """A continuous scale: the column holds a number in the range, or nothing where a face was not rated."""

    range: tuple[Real, Real]  # lowest and highest rating
    unit: str = ""

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
