"""Whether prepared files are those that were written: the list of shards, their SHA-256, and one hash per split.

Files are compared once per process and file, when a split is opened; loader processes rely on the process that
started them. Shards behind a URL are not compared: that would fetch them whole.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from tqdm import tqdm

from faceptor.errors import DataError
from faceptor.prepared.storage import Folder

SHARD_LIST = "shards.json"
REMEDY = "prepare the data set again (`faceptor preprocess`)"
SHOW_PROGRESS_FROM = 4 << 30  # bytes; fewer are hashed within seconds

Natural = Annotated[int, Field(strict=True, ge=0)]


class ShardFile(BaseModel):
    """One line of `shards.json`: a file, its size and hash, and (offset, length, rows) of its record batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filename: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=100)]  # never a path
    rows: Natural
    bytes: Natural
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    batches: tuple[tuple[Natural, Annotated[int, Field(strict=True, ge=1)], Natural], ...]

    @model_validator(mode="after")
    def _consistent(self):
        end = 0
        for offset, length, _ in self.batches:
            if offset < end or offset + length > self.bytes:
                raise ValueError(f"expected batches one after the other in {self.bytes} bytes, found one at {offset}")
            end = offset + length
        if (rows := sum(rows for _, _, rows in self.batches)) != self.rows:
            raise ValueError(f"expected batches of {self.rows} rows in all, found {rows}")
        return self


_SHARDS = TypeAdapter(Annotated[list[ShardFile], Field(min_length=1)])


def read_shard_list(folder: Folder) -> list[dict]:
    """The checked lines of a folder's `shards.json`; DataError naming the entry that is wrong."""
    try:
        return [shard.model_dump() for shard in _SHARDS.validate_python(folder.read_json(SHARD_LIST))]
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{folder}/{SHARD_LIST}: {place.lstrip('.') or 'the list'}: {text}; {REMEDY}") from None


# --- content --------------------------------------------------------------------------------------------------------

ROW_BYTES = 16  # of a row's hash


def row_hashes(batch: pa.RecordBatch) -> list[bytes]:
    """A hash of every row: the values of all columns, whatever else is in the batch."""
    fixed, variable = [], []
    for column in batch.columns:
        if pa.types.is_primitive(column.type):
            fixed.append(column.to_numpy(zero_copy_only=False))
        else:
            data, ends = _bytes_and_ends(column)
            fixed.append(np.diff(ends))
            variable.append([data[start:end] for start, end in itertools.pairwise(ends.tolist())])
    numbers = np.hstack([np.ascontiguousarray(values)[:, None].view(np.uint8) for values in fixed])
    rows = zip(map(bytes, numbers), *variable, strict=True)
    return [hashlib.sha256(b"".join(cells)).digest()[:ROW_BYTES] for cells in rows]


def _bytes_and_ends(column: pa.Array) -> tuple[memoryview, np.ndarray]:
    """The bytes of texts or lists one after the other, and (rows + 1,) where each begins and the last one ends."""
    if pa.types.is_list(column.type):
        if pa.types.is_string(column.type.value_type):
            return _bytes_and_ends(pc.binary_join(column, "\0"))
        flat = column.flatten().to_numpy(zero_copy_only=False)
        ends = np.asarray(column.offsets).astype(np.int64) - column.offsets[0].as_py()
        return memoryview(flat.tobytes()), ends * flat.itemsize
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return memoryview(data or b"").cast("B"), ends.astype(np.int64)


def content_hash(rows: Iterable[bytes]) -> str:
    """SHA-256 over the hashes of the rows of a split in order: its keys, images and labels in one number."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row)
    return digest.hexdigest()


# --- files ----------------------------------------------------------------------------------------------------------

_known: dict[tuple, str] = {}  # (path, size, time of the last change) -> SHA-256, in this process


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes; of a file that did not change, as it was found before in this process."""
    with open(path, "rb") as handle:
        facts = os.fstat(handle.fileno())
        place = (str(path), facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if place not in _known:
            _known[place] = hashlib.file_digest(handle, "sha256").hexdigest()
    return _known[place]


def check_files(folder: Folder, shards: Iterable[Mapping[str, Any]]) -> None:
    """Compare the files of a folder on this machine with their hashes; DataError names the first that differs."""
    shards = [shard for shard in shards if "sha256" in shard]  # `datasets` writes none
    if folder.remote or not shards:
        return
    total = sum(shard["bytes"] for shard in shards)
    bar = tqdm(total=total, desc=f"check {folder}", unit="B", unit_scale=True, disable=total < SHOW_PROGRESS_FROM)
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing releases Python's lock
        for shard, problem in zip(shards, pool.map(lambda shard: _problem(folder, shard), shards), strict=True):
            if problem:
                pool.shutdown(cancel_futures=True)
                raise DataError(f"{folder}/{shard['filename']}: {problem}; {REMEDY}")
            bar.update(shard["bytes"])


def _problem(folder: Folder, shard: Mapping[str, Any]) -> str:
    path = folder.path / shard["filename"]
    try:
        if not path.is_file():
            return "cannot be read: no such file"
        if (size := path.stat().st_size) != shard["bytes"]:
            return f"expected {shard['bytes']} bytes as {SHARD_LIST} says, found {size}"
        found = file_hash(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found != shard["sha256"]:
        return (
            f"its bytes are not those that were written (SHA-256 {found[:12]}, expected {shard['sha256'][:12]}): "
            "the file is damaged or was changed"
        )
    return ""
