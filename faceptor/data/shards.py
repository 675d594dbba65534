"""Prepared samples on disk: Arrow shards in the folder form of Hugging Face `datasets`, the same bytes every time.

The files are written and read with pyarrow alone, so nothing is kept in a cache outside the folder, and
`datasets.load_from_disk(folder / split)` opens them too.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from faceptor.errors import DataError

SHARD_BYTES = 256 << 20
BATCH_BYTES = 8 << 20  # a record batch is the unit that a reader pages in
BATCH_ROWS = 512

TEXT, TEXTS, BINARY = pa.string(), pa.list_(pa.string()), pa.binary()
FLOATS, INT8S = pa.list_(pa.float32()), pa.list_(pa.int8())
SAMPLE_TYPES: dict[str, pa.DataType] = {
    "key": TEXT,
    "group": TEXT,
    "subsets": TEXTS,
    "image": BINARY,  # as published
    "height": pa.int32(),  # size of the frame that all labels are in
    "width": pa.int32(),
    "landmarks": FLOATS,
    "box": FLOATS,
    "points5": FLOATS,
    "mask": BINARY,  # PNG
    "age": pa.float32(),
    "expression": pa.int8(),
    "attributes": INT8S,
    "identity": pa.int32(),
}
FACTS = ("key", "group", "subsets", "image", "height", "width")
VERIFICATION_TYPES: dict[str, pa.DataType] = {"image": BINARY, "pair": pa.int32(), "same": pa.bool_()}


def _feature(kind: pa.DataType) -> dict:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": "float32" if kind == pa.float32() else str(kind), "_type": "Value"}


class ShardWriter:
    """Appends rows to `folder/data-*.arrow`; used as a context, which completes the folder on success."""

    def __init__(self, folder: Path, types: Mapping[str, pa.DataType]):
        folder.mkdir(parents=True)
        features = {name: _feature(kind) for name, kind in types.items()}
        self.folder, self.features, self.rows = folder, features, 0
        self._schema = pa.schema(list(types.items()), {"huggingface": json.dumps({"info": {"features": features}})})
        self._pending: list[dict] = []
        self._pending_bytes = self._shard_bytes = 0
        self._shards: list[Path] = []
        self._writer: pa.RecordBatchStreamWriter | None = None

    def add(self, row: Mapping[str, object]) -> None:
        self._pending.append(dict(row))
        self._pending_bytes += sum(len(value) for value in row.values() if isinstance(value, bytes))
        self.rows += 1
        if self._pending_bytes >= BATCH_BYTES or len(self._pending) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._shards.append(self.folder / f"part-{len(self._shards):05d}.arrow")
            self._writer = pa.ipc.new_stream(str(self._shards[-1]), self._schema)
        if self._pending:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._pending, schema=self._schema))
        self._shard_bytes += self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self._shard_bytes >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        self._writer.close()
        self._writer, self._shard_bytes = None, 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None and (self._pending or not self._shards):
            self._flush()
        if self._writer is not None:
            self._close_shard()
        if kind is None:
            self._complete()

    def _complete(self) -> None:
        names, digest = [], hashlib.sha256()
        for number, part in enumerate(self._shards):
            names.append(f"data-{number:05d}-of-{len(self._shards):05d}.arrow")
            with open(part, "rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
            part.rename(self.folder / names[-1])
        state = {
            "_data_files": [{"filename": name} for name in names],
            "_fingerprint": digest.hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        info = {"citation": "", "description": "", "features": self.features, "homepage": "", "license": ""}
        write_json(self.folder / "state.json", state)
        write_json(self.folder / "dataset_info.json", info)


class Shards:
    """Rows of a folder of shards, memory-mapped: an access touches one record batch only."""

    def __init__(self, folder: Path):
        self.folder = folder
        files = [entry["filename"] for entry in read_json(folder / "state.json")["_data_files"]]
        self._batches: list[pa.RecordBatch] = []
        for file in files:
            try:
                with pa.memory_map(str(folder / file)) as source:
                    stream = pa.ipc.open_stream(source)
                    self.columns = tuple(stream.schema.names)
                    self._batches += stream
            except (OSError, pa.ArrowInvalid) as error:
                raise DataError(f"{folder / file}: cannot be read ({error}); prepare the data set again") from error
        self._starts = [0]
        for batch in self._batches:
            self._starts.append(self._starts[-1] + batch.num_rows)

    def __len__(self) -> int:
        return self._starts[-1]

    def scalar(self, row: int, column: str) -> pa.Scalar:
        """One value, without copying it."""
        batch = bisect.bisect_right(self._starts, row) - 1
        return self._batches[batch].column(column)[row - self._starts[batch]]

    def column(self, name: str) -> pa.ChunkedArray:
        return pa.chunked_array([batch.column(name) for batch in self._batches])


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); prepare the data set again") from error
