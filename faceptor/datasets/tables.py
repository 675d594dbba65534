"""Rows of a user's label file, csv or parquet, and what its cells say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from faceptor.datasets.base import BadSample, number, printable
from faceptor.datasets.textfiles import csv_rows
from faceptor.errors import DataError

Row = Mapping[str, Any]


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row | None]]:
    """(line or row number, row) of a csv or parquet file that has these columns."""
    yield from (_parquet_rows if path.suffix.lower() == ".parquet" else csv_rows)(path, tuple(columns))


def _parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    try:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                raise DataError(
                    f"{path}: expected the columns {', '.join(columns)}, found no {', '.join(missing)}; "
                    "correct the description or the file"
                )
            line = 0
            for batch in file.iter_batches(batch_size=1024, columns=list(columns)):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as parquet: {error}; write it again") from error


def text(value: Any) -> str:
    """A cell as text; parquet gives numbers and None."""
    if value is None:
        return ""
    return printable(str(int(value) if isinstance(value, float) and value.is_integer() else value)).strip()


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
    try:
        return number(text(value) if isinstance(value, str) else repr(float(value)))
    except (BadSample, TypeError, ValueError):
        raise BadSample(f"{what}: expected a finite number, found {str(value)[:40]!r}") from None
