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

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model, model_validator

from faceptor.config.sections import Section, Share, either, explain
from faceptor.config.yaml12 import read_yaml
from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.own_columns import Cell, Words
from faceptor.datasets.values import brief, printable
from faceptor.errors import ConfigError
from faceptor.io.words import few

LARGEST_FILE = 1 << 20  # bytes of a description
PROBLEMS_SHOWN = 5  # of a description, in one error


class _File(Section):
    """The keys that name no label column."""

    title: str = "own data set"
    source: str = "the owner of the folder"
    licence: str = "not stated"
    redistribution: str = "no"
    labels: Cell
    images: str = ""
    image: Cell
    key: Cell | None = None  # column that names a sample, where one image holds several faces; default: the image
    split: Annotated[Cell | Share, either("a column's name, or a share from 0 up to 1")]
    splits: dict[Literal["train", "test"], Words] = Field(
        {"train": ("train", "training", "val", "valid", "validation"), "test": ("test", "testing")}
    )
    group: Cell | None = None
    subsets: Cell | None = None  # names of test subsets, separated by spaces
    box_form: Literal["corners", "size"] = "corners"  # size: x, y, width, height

    @model_validator(mode="after")
    def _consistent(self):
        if not any(getattr(self, name) for name in LABELS):
            raise ValueError(f"expected at least one label: {', '.join(LABELS)}")
        return self


PROSE = ("title", "source", "licence", "redistribution")  # may be written in several lines
LABELS = tuple(name for name, column in COLUMNS.items() if column.own and column.own.kind and column.label)

# The whole file: one key more for every column of the table.
Description = create_model(
    "Description",
    __base__=_File,
    **{name: (column.own.kind | None, None) for name, column in COLUMNS.items() if column.own and column.own.kind},
)


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
        told = few(
            error.errors(),
            PROBLEMS_SHOWN,
            between="; ",
            said=lambda item: brief(explain(item, root=Description, origin=origin)),
        )
        raise ConfigError(told) from None


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
    values = read_yaml(path, largest=LARGEST_FILE, remedy="correct options.description")
    return parse_description(values, str(path))
