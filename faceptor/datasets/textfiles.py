"""Reading lists, csv and .pts files line by line, with bounded memory and without trusting their encoding."""

from __future__ import annotations

import csv
import errno
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from faceptor.datasets.base import BadSample, number, points, printable
from faceptor.errors import DataError

LONGEST_LINE = 1 << 20  # bytes; the longest published line has about 4,000
LARGEST_LABEL = 1 << 20  # bytes of a file that labels one image


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without line end) of a text file; blank lines are skipped.

    Bytes that are not UTF-8 survive as surrogates, so that the sample they name can be rejected alone.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no regular file")
        with open(path, "rb") as handle:
            line = 0
            while raw := handle.readline(LONGEST_LINE):
                if len(raw) == LONGEST_LINE:
                    raise DataError(f"{path}:{line + 1}: expected text, found a line longer than {LONGEST_LINE} bytes")
                raw = raw.removeprefix(b"\xef\xbb\xbf") if line == 0 else raw
                for part in raw.rstrip(b"\r\n").split(b"\r"):  # some editors end lines with this alone
                    line += 1
                    text = part.decode("utf-8", "surrogateescape")
                    if text.strip():
                        yield line, text
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def fields(line: str, count: int) -> list[str]:
    """Whitespace-separated fields of a line; BadSample unless there are exactly `count`."""
    found = line.split()
    if len(found) != count:
        raise BadSample(f"expected {count} fields, found {len(found)}")
    return found


def table(rows: Iterable[Sequence[str]]) -> dict[str, str]:
    """Name -> value of rows of two; rows of another length are passed over, a name with two values has none ("")."""
    found: dict[str, str] = {}
    for name, value in (row for row in rows if len(row) == 2):
        found[name] = value if found.get(name, value) == value else ""
    return found


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line number, row) of a comma-separated file whose header has `columns`.

    A row of another length than the header is given as None. A header without the columns is a DataError.
    """
    header: list[str] | None = None
    for line, text in lines(path):
        try:
            row = next(csv.reader([text]))
        except csv.Error:
            row = []
        if header is None:
            header = [name.strip() for name in row]
            if missing := [name for name in columns if name not in header]:
                raise DataError(
                    f"{path}:{line}: expected a header with columns {few(columns)}, "
                    f"found no {few(missing)}; use the file as its owner publishes it"
                )
            continue
        yield line, dict(zip(header, row, strict=True)) if len(row) == len(header) else None
    if header is None:
        raise DataError(f"{path}: expected a header with columns {few(columns)}, found an empty file")


def few(names: Sequence[str]) -> str:
    """The first of many names, for an error of one line."""
    more = [f"and {len(names) - 8} more"] if len(names) > 8 else []
    return ", ".join([*(printable(name)[:60] for name in names[:8]), *more])


def row_of(row: dict[str, str] | None) -> dict[str, str]:
    """The row, or BadSample for one of wrong length."""
    if row is None:
        raise BadSample("the row has another number of fields than the header")
    return row


def label_text(path: Path) -> str:
    """The whole of a small label file that belongs to one image; BadSample when absent, huge or not text."""
    try:
        if not path.is_file():
            raise BadSample(f"label file {path.name} is missing")
        with open(path, "rb") as handle:
            raw = handle.read(LARGEST_LABEL + 1)
    except OSError as error:
        raise BadSample(f"label file {path.name} cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST_LABEL:
        raise BadSample(f"label file {path.name} is larger than {LARGEST_LABEL} bytes")
    return raw.decode("utf-8", "replace")


def pts(path: Path, count: int) -> np.ndarray:
    """(count, 2) float32 points between the braces of a .pts file, as written (no shift)."""
    text = label_text(path)
    start, end = text.find("{"), text.find("}")
    if start < 0 or end < start:
        raise BadSample(f"{path.name}: expected points between braces, found none")
    values = [number(value) for value in text[start + 1 : end].split()]
    if len(values) % 2:
        raise BadSample(f"{path.name}: expected x y pairs, found {len(values)} numbers")
    return points(values, count)
