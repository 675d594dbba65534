"""The cells of one row of a user's own table as labels: a function for every column of `faceptor.datasets.columns`.

Each takes the reader, whose description says where to look, the row, and the labels that were already read of it. What
is wrong with a cell is a BadSample.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.tables import Row, number_in, numbers, text, values, word
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.own_columns import Classes
from faceptor.datasets.values import BadSample, box, integer, landmark_box, points

if TYPE_CHECKING:
    from faceptor.datasets.readers.generic import Generic

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
