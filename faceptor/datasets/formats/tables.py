"""Rows of a user's label file, csv or parquet, and what its cells say."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceptor.datasets.formats.textfiles import csv_rows, listed
from faceptor.datasets.values import BadSample, brief, number, printable
from faceptor.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Row = Mapping[str, Any]
ROWS_PER_BATCH = 256  # rows that are unpacked at once
MAX_COLUMN_BYTES = 1 << 30  # of a column in one group of rows before compression, which shrinks repeats to nothing
MAX_COLUMN_ITEMS = 1 << 28  # of a column in one group of rows
MAX_CELL_LENGTH = 100_000  # items of a list, characters of a text; no description asks for as many


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(line or row number, row) of a csv or parquet file that has these columns, see `csv_rows`."""
    yield from (_parquet_rows if path.suffix.lower() == ".parquet" else csv_rows)(path, tuple(columns))


def _parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no regular file")
        schema = pq.read_schema(path)
        if missing := [name for name in columns if name not in schema.names]:
            raise DataError(
                f"{path}: expected the columns {listed(columns)}, found no {listed(missing)}; "
                "correct the description or the file"
            )
        if twice := [name for name in columns if schema.names.count(name) > 1]:
            raise DataError(f"{path}: expected every column once, found {listed(twice)} twice; rename or remove one")
        # A long text that a million rows repeat is kept once, and rows become Python's one at a time.
        texts = [name for name in columns if pa.types.is_string(schema.field(name).type)]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            _check_sizes(path, file.metadata, columns)
            line = 0
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=list(columns)):
                for row in range(batch.num_rows):
                    line += 1
                    yield line, {name: _plain(batch.column(name)[row]) for name in columns}
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as parquet: {brief(' '.join(str(error).split()))}") from error


def _check_sizes(path: Path, facts: pq.FileMetaData, columns: tuple[str, ...]) -> None:
    for group in map(facts.row_group, range(facts.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            size, items = column.total_uncompressed_size, column.num_values
            if column.path_in_schema.split(".")[0] in columns and (size > MAX_COLUMN_BYTES or items > MAX_COLUMN_ITEMS):
                name = brief(column.path_in_schema)
                raise DataError(
                    f"{path}: {name}: expected groups of rows with at most {MAX_COLUMN_BYTES} bytes and "
                    f"{MAX_COLUMN_ITEMS} items, found {size} and {items}; write it again with smaller groups"
                )


def _plain(cell: pa.Scalar) -> Any:
    """A cell as Python has it; of one too long to mean anything, the start."""
    import pyarrow as pa

    if isinstance(cell, pa.ListScalar) and cell.values is not None and len(cell.values) > MAX_CELL_LENGTH:
        return cell.values[:MAX_CELL_LENGTH].to_pylist()
    value = cell.as_py()
    return value[:MAX_CELL_LENGTH] if isinstance(value, str) else value


def text(value: Any) -> str:
    """A cell as text; parquet gives numbers, bytes and None, and NaN for nothing."""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return printable(str(int(value) if isinstance(value, float) and value.is_integer() else value)).strip()


def word(value: Any) -> str:
    """A cell that names something: as `text`, and 1.0, as spreadsheets write a number beside empty cells, is 1."""
    said = text(value)
    return re.sub(r"\.0+$", "", said) if re.fullmatch(r"[+-]?[0-9]+\.0+", said) else said


def values(row: Row, columns: Sequence[str]) -> list:
    """Cells of several columns, or the items of the list in the only one (csv: separated by spaces, ; or ,)."""
    if len(columns) > 1:
        return [row[name] for name in columns]
    cell = row[columns[0]]
    if isinstance(cell, str):
        return re.split(r"[\s;,]+", cell.strip().strip("[]()").strip())
    return list(np.ravel(np.asarray(cell, dtype=object))) if cell is not None else []


def numbers(row: Row, columns: Sequence[str], count: int, what: str) -> list[float]:
    found = values(row, columns)
    found = [item for one in found for item in (one if isinstance(one, (list, tuple, np.ndarray)) else [one])]
    if len(found) != count:
        raise BadSample(f"{what}: expected {count} numbers, found {len(found)}")
    return [number_in(value, what) for value in found]


def number_in(value: Any, what: str) -> float:
    if value is None or value == "":
        raise BadSample(f"{what}: missing")
    if isinstance(value, (bool, np.bool_)):
        raise BadSample(f"{what}: expected a number, found {value}: the column holds yes or no")
    try:
        return number(text(value) if isinstance(value, str) else repr(float(value)))
    except (BadSample, TypeError, ValueError):
        hint = " (a decimal comma? write a point)" if re.fullmatch(r"-?[0-9]+,[0-9]+", str(value).strip()) else ""
        raise BadSample(f"{what}: expected a finite number, found {str(value)[:40]!r}{hint}") from None
