"""A look through a version 5 .mat file before scipy reads it: no variable may be larger than what is there.

The file is a row of elements, each a kind, a size in bytes, and content; a variable is an element of elements, which
may be deflated. Its dimensions are written apart from its values, so a short file can ask for any amount of memory.
"""

import itertools
import math
import struct
import zlib
from collections.abc import Iterator

from faceptor.errors import DataError

MAX_VARIABLE_BYTES = 128 << 20  # bytes of one variable once unpacked; the largest published one has 8 million
MAX_CELL_DEPTH = 8  # cells within cells
MATRIX, DEFLATED = 14, 15  # kinds of elements
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)  # classes of matrices
Element = tuple[int, int, int]  # kind, first byte of the content, byte after it


def variables(data: bytes, names: tuple[str, ...]) -> list[str]:
    """Those of the variables `names` that the file holds; DataError where one declares more than it has."""
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise DataError("expected a Matlab file of version 5 or 7.3, found another kind of file")
    order = "<" if data[126:128] == b"IM" else ">"
    found = []
    for kind, start, stop in _elements(data, 128, len(data), order, aligned=False):
        content = _inflated(data[start:stop], 4096) if kind == DEFLATED else data[start - 8 : stop]
        if (name := _name(content, order)) not in names:
            continue
        if kind == DEFLATED:
            content = _inflated(data[start:stop], MAX_VARIABLE_BYTES + 1)
        if len(content) > MAX_VARIABLE_BYTES:
            raise DataError(f"{name}: unpacks to more than {MAX_VARIABLE_BYTES} bytes")
        for inner, first, last in _elements(content, 0, len(content), order):
            if inner == MATRIX:
                _check(content, first, last, order, name, 0)
        found.append(name)
    return found


def _inflated(data: bytes, most: int) -> bytes:
    return zlib.decompressobj().decompress(data, most)


def _elements(data: bytes, at: int, end: int, order: str, *, aligned: bool = True) -> Iterator[Element]:
    while at + 8 <= end:
        word, size = struct.unpack_from(f"{order}II", data, at)
        if word >> 16:  # up to four bytes in the element's own head
            kind, size, start = word & 0xFFFF, word >> 16, at + 4
            after = at + 8
        else:
            kind, start = word, at + 8
            after = start + size + (-size % 8 if aligned else 0)
        if start + size > end:
            raise DataError(f"an element declares {size} bytes, more than the {end - start} that follow")
        yield kind, start, start + size
        at = after


def _name(content: bytes, order: str) -> str:
    """Name of the variable whose element begins with these bytes: its third part, after flags and dimensions."""
    parts = list(itertools.islice(_elements(content, 8, len(content), order), 3))
    return content[parts[2][1] : parts[2][2]].decode("latin-1") if len(parts) == 3 else ""


def _class_and_sides(content: bytes, head: list[Element], order: str, name: str) -> tuple[int, tuple[int, ...]]:
    """The class and the dimensions that a matrix declares in its first three parts: flags, dimensions, name."""
    if len(head) < 3 or head[0][2] - head[0][1] != 8:
        raise DataError(f"{name}: expected flags, dimensions and a name, found something else")
    kind = struct.unpack_from(f"{order}I", content, head[0][1])[0] & 0xFF
    _, start, stop = head[1]
    return kind, struct.unpack_from(f"{order}{(stop - start) // 4}i", content, start)


def _check(content: bytes, first: int, last: int, order: str, name: str, depth: int) -> None:
    """DataError where a matrix, or one inside it, has more elements than bytes, or is of a class that no set needs."""
    if first == last:
        return  # an empty matrix may leave out everything
    parts = _elements(content, first, last, order)
    kind, sides = _class_and_sides(content, list(itertools.islice(parts, 3)), order, name)
    if min(sides, default=-1) < 0 or math.prod(sides) > (last - first) // (8 if kind in (CELL, STRUCT) else 1):
        raise DataError(f"{name}: declares {' x '.join(map(str, sides))} elements, more than the file can hold")
    if kind not in (CELL, STRUCT, CHAR, *NUMBERS):
        raise DataError(f"{name}: expected numbers, text, cells or structs, found class {kind}")
    if kind in (CELL, STRUCT):
        if depth == MAX_CELL_DEPTH:
            raise DataError(f"{name}: cells within cells, more than {MAX_CELL_DEPTH} deep")
        for inner, begin, end in parts:
            if inner == MATRIX:
                _check(content, begin, end, order, name, depth + 1)
