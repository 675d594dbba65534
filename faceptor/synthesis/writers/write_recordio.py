"""Byte formats of the recognition sets: RecordIO files and pickled verification pairs."""

import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.recordio import MAGIC_NUMBER


def pack(payload: bytes, *, key: int, label: float | Sequence[float]) -> bytes:
    """Record content: header (flag, label, id, id2), extra labels if there are several, then the payload.

    `flag` is 0 for a single label, which then stands in the header, else the number of float32 labels that follow it.
    """
    if isinstance(label, Sequence):
        return struct.pack(f"<IfQQ{len(label)}f", len(label), 0.0, key, 0, *label) + payload
    return struct.pack("<IfQQ", 0, label, key, 0) + payload


def frame(content: bytes) -> bytes:
    """Content as it stands in a `.rec` file: magic, flag and length, content, zeros up to a multiple of four.

    A reader looks for the magic number at every fourth byte, so content that holds it there is cut in parts at those
    places (flags 1, 2, 3 = first, middle, last) and the four bytes themselves are left out.
    """
    words = np.frombuffer(content, "<u4", count=len(content) // 4)
    cuts = 4 * np.flatnonzero(words == MAGIC_NUMBER)
    parts = [content[first:last] for first, last in zip([0, *cuts + 4], [*cuts, len(content)], strict=True)]
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        struct.pack("<II", MAGIC_NUMBER, flag << 29 | len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )


@contextmanager
def record_writer(stem: Path) -> Iterator[Callable[[int, bytes, float | Sequence[float]], None]]:
    """A function that appends a record to `<stem>.rec`, and its key and byte offset to `<stem>.idx`."""
    with stem.with_suffix(".rec").open("wb") as rec, stem.with_suffix(".idx").open("w", newline="\n") as idx:

        def add(key: int, payload: bytes, label: float | Sequence[float]) -> None:
            idx.write(f"{key}\t{rec.tell()}\n")
            rec.write(frame(pack(payload, key=key, label=label)))

        yield add


class _Python2Pickler(pickle._Pickler):
    """Writes bytes the way Python 2 wrote its `str`: plain opcodes, no call of `_codecs.encode`."""

    def _save_str(self, data: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: _save_str}


def dump_bin(path: Path, images: Sequence[bytes], same: Sequence[bool]) -> None:
    """A verification set: the pickled tuple (encoded images, same-person flags); pair i is images 2i and 2i + 1."""
    with path.open("wb") as file:
        _Python2Pickler(file, protocol=2).dump((list(images), [bool(flag) for flag in same]))
