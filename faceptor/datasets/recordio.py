"""The `.rec` and `.idx` files of the recognition sets, read through a memory map; mxnet is not needed.

A record is one or more parts: magic, a word with 3 bits of part kind and 29 bits of length, that many bytes, zeros up
to a multiple of four. The writer cuts a record wherever its content holds the magic at a multiple of four, so
the magic goes back between the parts. The content starts with `flag, label, id, id2` and `flag` extra labels.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np

from faceptor.datasets.base import BadSample
from faceptor.datasets.textfiles import lines
from faceptor.errors import DataError

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST, MIDDLE, LAST = range(4)
HEADER = struct.Struct("<IfQQ")


class RecordFile:
    """Random access to a `.rec` file by the byte offsets of its `.idx`; nothing but the index is held in memory."""

    def __init__(self, rec: Path, idx: Path):
        self.path = rec
        self.keys, self.offsets = read_index(idx)
        with open(rec, "rb") as handle:
            if handle.seek(0, 2) == 0:
                raise DataError(f"{rec}: expected records, found an empty file; copy it again")
            self._data = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.keys)

    def content(self, position: int) -> bytes:
        """Content of the record at a position of the index, its parts joined; BadSample when the bytes are wrong."""
        parts, at, expected = [], int(self.offsets[position]), (WHOLE, FIRST)
        while True:
            if at < 0 or at + 8 > len(self._data):
                raise BadSample(f"record at byte {at}: beyond the end of {self.path.name} ({len(self._data)} bytes)")
            if self._data[at : at + 4] != MAGIC:
                raise BadSample(f"record at byte {at}: expected the magic number of a record, found other bytes")
            (word,) = struct.unpack("<I", self._data[at + 4 : at + 8])
            kind, length = word >> 29, word & 0x1FFFFFFF
            if kind not in expected:
                raise BadSample(f"record at byte {at}: part kind {kind} where {expected} was expected")
            if at + 8 + length > len(self._data):
                raise BadSample(f"record at byte {at}: declares {length} bytes, more than {self.path.name} holds")
            parts.append(self._data[at + 8 : at + 8 + length])
            if kind in (WHOLE, LAST):
                return MAGIC.join(parts)
            expected = (MIDDLE, LAST)
            at += 8 + length + -length % 4


def unpack(content: bytes) -> tuple[list[float], int, bytes]:
    """(labels, flag, payload) of a record's content; a scalar label is a list of one, with flag 0."""
    if len(content) < HEADER.size:
        raise BadSample(f"expected a header of {HEADER.size} bytes, found {len(content)}")
    flag, label, _, _ = HEADER.unpack_from(content)
    if flag == 0:
        return [label], 0, content[HEADER.size :]
    end = HEADER.size + 4 * flag
    if end > len(content):
        raise BadSample(f"the header declares {flag} labels, more than the record holds")
    return list(struct.unpack_from(f"<{flag}f", content, HEADER.size)), flag, content[end:]


def read_index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(keys, byte offsets) of an `.idx` file, int64, sorted by key."""
    rows = []
    for line, text in lines(path):
        try:
            key, offset = map(int, text.split("\t"))
            rows.append(np.array([key, offset], np.int64).tobytes())
        except (ValueError, OverflowError):
            raise DataError(
                f"{path}:{line}: expected <key> TAB <byte offset>, found {text[:40]!r}; copy the file again"
            ) from None
    if not rows:
        raise DataError(f"{path}: expected one line per record, found none; copy the file again")
    table = np.frombuffer(b"".join(rows), np.int64).reshape(-1, 2)
    table = table[np.argsort(table[:, 0], kind="stable")]
    if len(np.unique(table[:, 0])) != len(table):
        raise DataError(f"{path}: expected every key once, found a key twice; copy the file again")
    return table[:, 0].copy(), table[:, 1].copy()
