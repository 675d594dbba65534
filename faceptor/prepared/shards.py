"""Prepared samples on disk: Arrow shards in the folder form of Hugging Face `datasets`, the same bytes every time.

The files are written and read with pyarrow alone, so nothing is kept in a cache outside the folder, and
`datasets.load_from_disk(folder / split)` opens them too. `shards.json` beside them says where each record batch lies,
so that a reader fetches one batch, not a file, and holds the SHA-256 of every shard.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from faceptor.datasets.columns import COLUMNS, Column
from faceptor.errors import DataError
from faceptor.prepared.integrity import REMEDY, SHARD_LIST, check_files, read_shard_list, row_hashes
from faceptor.prepared.storage import Folder

SHARD_BYTES = 256 << 20
BATCH_BYTES = 8 << 20  # a record batch is the unit that a reader pages in
BATCH_ROWS = 512
MAX_OPEN_BATCHES = 4096  # kept decoded by a reader; a view costs a few kB where the file is mapped
MAX_FETCHED_BATCHES = 32  # kept by a reader of shards elsewhere, where a batch costs its bytes
FINGERPRINT_CHARACTERS = 16  # characters of the hash of a split's content that state.json has
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream


def arrow_type(column: Column) -> pa.DataType:
    """How a label is stored: a class map as PNG, everything else as a number or a flat list of numbers."""
    if column.picture:
        return pa.binary()
    number = pa.from_numpy_dtype(column.dtype)
    return pa.list_(number) if column.shape else number


FACT_TYPES: dict[str, pa.DataType] = {
    "key": pa.string(),
    "group": pa.string(),
    "subsets": pa.list_(pa.string()),
    "image": pa.binary(),  # as published
    "height": pa.int32(),  # size of the frame that all labels are in
    "width": pa.int32(),
}
FACTS = tuple(FACT_TYPES)
SAMPLE_TYPES = FACT_TYPES | {name: arrow_type(column) for name, column in COLUMNS.items()}
VERIFICATION_TYPES: dict[str, pa.DataType] = {"image": pa.binary(), "pair": pa.int32(), "same": pa.bool_()}


def _feature(kind: pa.DataType) -> dict:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": "float32" if kind == pa.float32() else str(kind), "_type": "Value"}


def features(types: Mapping[str, pa.DataType]) -> dict:
    return {name: _feature(kind) for name, kind in types.items()}


def schema(types: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema(list(types.items()), {"huggingface": json.dumps({"info": {"features": features(types)}})})


class ShardWriter:
    """Appends rows to one file; `close` returns its line of `shards.json`."""

    def __init__(self, path: Path, types: Mapping[str, pa.DataType]):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._schema = schema(types)
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close` or `abandon`)
        self._digest, self._written = hashlib.sha256(), 0
        self._pending: list[dict] = []
        self._pending_bytes = 0
        self._batches: list[tuple[int, int, int]] = []
        self.row_hashes: list[bytes] = []  # of the rows that were written
        self._write(self._schema.serialize())

    def add(self, row: Mapping[str, object]) -> None:
        self._pending.append(dict(row))
        self._pending_bytes += sum(len(value) for value in row.values() if isinstance(value, bytes))
        if self._pending_bytes >= BATCH_BYTES or len(self._pending) >= BATCH_ROWS:
            self._flush()

    def add_columns(self, columns: Mapping[str, pa.Array]) -> None:
        """Many rows at once: one array per column."""
        rows = pa.RecordBatch.from_arrays([columns[name] for name in self._schema.names], schema=self._schema)
        self._flush()
        for start in range(0, rows.num_rows, BATCH_ROWS):
            self._write_batch(rows.slice(start, BATCH_ROWS))

    def _flush(self) -> None:
        if self._pending:
            self._write_batch(pa.RecordBatch.from_pylist(self._pending, schema=self._schema))
            self._pending, self._pending_bytes = [], 0

    def _write_batch(self, batch: pa.RecordBatch) -> None:
        message = batch.serialize()
        self._batches.append((self._written, len(message), batch.num_rows))
        self.row_hashes += row_hashes(batch)
        self._write(message)

    def _write(self, data: pa.Buffer | bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._written += len(data)

    def close(self) -> dict:
        self._flush()
        self._write(END_OF_STREAM)
        self._file.flush()
        os.fsync(self._file.fileno())  # a shard that the journal calls finished must survive the machine
        self._file.close()
        facts = {"filename": self.path.name, "rows": len(self.row_hashes), "bytes": self._written}
        return facts | {"sha256": self._digest.hexdigest(), "batches": [list(batch) for batch in self._batches]}

    def abandon(self) -> None:
        self._file.close()


def shard_name(number: int) -> str:
    return f"data-{number:05d}.arrow"


def complete(folder: Path, types: Mapping[str, pa.DataType], shards: Sequence[dict], content: str) -> None:
    """Write what a reader needs to open the finished shards of a folder. content: the hash of their rows."""
    if not shards:  # a split without a sample is a folder with one empty shard
        shards = [ShardWriter(folder / shard_name(0), types).close()]
    state = {
        "_data_files": [{"filename": entry["filename"]} for entry in shards],
        "_fingerprint": content[:FINGERPRINT_CHARACTERS],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info = {"citation": "", "description": "", "features": features(types), "homepage": "", "license": ""}
    write_json(folder / "state.json", state)
    write_json(folder / "dataset_info.json", info)
    (folder / SHARD_LIST).write_text(json.dumps(list(shards)) + "\n", encoding="utf-8")


class Shards:
    """Rows of a folder of shards, here or behind a URL: an access touches one record batch only.

    check: compare the files with their hashes (see `faceptor.prepared.integrity`).
    """

    def __init__(self, folder: Path | str | Folder, *, check: bool = True):
        self.folder = folder if isinstance(folder, Folder) else Folder(folder)
        files = files_of(self.folder)
        if check:
            check_files(self.folder, files)
        # of every batch: its file, and offset, length and rows there
        self._places = [(number, *batch) for number, file in enumerate(files) for batch in file["batches"]]
        self._starts = [0, *accumulate(rows for *_, rows in self._places)]
        self._names = [file["filename"] for file in files]
        self._slices = [self.folder.open(name) for name in self._names]
        head = files[0]["batches"][0][0] if files[0]["batches"] else files[0]["bytes"] - len(END_OF_STREAM)
        self._schema = self._decoded(0, 0, head, pa.ipc.read_schema)
        self.columns = tuple(self._schema.names)
        kept = MAX_FETCHED_BATCHES if self.folder.remote else MAX_OPEN_BATCHES
        self._batch = lru_cache(kept)(self._open_batch)

    def __len__(self) -> int:
        return self._starts[-1]

    def _open_batch(self, number: int) -> dict[str, pa.Array]:
        file, offset, length, rows = self._places[number]
        batch = self._decoded(file, offset, length, partial(pa.ipc.read_record_batch, schema=self._schema))
        if batch.num_rows != rows:
            name = f"{self.folder}/{self._names[file]}"
            raise DataError(f"{name}: expected {rows} rows at byte {offset}, found {batch.num_rows}; {REMEDY}")
        return dict(zip(self.columns, batch.columns, strict=True))

    def _decoded(self, file: int, offset: int, length: int, decode: Callable):
        try:
            return decode(self._slices[file](offset, length))
        except (OSError, ValueError, IndexError) as error:
            name = f"{self.folder}/{self._names[file]}"
            raise DataError(f"{name}: cannot be read ({error}); {REMEDY}") from error

    def row(self, row: int) -> tuple[dict[str, pa.Array], int]:
        """The columns of the batch that holds a row, and the row's place in them."""
        number = bisect.bisect_right(self._starts, row) - 1
        return self._batch(number), row - self._starts[number]

    def scalar(self, row: int, column: str) -> pa.Scalar:
        """One value, without copying it."""
        columns, place = self.row(row)
        return columns[column][place]

    def column(self, name: str) -> pa.ChunkedArray:
        chunks = [self._batch(number)[name] for number in range(len(self._places))]
        return pa.chunked_array(chunks, self._schema.field(name).type)


def files_of(folder: Folder) -> list[dict]:
    """Name, size and batches of every shard of a folder, in order."""
    if folder.exists(SHARD_LIST):
        return read_shard_list(folder)
    try:  # written by `datasets`
        names = [entry["filename"] for entry in folder.read_json("state.json")["_data_files"]]
        return [_scan(folder, Path(name).name) for name in names]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder}/state.json: expected a list of data files, found none; {REMEDY}") from error


def _scan(folder: Folder, name: str) -> dict:
    """Places of the batches of an Arrow stream that `shards.json` does not list."""
    try:
        with pa.memory_map(str(folder.path / name)) as source:
            stream = pa.ipc.open_stream(source)
            batches, at = [], source.tell()
            for batch in stream:
                batches.append((at, source.tell() - at, batch.num_rows))
                at = source.tell()
            return {"filename": name, "batches": batches, "bytes": source.size()}
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{folder}/{name}: cannot be read ({error}); {REMEDY}") from error


def write_json(path: Path, content: object) -> None:
    """In place, unlike `faceptor.io.files.write_json`: it is the folder that appears whole, and with no other file."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
