"""Damage inside Matlab, HDF5, npy, RecordIO and pickle files that keeps the rest of the file whole."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import h5py
import numpy as np
import scipy.io

from tests.hostile import bombs
from tests.hostile.targets import with_suffix
from tests.hostile.tree import Tree

HDF5 = b"\x89HDF"
BAD_VALUES = (np.nan, np.inf, -np.inf, 1e308, -1.0, 0.5, 5000.0, 2.0**31, -(2.0**63), 1e6 + 1)


# --- Matlab ---------------------------------------------------------------------------------------------------------


def _label_array(tree: Tree, rng: np.random.Generator) -> str | None:
    """One variable of a .mat file has another value, shape, type or name."""
    if (path := with_suffix(".mat")(tree, rng)) is None:
        return None
    data = tree.read(path)
    if HDF5 in (data[:4], data[512:516]):
        return _hdf5_array(tree, path, data, rng)
    content = {key: value for key, value in scipy.io.loadmat(io.BytesIO(data)).items() if not key.startswith("__")}
    name = list(content)[rng.integers(len(content))]
    value = content[name]
    edits = _CELLS if value.dtype == object else _ARRAYS
    how = list(edits)[rng.integers(len(edits))]
    if how == "removed":
        del content[name]
    else:
        content[name] = edits[how](value.copy(), rng)
    tree.write(path, bombs.mat5(content))
    _note(tree, how)
    return f"{path}: {name}: {how}"


def _note(tree: Tree, how: str) -> None:
    """One value or cell is another: that can concern two samples at most (who had it, and who has it now)."""
    if how.startswith("another"):
        tree.touches[-1] = tree.touches[-1]._replace(few=2)


def _set(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    value = value.astype(np.float64) if value.dtype.kind in "biuf" else value
    if value.dtype.kind == "f" and value.size:
        value.flat[rng.integers(value.size)] = BAD_VALUES[rng.integers(len(BAD_VALUES))]
    return value


def _cell_names(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    names = ("../../outside/face.jpg", "/etc/passwd", "a" * 300, "", "é.jpg", "a\0b", "..", "x/../../y", ".jpg")
    value.flat[rng.integers(value.size)] = names[rng.integers(len(names))]
    return value


def _cell_kind(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kinds = (np.zeros((2, 2)), np.array([["a", "bc"]]), {"field": 1.0}, np.float64(3))
    value.flat[rng.integers(value.size)] = kinds[rng.integers(len(kinds))]
    return value


_ARRAYS: dict[str, Callable] = {
    "another value": _set,
    "another value, too": _set,
    "without a row": lambda value, rng: value[1:],
    "without a column": lambda value, rng: value[:, 1:],
    "a row more": lambda value, rng: np.concatenate([value, value[:1]]),
    "transposed": lambda value, rng: value.T,
    "text": lambda value, rng: np.array(["text"]),
    "cells": lambda value, rng: np.array([value, "text"], object),
    "complex": lambda value, rng: value * 1j if value.dtype.kind in "biuf" else value,
    "a struct": lambda value, rng: {"field": value},
    "empty": lambda value, rng: np.zeros((0, 0)),
    "three axes": lambda value, rng: value[..., None].repeat(2, axis=-1),
    "thousands": lambda value, rng: np.zeros((1, 5000)),
    "removed": lambda value, rng: value,
}
_CELLS: dict[str, Callable] = {
    "another name": _cell_names,
    "another name, too": _cell_names,
    "another kind": _cell_kind,
    "without an element": lambda value, rng: value.ravel()[1:],
    "an element twice": lambda value, rng: np.concatenate([value.ravel()[:1], value.ravel()]),
    "numbers": lambda value, rng: np.zeros((3, 3)),
    "text": lambda value, rng: np.array(["text"]),
    "removed": lambda value, rng: value,
}


def _hdf5_array(tree: Tree, path: str, data: bytes, rng: np.random.Generator) -> str:
    place = tree.root / path
    tree.write(path, data)  # a file of its own, which may be written into
    with h5py.File(place, "r+") as file:
        name = [key for key in file if not key.startswith("#")][rng.integers(len(file) - ("#refs#" in file))]
        how = list(_HDF5)[rng.integers(len(_HDF5))]
        if not isinstance(file[name], h5py.Dataset):
            how = "removed"
        _HDF5[how](file, name, tree, rng)
    tree.touches[-1] = tree.touches[-1]._replace(before=data, after=place.read_bytes())
    _note(tree, how)
    return f"{path}: {name}: {how}"


def _h5_set(file: h5py.File, name: str, tree: Tree, rng: np.random.Generator) -> None:
    values = file[name][()]
    if values.dtype.kind == "f":
        values.flat[rng.integers(values.size)] = BAD_VALUES[rng.integers(len(BAD_VALUES))]
        file[name][...] = values
    elif values.dtype == h5py.ref_dtype:
        values.flat[rng.integers(values.size)] = (h5py.Reference(), file[name].ref, file.ref)[rng.integers(3)]
        file[name][...] = values


def _h5_new(make: Callable) -> Callable:
    def replace(file: h5py.File, name: str, tree: Tree, rng: np.random.Generator) -> None:
        del file[name]
        make(file, name, tree)

    return replace


def _h5_raw(file: h5py.File, name: str, tree: Tree) -> None:
    (tree.outside / "raw").write_bytes(bytes(8000))
    file.create_dataset(name, shape=(10, 87), dtype="f8", external=[(str(tree.outside / "raw"), 0, 8000)])


def _h5_virtual(file: h5py.File, name: str, tree: Tree) -> None:
    layout = h5py.VirtualLayout(shape=(10, 87), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tree.outside / "other.h5"), "x", shape=(10, 87))
    file.create_virtual_dataset(name, layout)


def _h5_link(file: h5py.File, name: str, tree: Tree) -> None:
    file[name] = h5py.ExternalLink(str(tree.outside / "other.h5"), "/x")


def _h5_cells(file: h5py.File, name: str, tree: Tree) -> None:
    """Cells of cells of cells ..., each twice: two to the thirtieth power of them."""
    reference = file.create_dataset("end", data=np.zeros((1, 1))).ref
    for level in range(30):
        data = np.array([[reference, reference]], h5py.ref_dtype)
        reference = file.create_dataset(f"level{level}", data=data).ref
    file.create_dataset(name, data=np.array([[reference, reference]], h5py.ref_dtype))


_HDF5: dict[str, Callable] = {
    "another value": _h5_set,
    "another value, too": _h5_set,
    "removed": _h5_new(lambda *_: None),
    "a giant": _h5_new(lambda file, name, _: file.create_dataset(name, (1 << 22, 1 << 22), "f8", chunks=(64, 64))),
    "a packed giant": _h5_new(
        lambda file, name, _: file.create_dataset(name, data=np.zeros((1 << 14, 1 << 10)), chunks=True, compression=9)
    ),
    "values elsewhere": _h5_new(_h5_raw),
    "virtual": _h5_new(_h5_virtual),
    "linked": _h5_new(_h5_link),
    "cells of cells": _h5_new(_h5_cells),
    "a soft link to itself": _h5_new(lambda file, name, _: file.__setitem__(name, h5py.SoftLink(f"/{name}"))),
    "text": _h5_new(lambda file, name, _: file.create_dataset(name, data="text")),
    "a struct": _h5_new(lambda file, name, _: file.create_group(name)),
    "a scalar": _h5_new(lambda file, name, _: file.create_dataset(name, data=3.0)),
    "empty": _h5_new(lambda file, name, _: file.create_dataset(name, data=h5py.Empty("f8"))),
    "compound": _h5_new(lambda file, name, _: file.create_dataset(name, data=np.zeros(3, [("a", "f8"), ("b", "i4")]))),
}


# --- whole label files ----------------------------------------------------------------------------------------------


def _label_file(tree: Tree, rng: np.random.Generator) -> str | None:
    """A label file of numbers is another file of its format: greedy, or with something to run."""
    if (path := with_suffix(".mat", ".npy", ".bin")(tree, rng)) is None:
        return None
    kind = path.rpartition(".")[2].lower()
    makers = {"mat": _mats, "npy": _npys, "bin": _bins}[kind](tree, path)
    how = list(makers)[rng.integers(len(makers))]
    tree.write(path, makers[how]())
    return f"{path}: {how}"


def _mats(tree: Tree, path: str) -> dict[str, Callable[[], bytes]]:
    data = tree.read(path)
    names = [] if HDF5 in (data[:4], data[512:516]) else [key for key, *_ in scipy.io.whosmat(io.BytesIO(data))]
    name = names[0] if names else "phisTr"
    return {
        "512 MB of zeros": lambda: bombs.mat_zeros(name),
        "a billion cells": lambda: bombs.mat_cells(name),
        "a pickle": lambda: bombs.canary_pickle(tree.canary),
        "a zip": bombs.zip_bomb,
    }


def _npys(tree: Tree, path: str) -> dict[str, Callable[[], bytes]]:
    deep = "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 300 + ")" * 300 + "}"
    return {
        "a giant": bombs.npy_giant,
        "an object that runs": lambda: bombs.canary_npy(tree.canary),
        "a pickle": lambda: bombs.canary_pickle(tree.canary),
        "a zip": bombs.zip_bomb,
        "deep brackets": lambda: bombs.npy(deep),
        "an open text": lambda: bombs.npy("{'descr': '''<f8, "),
        "wrong spaces": lambda: bombs.npy("{'descr': '<f8',\n  'a': 1\n b"),
        "a negative shape": lambda: bombs.npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}", bytes(8)),
        "a long text": lambda: bombs.npy("{'descr': '<U200000000', 'fortran_order': False, 'shape': ()}"),
        "fields": lambda: bombs.npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': ()}", bytes(8)),
        "not a number": lambda: bombs.npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}",
                                          struct.pack("<d", np.nan)),
    }  # fmt: skip


def _bins(tree: Tree, path: str) -> dict[str, Callable[[], bytes]]:
    image = (tree.read(path), b"x")[0]
    at = max(image.find(b"\xff\xd8"), 0)
    return {
        "a pickle that runs": lambda: bombs.canary_pickle(tree.canary),
        "lists of lists": bombs.memo_bomb,
        "one image many times": lambda: bombs.repeated_image(image[at : at + 3000]),
        "a billion objects": bombs.object_array_bomb,
        "ragged flags": lambda: bombs.pickle.dumps(([b"a", b"b"] * 2, [[[1], [1, 2]], True]), protocol=2),
        "a zip": bombs.zip_bomb,
    }


# --- RecordIO -------------------------------------------------------------------------------------------------------


def _record(tree: Tree, rng: np.random.Generator) -> str | None:
    """The length, flag, label or offset of one record is another."""
    if (path := with_suffix(".rec")(tree, rng)) is None:
        return None
    data = bytearray(tree.read(path))
    starts = [at for at in range(0, len(data) - 32, 4) if data[at : at + 4] == struct.pack("<I", 0xCED7230A)]
    at = starts[rng.integers(len(starts))]
    offset, code, value = [
        (4, "<I", 0x1FFFFFFF), (4, "<I", 3 << 29), (4, "<I", 0), (8, "<I", 0xFFFFFFFF), (8, "<I", 1),
        (12, "<f", np.nan), (12, "<f", np.inf), (12, "<f", 1e30), (12, "<f", -1.0), (12, "<f", 0.5), (12, "<f", 5000.0),
        (12, "<f", 2.0**24),
    ][rng.integers(12)]  # fmt: skip
    struct.pack_into(code, data, at + offset, value)
    tree.write(path, bytes(data))
    return f"{path}: record at {at}: {value} at +{offset}"


MUTATIONS = {"label array": _label_array, "label file": _label_file, "record": _record}
