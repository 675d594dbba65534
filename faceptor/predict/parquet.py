"""Results as parquet: parts while a run goes on, each a file that can be read, and one file at its end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from faceptor.io.writing import whole_file
from faceptor.predict.stream import key_of_answer
from faceptor.predict.table import ABOUT, AFTER, Column, rows

PART_ROWS, PART_SECONDS = 1000, 60.0  # a part is written once it has so many rows, or is so old
GROUP_ROWS = 10_000  # of a row group of the whole file
TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
MERGED = b"faceptor.parts"  # how many parts the whole file holds


class Parquet:
    """A row for each face, one for what has none; lists of numbers (landmarks, embeddings) are lists."""

    def __init__(self, path: Path, lock: IO[bytes], columns: Sequence[Column]):
        self.path, self.lock, self.columns, self.answered = path, lock, columns, set()
        self.parts = path.with_name(f"{path.name}.parts")
        self.waiting: list[dict[str, Any]] = []
        self.since = time.monotonic()
        types = {name: TYPES[kind] for name, kind in ABOUT.items()}
        for column in columns:
            kind = TYPES[column.kind]
            types[column.heading] = kind if column.names is None else pa.list_(kind)
        self.schema = pa.schema(types | {name: TYPES[kind] for name, kind in AFTER.items()})
        self.number = self.merged = self._merged()
        for part in self._part_files():  # what a killed run had merged, and not removed yet
            if int(part.stem) < self.merged:
                part.unlink()
            self.number = max(self.number, int(part.stem) + 1)
        for file in self._files():
            self._note(file)

    def _merged(self) -> int:
        if not self.path.exists():
            return 0
        return int((pq.read_schema(self.path).metadata or {}).get(MERGED, b"0"))

    def _part_files(self) -> list[Path]:
        return sorted(self.parts.glob("[0-9]*.parquet"))

    def _files(self) -> list[Path]:
        return [*([self.path] if self.path.exists() else []), *self._part_files()]

    def _note(self, file: Path) -> None:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(columns=["file", "sha256", "frame", "error"]):
                for row in batch.to_pylist():
                    self.answered.add(key_of_answer(row["file"], row["frame"], row["sha256"] or row["error"] or ""))

    def write(self, record: Mapping[str, Any]) -> None:
        self.waiting += rows(record, self.columns)
        if len(self.waiting) >= PART_ROWS or time.monotonic() - self.since > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """What is waiting becomes a part."""
        self.since = time.monotonic()
        if not self.waiting:
            return
        self.parts.mkdir(exist_ok=True)
        with whole_file(self.parts / f"{self.number:06d}.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(self.waiting, schema=self.schema), partial)
        self.waiting, self.number = [], self.number + 1

    def close(self, *, whole: bool) -> None:
        try:
            self.flush()
            if whole and (self._part_files() or not self.path.exists()):
                self._merge()
        finally:
            self.lock.close()

    def _merge(self) -> None:
        """All parts into one file, a row group at a time; the parts go."""
        schema = self.schema.with_metadata({MERGED: str(self.number).encode()})
        with whole_file(self.path) as partial, pq.ParquetWriter(partial, schema) as writer:
            waiting = self.schema.empty_table()
            for file in self._files():
                with pq.ParquetFile(file) as opened:
                    for batch in opened.iter_batches(batch_size=GROUP_ROWS):
                        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
                        if waiting.num_rows >= GROUP_ROWS:
                            writer.write_table(waiting.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
                            waiting = waiting.slice(GROUP_ROWS)
            if waiting.num_rows:
                writer.write_table(waiting, row_group_size=GROUP_ROWS)
        shutil.rmtree(self.parts, ignore_errors=True)
