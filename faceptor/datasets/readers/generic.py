"""A user's own data set: a folder of images, a csv or parquet file of labels, and a YAML that names its columns.

See `faceptor.datasets.description` for the YAML. Its landmarks, classes and attributes become tasks
(`faceptor.tasks.custom`), so that no code is needed for them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.config.sections import spelled
from faceptor.datasets.base import (
    BadSample,
    Check,
    Reader,
    Record,
    Reject,
    box,
    integer,
    landmark_box,
    points,
    share,
)
from faceptor.datasets.description import Classes, Description, parse_description, permutation, read_description
from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.tables import Row, number_in, numbers, rows, text, values, word
from faceptor.datasets.formats.textfiles import row_of
from faceptor.datasets.labels import AGES, landmark_scheme
from faceptor.errors import ConfigError

NOT_RATED = ("", "nan", "na", "none")
CLASSED = ("expression", "gender", "race", "agegroup")


class Generic(Reader):
    """`description`: the YAML file (below the data set's folder, else below the working directory), or its content.

    `verification` names `.bin` files of face pairs in that folder, which recognition is measured on.
    """

    name = "generic"
    title = "own data set"
    source = "its owner"
    licence = "not stated"
    strict_counts = False  # nothing is published about it

    def __init__(
        self,
        root: Path | str,
        *,
        description: str | Mapping | None = None,
        verification: Sequence[str] = (),
        **options,
    ):
        super().__init__(root, **options)
        self.options["verification"] = list(verification)
        self.description = facts = find_description(self, description)
        self.options["description"] = facts.model_dump(mode="json", exclude_defaults=True)
        self.title, self.source, self.licence = facts.title, facts.source, facts.licence
        self.redistribution = facts.redistribution
        self.columns, self.classes = columns_of(facts), classes_of(facts)
        self._said: dict[str, set[int | str]] = defaultdict(set)  # attribute -> what its rows said, "-1" apart
        self.scheme = facts.landmarks.scheme(facts.title) if facts.landmarks else None
        self.ranges = {name: scale.range for name, scale in (facts.ratings or {}).items()}
        self.mask_flip = permutation(facts.mask.flip, facts.mask.classes, "mask.flip") if facts.mask else None

    @property
    def protocol(self) -> str:
        facts = self.description
        if isinstance(facts.split, str):
            named = "; ".join(f"{part}: {', '.join(words)}" for part, words in facts.splits.items())
            return f"column {facts.split} of {facts.labels} ({named})"
        by = facts.group or facts.key or facts.image
        return f"test drawn: a share {facts.split} of the values of column {by}, seed {self.options['seed']}"

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(self.description.labels, what="the label file")
        for line, row in rows(path, wanted_columns(self.description)):
            part = None if row is None else self._part(row)
            # A row that belongs to neither split is reported once, with the training rows.
            if part == split or (part is None and split == "train"):
                key = str((row or {}).get(self.description.key or self.description.image) or f"line {line}")
                yield self.attempt(key, self.where(path, line), self._record, key, row, part)

    def _part(self, row: Row) -> str | None:
        facts = self.description
        if isinstance(facts.split, str):
            said = {text(row[facts.split]).lower(), word(row[facts.split]).lower()}
            return next((part for part, words in facts.splits.items() if said & {name.lower() for name in words}), None)
        unit = text(row[facts.group or facts.key or facts.image])
        return "test" if share(self.options["seed"], f"test:{unit}") < facts.split else "train"

    def _record(self, key: str, row: Row | None, part: str | None) -> Record:
        facts, row = self.description, row_of(row)
        if part is None:
            known = ", ".join(name for words in facts.splits.values() for name in words)
            found = text(row[facts.split])[:40]
            raise BadSample(f"{facts.split}: expected one of {known} (see `splits`), found {found!r}")
        labels = {name: READ[name](self, row) for name in READ if name in self.columns}
        if facts.landmarks and not facts.box:
            labels["box"] = landmark_box(labels["landmarks"])
        if facts.landmarks and facts.landmarks.five:
            labels["points5"] = landmark_scheme(self.scheme).five_points(labels["landmarks"])
        return Record(
            key=key,
            split=part,
            image=self._file(text(row[facts.image]), facts.images),
            group=text(row[facts.group]) if facts.group else "",
            subsets=tuple(text(row[facts.subsets]).split()) if facts.subsets and part == "test" else (),
            **labels,
        )

    def _file(self, name: str, folder: str) -> Path:
        """An image named from its folder, from the data set's folder, or in full."""
        own = Path(name)
        if own.is_absolute() and own.is_relative_to(self.root.absolute()):
            return self.image(str(own.relative_to(self.root.absolute())))
        try:
            return self.image(name, folder=self.root / folder)
        except BadSample as reason:
            with suppress(BadSample):
                return self.image(name)
            raise reason from None

    def verification(self) -> dict[str, Path]:
        return {name: self.require(f"{name}.bin", what="the pairs") for name in self.options["verification"]}

    def checks(self) -> Iterator[Check]:
        """Attributes of which no row says no: in other conventions -1 is that, and here it is unknown."""
        if self.description.attributes:
            never = [name for name, said in self._said.items() if "-1" in said and 0 not in said]
            detail = f"{', '.join(never)}: yes and unknown; if -1 means no, set attributes.no: ['-1'] and unknown: ['']"
            yield Check("attributes say no somewhere", "fail" if never else "pass", detail if never else "")


# --- description --------------------------------------------------------------------------------------------------


def find_description(reader: Reader, given: str | Mapping | None) -> Description:
    """A description from its file, or from the values themselves."""
    where = f"datasets.{spelled(reader.name)}.options.description"
    if given is None:
        raise ConfigError(f"{where}: missing; name the YAML file that says what the columns of the label file are")
    if isinstance(given, Mapping):
        return parse_description(given, where)
    if not isinstance(given, (str, Path)):
        raise ConfigError(f"{where}: expected the name of a YAML file, or its keys, found {type(given).__name__}")
    own = Path(given)  # a path of the user's own may lead anywhere, one below the data set's folder may not
    inside = None if own.is_absolute() or ".." in own.parts else reader.find(given)
    for path in (inside, own):
        if path and path.is_file():
            return read_description(path)
    raise ConfigError(f"{where}: expected the file {reader.root / own} or {own}, found neither; write it there")


def stored_description(root: Path, given: Any, card: Path) -> dict[str, Any]:
    """The option `description` as the prepared data's card has it, if the file itself is not here."""
    if not isinstance(given, str) or (root / given).is_file() or Path(given).is_file() or not card.is_file():
        return {}
    try:
        return {"description": json.loads(card.read_text(encoding="utf-8"))["options"]["description"]}
    except (ValueError, KeyError, TypeError):  # damaged: the file is asked for, as if nothing had been prepared
        return {}


def columns_of(facts: Description) -> tuple[str, ...]:
    """Label columns of the prepared data."""
    found = [
        name
        for name in ("landmarks", "mask", "age", *CLASSED, "attributes", "pose", "ratings", "identity")
        if getattr(facts, name)
    ]
    if facts.box or facts.landmarks:
        found.append("box")
    if facts.landmarks and facts.landmarks.five:
        found.append("points5")
    if facts.landmarks and facts.landmarks.visibility:
        found.append("visibility")
    return tuple(found)


def classes_of(facts: Description) -> dict[str, tuple[str, ...]]:
    """Column -> names of its classes."""
    classes = {name: getattr(facts, name).classes for name in (*CLASSED, "mask") if getattr(facts, name)}
    if facts.attributes:
        classes["attributes"] = facts.attributes.labels
    if facts.landmarks:
        classes["landmarks"] = facts.landmarks.labels
    if facts.ratings:
        classes["ratings"] = tuple(facts.ratings)
    if facts.age:
        classes["age"] = tuple(str(age) for age in AGES)
    return classes


def wanted_columns(facts: Description) -> tuple[str, ...]:
    """Columns that the label file must have."""
    single = [facts.image, facts.key, facts.group, facts.subsets, facts.age, facts.identity]
    single += [facts.split] if isinstance(facts.split, str) else []
    single += [part.column for name in (*CLASSED, "mask") if (part := getattr(facts, name))]
    single += [scale.column for scale in (facts.ratings or {}).values()]
    many = [*(facts.box or ()), *(facts.pose or ())]
    if facts.landmarks:
        many += [*facts.landmarks.points, *(facts.landmarks.visibility or ())]
    if facts.attributes:
        many += facts.attributes.columns
    return tuple(dict.fromkeys(name for name in (*single, *many) if name))


# --- labels ---------------------------------------------------------------------------------------------------------


def _landmarks(reader: Generic, row: Row) -> np.ndarray:
    facts = reader.description.landmarks
    count = len(facts.labels)
    return points(numbers(row, facts.points, 2 * count, "landmarks"), count) - facts.first


def _visibility(reader: Generic, row: Row) -> np.ndarray:
    facts = reader.description.landmarks
    found = values(row, facts.visibility)
    if len(found) != len(facts.labels):
        raise BadSample(f"visibility: expected {len(facts.labels)} values, found {len(found)}")
    words = [text(value) or "-1" for value in found]
    return np.array([integer(word, low=-1, high=1, what="visibility") for word in words], np.int8)


def _box(reader: Generic, row: Row) -> np.ndarray | None:
    facts = reader.description
    if not facts.box:
        return None  # comes from the landmarks
    x, y, a, b = numbers(row, facts.box, 4, "box")
    first = facts.landmarks.first if facts.landmarks else 0
    x, y = x - first, y - first
    return box(x, y, x + a, y + b) if facts.box_form == "size" else box(x, y, a - first, b - first)


def _mask(reader: Generic, row: Row) -> np.ndarray:
    facts = reader.description.mask
    return read_gray(reader._file(text(row[facts.column]), facts.folder or reader.description.images))


def _age(reader: Generic, row: Row) -> float:
    return number_in(row[reader.description.age], "age")


def _class(column: str) -> Callable[[Generic, Row], int]:
    def read(reader: Generic, row: Row) -> int:
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


def _attributes(reader: Generic, row: Row) -> np.ndarray:
    facts = reader.description.attributes
    meaning = {w.lower(): v for v, words in ((1, facts.yes), (0, facts.no), (-1, facts.unknown)) for w in words}
    cells = values(row, facts.columns)
    found = [said if (said := text(cell).lower()) in meaning else word(cell).lower() for cell in cells]
    if len(found) != len(facts.labels):
        raise BadSample(f"attributes: expected {len(facts.labels)} values, found {len(found)}")
    for name, said in zip(facts.labels, found, strict=True):
        if said not in meaning:
            raise BadSample(f"{name}: expected {', '.join(filter(None, meaning))} or nothing, found {said[:40]!r}")
        reader._said[name].add(said if said == "-1" and meaning[said] == -1 else meaning[said])
    return np.array([meaning[said] for said in found], np.int8)


def _pose(reader: Generic, row: Row) -> np.ndarray:
    return np.array(numbers(row, reader.description.pose, 3, "pose"), np.float32)


def _ratings(reader: Generic, row: Row) -> np.ndarray:
    facts = reader.description.ratings
    found = [
        np.nan if text(row[scale.column]).lower() in NOT_RATED else number_in(row[scale.column], name)
        for name, scale in facts.items()
    ]
    return np.array(found, np.float32)


def _identity(reader: Generic, row: Row) -> int:
    return integer(text(row[reader.description.identity]), low=0, high=(1 << 31) - 1, what="identity")


READ: dict[str, Callable[[Generic, Row], Any]] = {
    "landmarks": _landmarks,
    "visibility": _visibility,
    "box": _box,
    "mask": _mask,
    "age": _age,
    **{column: _class(column) for column in CLASSED},
    "attributes": _attributes,
    "pose": _pose,
    "ratings": _ratings,
    "identity": _identity,
}
