"""The splits of a prepared data set as text: `splits/<part>.txt`, the keys in order of their bytes, one per line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

LINES_AT_A_TIME = 100_000  # written at once


def write_split(path: Path, keys: pa.ChunkedArray) -> str:
    """Write the list and return its SHA-256: equal for equal splits, whatever the order they were read in."""
    keys = keys.take(pc.sort_indices(keys))
    digest = hashlib.sha256()
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as handle:
        for start in range(0, len(keys), LINES_AT_A_TIME):
            text = "".join(f"{key}\n" for key in keys.slice(start, LINES_AT_A_TIME).to_pylist()).encode()
            digest.update(text)
            handle.write(text)
    return digest.hexdigest()


def shared(some: pa.ChunkedArray, others: pa.ChunkedArray) -> int:
    """How many keys are in both."""
    return pc.sum(pc.is_in(some, value_set=others)).as_py() or 0
