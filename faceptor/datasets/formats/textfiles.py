"""Reading lists, csv and .pts files line by line, with bounded memory and without trusting their encoding."""

import csv
import errno
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from faceptor.datasets.values import BadSample, number, points, printable
from faceptor.errors import DataError
from faceptor.io.words import few

LONGEST_LINE = 1 << 20  # bytes; the longest published line has about 4,000
MOST_LINES = 100  # of one row, by line breaks within quotes
SEPARATORS = (",", ";", "\t")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
LARGEST_LABEL = 1 << 20  # bytes of a file that labels one image


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without line end) of a text file in UTF-8 or, with its mark, UTF-16; blank lines are
    skipped.

    Bytes that are not UTF-8 survive as surrogates, so that the sample they name can be rejected alone.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no regular file")
        with open(path, "rb") as handle:
            wide = handle.read(2) in UTF16_MARKS  # what Windows programs call "Unicode text"
            handle.seek(0)
            line = 0
            for raw in _wide_lines(handle) if wide else iter(lambda: handle.readline(LONGEST_LINE), b""):
                if len(raw) >= LONGEST_LINE:
                    raise DataError(f"{path}:{line + 1}: expected text, found a line longer than {LONGEST_LINE} bytes")
                raw = raw.removeprefix(b"\xef\xbb\xbf") if line == 0 else raw
                for part in raw.rstrip(b"\r\n").split(b"\r"):  # some editors end lines with this alone
                    line += 1
                    text = part.decode("utf-8", "surrogateescape")
                    if text.strip():
                        yield line, text
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _wide_lines(handle: BinaryIO) -> Iterator[bytes]:
    """The lines of a file in UTF-16, as UTF-8."""
    with io.TextIOWrapper(handle, "utf-16", errors="replace", newline="") as text:
        while line := text.readline(LONGEST_LINE):
            yield line.encode("utf-8", "replace")


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


class BrokenRow(dict):
    """A row of another length than the header: every value that is asked of it is a BadSample."""

    def __missing__(self, name: object) -> str:
        raise BadSample("the row has another number of fields than the header, or an open quote")


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a file of values separated by , or ; or tabs whose header has `columns`, each once.

    A quoted value may hold line breaks. A row of another length than the header is a `BrokenRow`. A header without the
    columns, or with one of them twice, is a DataError.
    """
    found = lines(path)
    first = next(found, None)
    if first is None:
        raise DataError(f"{path}: expected a header with columns {listed(columns)}, found an empty file")
    line, text = first
    separator, header = _header(text, columns)
    if missing := [name for name in columns if name not in header]:
        raise DataError(
            f"{path}:{line}: expected a header with columns {listed(columns)}, found no {listed(missing)} in "
            f"{printable(text[:60])!r}; name the columns in the first line, separated by commas"
        )
    if twice := [name for name in columns if header.count(name) > 1]:
        raise DataError(
            f"{path}:{line}: expected every column once, found {listed(twice)} {header.count(twice[0])} times; "
            "rename or remove one"
        )
    for line, row in _split_rows(found, separator, len(header)):
        yield line, dict(zip(header, row, strict=True)) if row else BrokenRow()


def has_columns(path: Path, columns: tuple[str, ...]) -> bool:
    """Whether a file is a csv with these columns."""
    return set(columns) <= set(_header(next((text for _, text in lines(path)), ""), columns)[1])


def _header(text: str, columns: tuple[str, ...]) -> tuple[str, list[str]]:
    """The separator that finds the most of the columns in a header, and the names it separates."""
    found = [(separator, [name.strip() for name in _values(text, separator)]) for separator in SEPARATORS]
    return max(found, key=lambda pair: len(set(columns) & set(pair[1])))  # of equals the first, a comma


def _values(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:
        return []


def _split_rows(found: Iterator[tuple[int, str]], separator: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, values) of every row, none for a row of another width.

    A line with an open quote goes on in the next ones, if that makes a row; else it is a broken row of its own, so that
    one stray quote does not swallow those behind it.
    """
    waiting: deque[tuple[int, str]] = deque()
    while waiting or (item := next(found, None)) is not None:
        line, text = waiting.popleft() if waiting else item
        row = _values(text, separator)
        if text.count('"') % 2:
            waiting.extend(islice(found, MOST_LINES - 1 - len(waiting)))
            row, used = _joined(text, waiting, separator, width)
            for _ in range(used):
                waiting.popleft()
        yield line, row if len(row) == width else []


def _joined(text: str, behind: Iterable[tuple[int, str]], separator: str, width: int) -> tuple[list[str], int]:
    """The row that a line with an open quote makes with those behind it, and how many it took; [] and 0 for none."""
    for used, (_, more) in enumerate(behind, start=1):
        text = f"{text}\n{more}"
        if text.count('"') % 2 == 0:
            row = _values(text, separator)
            return (row, used) if len(row) == width else ([], 0)
    return [], 0


def listed(names: Iterable[str]) -> str:
    """The first of many names in a file, for an error of one line."""
    return few(names, 8, said=lambda name: printable(name)[:60])


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
    return raw.decode("utf-16" if raw[:2] in UTF16_MARKS else "utf-8", "replace")


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
