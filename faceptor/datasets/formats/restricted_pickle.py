"""The `.bin` verification sets: pickles, read without giving them the power to call anything.

Before a single object is made, the stream of opcodes is scanned: only containers, numbers, text, bytes and numpy
arrays may be built, and no declared size may exceed the file.
"""

import codecs
import io
import math
import pickle
import pickletools
import re
from pathlib import Path

import numpy as np

from faceptor.errors import DataError
from faceptor.io.words import one_line

MAX_BYTES = 1 << 30  # bytes of a file, and of all its images together; the largest published one has 170 million
_KIND = re.compile(r"[<>|=]?[biufSU]\d{0,4}|bool|u?int\d\d?|float\d\d")  # of arrays of flags, numbers and text


class _Kind:
    """Stands in for `numpy.dtype`: takes the names of plain types only, and of its state the byte order."""

    def __init__(self, text: str | bytes, *_flags: object):
        text = text.decode("latin1") if isinstance(text, bytes) else text
        if not isinstance(text, str) or not _KIND.fullmatch(text):
            raise DataError(f"pickle holds an array of type {text!r}, refused")
        self.kind = np.dtype(text)

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        self.kind = self.kind.newbyteorder(order if order in ("<", ">", "=", "|") else "<")


class _Array(np.ndarray):
    """An array that takes its state only when as many bytes are there as its shape says."""

    def __setstate__(self, state: tuple) -> None:
        version, shape, kind, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        _check_shape(shape, kind, data)
        super().__setstate__((version, shape, kind.kind, bool(fortran), bytes(data)))


def _check_shape(shape: object, kind: object, data: object) -> None:
    if not (isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape) and len(shape) <= 8):
        raise DataError("pickle holds an array of no shape, refused")
    if not (isinstance(kind, _Kind) and isinstance(data, bytes | bytearray)):
        raise DataError("pickle holds an array of something else than numbers, refused")
    if math.prod(shape) * kind.kind.itemsize != len(data):
        raise DataError(f"pickle holds an array of shape {shape} in {len(data)} bytes, refused")


def _empty_array(_kind: object, _shape: object, _type: object) -> np.ndarray:
    """Stands in for numpy's `_reconstruct`, which would take memory for any shape it is told; BUILD then fills it."""
    return np.ndarray.__new__(_Array, (0,), "b")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    return codecs.encode(text, "latin1")


class _ArrayType:
    """Stands in for the name `numpy.ndarray`, which is only handed to `_reconstruct`."""


def _scalar(kind: _Kind, data: bytes) -> object:
    return np.frombuffer(data, kind.kind, count=1)[0]


def _from_buffer(data: bytes, kind: _Kind, shape: tuple, order: str = "C") -> np.ndarray:
    _check_shape(shape, kind, data)
    return np.frombuffer(data, kind.kind).reshape(shape, order=order)


_NUMPY_CORES = ("numpy.core", "numpy._core")
ALLOWED = {
    ("_codecs", "encode"): _latin1,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Kind,
    **{(f"{core}.multiarray", "_reconstruct"): _empty_array for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY_CORES},
}
FLAGS = (bool, int, float, np.bool_, np.number)
_FORBIDDEN = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "NEXT_BUFFER"}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise DataError(f"pickle wants to import {module}.{name}, refused")
        return ALLOWED[module, name]


def _scan(data: bytes) -> None:
    """Refuse what no verification set needs, before anything is built."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):  # itself refuses sizes beyond the end
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ", 1)
            _Unpickler(io.BytesIO()).find_class(module, name)
        elif opcode.name in _FORBIDDEN:
            raise DataError(f"pickle uses {opcode.name}, refused")
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > count:
            raise DataError(f"pickle numbers an object {argument}, more than it has")


def load_pickle(path: Path) -> object:
    """Object of lists, tuples, bytes, text, numbers and numpy arrays; DataError for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise DataError(f"expected a regular file of at most {MAX_BYTES} bytes")
        data = path.read_bytes()
        _scan(data)
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path}: {error}; do not use this file, fetch it again from its owner") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged stream can fail in any way
        found = f"damaged data ({one_line(error)})"
        raise DataError(f"{path}: expected a pickled verification set, found {found}") from error


def load_verification(path: Path) -> tuple[list[bytes], list[bool]]:
    """(encoded images, same-person flags): pair i is images 2i and 2i + 1. DataError unless the lengths agree.

    An image that is not bytes or a uint8 array becomes empty bytes, for the caller to reject with its pair.
    """
    content = load_pickle(path)
    if not (isinstance(content, tuple | list) and len(content) == 2):
        raise DataError(f"{path}: expected (images, same-person flags), found {type(content).__name__}")
    images, same = content
    if not (isinstance(images, tuple | list) and isinstance(same, tuple | list | np.ndarray)):
        raise DataError(f"{path}: expected two lists, found {type(images).__name__} and {type(same).__name__}")
    if len(images) != 2 * len(same):
        raise DataError(f"{path}: expected two images per flag, found {len(images)} images and {len(same)} flags")
    if not all(isinstance(flag, FLAGS) and flag in (0, 1) for flag in same):
        raise DataError(f"{path}: expected flags true or false, found another value")
    if sum(np.size(image) if isinstance(image, np.ndarray) else _length(image) for image in images) > MAX_BYTES:
        raise DataError(f"{path}: expected images of at most {MAX_BYTES} bytes together, found one many times")
    return [_encoded(image) for image in images], [bool(flag) for flag in same]


def _length(image: object) -> int:
    return len(image) if isinstance(image, bytes | bytearray) else 0


def _encoded(image: object) -> bytes:
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size == max(image.shape, default=0):
        return image.tobytes()
    return bytes(image) if isinstance(image, bytes | bytearray) else b""
