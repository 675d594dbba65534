"""The `.rec` and `.idx` files of the recognition sets, read through a memory map; mxnet is not needed.

A record is one or more parts: magic, a word with 3 bits of part kind and 29 bits of length, that many bytes, zeros up
to a multiple of four. The writer cuts a record wherever its content holds the magic at a multiple of four, so
the magic goes back between the parts. The content starts with `flag, label, id, id2` and `flag` extra labels.
"""

import mmap
import os
import struct
from pathlib import Path

import numpy as np

from faceptor.datasets.formats.textfiles import lines
from faceptor.datasets.values import BadSample
from faceptor.errors import DataError

MAGIC_NUMBER = 0xCED7230A
MAGIC = struct.pack("<I", MAGIC_NUMBER)
MAX_BYTES_AT_ONCE = 1 << 28  # bytes that are read at once at most
LAST_RECORD_BYTES = 1 << 16  # room for the last of many records; a longer one is read alone
WHOLE, FIRST, MIDDLE, LAST = range(4)
HEADER = struct.Struct("<IfQQ")


class RecordFile:
    """Random access to a `.rec` file by the byte offsets of its `.idx`; nothing but the index is held in memory."""

    def __init__(self, rec: Path, idx: Path):
        self.path = rec
        for file in (rec, idx):
            if not file.is_file():
                raise DataError(f"{file}: expected records and their index, found no regular file; copy it again")
        self.keys, self.offsets = read_index(idx)
        self._handle = open(rec, "rb")  # noqa: SIM115 (open as long as the map is)
        if self._handle.seek(0, 2) == 0:
            raise DataError(f"{rec}: expected records, found an empty file; copy it again")
        self._data = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ)

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

    def scan(self, positions: np.ndarray) -> tuple[np.ndarray, list[bytes | None]]:
        """Labels (n,) float32 and payloads of many records, read at once where they lie together.

        None for a record that is not whole, in one part and with a scalar label: `content` and `unpack` know what to
        make of it. Read and not mapped, so that memory does not grow with the file.
        """
        offsets, payloads = self.offsets[positions], [None] * len(positions)
        labels = np.full(len(positions), np.nan, np.float32)
        if len(positions) == 0:
            return labels, payloads
        low, high = int(offsets.min()), int(offsets.max())
        if low < 0 or high >= len(self._data) or high - low > MAX_BYTES_AT_ONCE:
            return labels, payloads
        data = os.pread(self._handle.fileno(), high - low + LAST_RECORD_BYTES, low)
        starts = offsets - low
        rows = np.flatnonzero(starts + 8 + HEADER.size <= len(data))
        heads = np.frombuffer(data, np.uint8)[starts[rows, None] + np.arange(16)].view("<u4")
        magic, word, flag, label = heads.T
        ends = starts[rows] + 8 + (word & 0x1FFFFFFF).astype(np.int64)
        good = (magic == MAGIC_NUMBER) & (word >> 29 == WHOLE) & (flag == 0) & (ends <= len(data))
        good &= ends >= starts[rows] + 8 + HEADER.size
        rows, ends = rows[good], ends[good]
        if (ends - starts[rows]).sum() > 2 * len(data):
            return labels, payloads  # records within records: together they may be any amount of memory
        labels[rows] = np.ascontiguousarray(label[good]).view("<f4")
        for row, start, end in zip(rows.tolist(), starts[rows].tolist(), ends.tolist(), strict=True):
            payloads[row] = data[start + 8 + HEADER.size : end]
        return labels, payloads


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
    table = _quick_index(path)
    table = _careful_index(path) if table is None else table
    if not (table[1:, 0] > table[:-1, 0]).all():
        table = table[np.argsort(table[:, 0], kind="stable")]
        if not (table[1:, 0] > table[:-1, 0]).all():
            raise DataError(f"{path}: expected every key once, found a key twice; copy the file again")
    return table[:, 0].copy(), table[:, 1].copy()


def _quick_index(path: Path) -> np.ndarray | None:
    """(n, 2) int64, or None for a file that needs a closer look."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        found = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=["key", "offset"]),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types={"key": pa.int64(), "offset": pa.int64()}, null_values=[]),
        )
    except (OSError, pa.ArrowInvalid):
        return None
    return np.stack([column.to_numpy() for column in found.columns], axis=1) if found.num_rows else None


def _careful_index(path: Path) -> np.ndarray:
    """The same, line by line, with an error that names the line."""
    rows = []
    for line, text in lines(path):
        try:
            if not text.isascii() or "_" in text:  # Python would take them for digits
                raise ValueError
            key, offset = map(int, text.split("\t"))
            rows.append(np.array([key, offset], np.int64).tobytes())
        except (ValueError, OverflowError):
            raise DataError(
                f"{path}:{line}: expected <key> TAB <byte offset>, found {text[:40]!r}; copy the file again"
            ) from None
    if not rows:
        raise DataError(f"{path}: expected one line per record, found none; copy the file again")
    return np.frombuffer(b"".join(rows), np.int64).reshape(-1, 2)
