"""One function for both kinds of .mat file: version 5 (scipy) and version 7.3 (HDF5, h5py)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceptor.datasets.formats.matlab5 import MAX_CELL_DEPTH, MAX_VARIABLE_BYTES, variables
from faceptor.errors import DataError
from faceptor.io.words import one_line

if TYPE_CHECKING:
    import h5py

MAX_DEFLATE_RATIO = 1100  # deflate cannot make more than about 1,032 bytes out of one


def load_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray | list]:
    """Variables of a .mat file in Matlab's own axis order; cell arrays become flat lists of arrays or str.

    A missing variable, or one larger than `MAX_VARIABLE_BYTES` or than the file can hold, is a DataError (before memory
    is taken).
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: expected a Matlab file, found what is no regular file")
        with open(path, "rb") as handle:
            head = handle.read(1024)
        load = _load_hdf5 if b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]) else _load_v5
        return load(path, names)
    except DataError:
        raise
    except Exception as error:  # both libraries raise many kinds of error on damaged files
        raise DataError(f"{path}: expected a Matlab file, found one that cannot be read ({one_line(error)})") from error


def matrix(path: Path, name: str, value: np.ndarray | list) -> np.ndarray:
    """A variable as float64 numbers of the same shape; DataError for cells, text, structs and complex numbers."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.astype(np.float64)
    found = "cells" if isinstance(value, list) else f"{value.dtype}" if isinstance(value, np.ndarray) else "text"
    raise DataError(f"{path}: {name}: expected numbers, found {found}; use the file as its owner publishes it")


def load_cell(path: Path, name: str, index: int) -> np.ndarray | str:
    """One element of a cell array of a version 7.3 file, in Matlab's axis order; DataError when it cannot be read.

    For cell arrays of images, which would fill the memory if they were read at once.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _missing(path, (name,), list(file))
            references = _dataset(path, file, name)
            if references.dtype != h5py.ref_dtype:
                raise DataError(f"{path}: {name}: expected a cell array")
            return _cell(path, file, _values(path, references).T.ravel()[index])
    except DataError as error:
        raise DataError(f"{path}: {name}: element {index + 1}: {str(error).removeprefix(f'{path}: ')}") from None
    except Exception as error:
        raise DataError(f"{path}: {name}: element {index + 1} cannot be read ({one_line(error)})") from error


def _missing(path: Path, names: tuple[str, ...], found: list[str]) -> None:
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{path}: expected variables {', '.join(names)}, found no {', '.join(missing)}; "
            "use the file as its owner publishes it"
        )


# --- version 5 ----------------------------------------------------------------------------------------------------


def _load_v5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray | list]:
    import scipy.io

    if path.stat().st_size > MAX_VARIABLE_BYTES:
        raise DataError(
            f"{path}: expected a Matlab file of at most {MAX_VARIABLE_BYTES} bytes, found {path.stat().st_size}"
        )
    data = path.read_bytes()
    try:
        found = variables(data, names)
    except DataError as error:
        raise DataError(f"{path}: {error}; use the file as its owner publishes it") from None
    _missing(path, names, found)
    content = scipy.io.loadmat(io.BytesIO(data), variable_names=list(names))
    return {name: _plain(content[name]) for name in names}


def _plain(value: np.ndarray) -> np.ndarray | list:
    if value.dtype == object:
        return [_element(item) for item in value.ravel()]
    return value


def _element(item):
    # A name may be wrapped in several one-element cells before the text comes.
    while isinstance(item, np.ndarray) and item.dtype == object and item.size == 1:
        item = item.ravel()[0]
    if isinstance(item, np.ndarray) and item.dtype.kind == "U":
        return "".join(item.ravel().tolist())
    return item


# --- version 7.3 --------------------------------------------------------------------------------------------------


def _load_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray | list]:
    import h5py

    with h5py.File(path, "r") as file:
        _missing(path, names, list(file))
        return {name: _variable(path, file, name) for name in names}


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    import h5py

    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise DataError(f"{path}: {name}: links to another file, refused")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{path}: {name}: expected an array or a cell array, found a struct")
    return dataset


def _variable(path: Path, file: h5py.File, name: str) -> np.ndarray | list:
    import h5py

    dataset = _dataset(path, file, name)
    if dataset.dtype == h5py.ref_dtype:
        cells = _values(path, dataset).T.ravel()  # Matlab's order, whatever the orientation of the cell vector
        return [_cell(path, file, reference) for reference in cells]
    return _text_or_array(dataset, _values(path, dataset))


def _cell(path: Path, file: h5py.File, reference: h5py.Reference) -> np.ndarray | str:
    """What a cell holds. A name may be wrapped in several one-element cells; larger cells within cells are refused."""
    import h5py

    for _ in range(MAX_CELL_DEPTH):
        item = file[reference] if reference else None
        if not isinstance(item, h5py.Dataset):
            raise DataError(f"{path}: a cell is empty or holds a struct, expected an array or text")
        values = _values(path, item)
        if item.dtype != h5py.ref_dtype:
            return _text_or_array(item, values)
        if values.size != 1:
            break
        reference = values.ravel()[0]
    raise DataError(f"{path}: expected cells of arrays or text, found cells within cells")


def _values(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{path}: {dataset.name}: its values lie in another file, refused")
    if dataset.shape is None:
        raise DataError(f"{path}: {dataset.name}: expected an array, found none")
    declared, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if declared > min(MAX_DEFLATE_RATIO * stored + 4096, MAX_VARIABLE_BYTES):
        raise DataError(
            f"{path}: {dataset.name}: declares {declared} bytes, more than the file can hold or than "
            f"{MAX_VARIABLE_BYTES}"
        )
    return dataset[()]


def _text_or_array(dataset: h5py.Dataset, values: np.ndarray) -> np.ndarray | str:
    if dataset.attrs.get("MATLAB_class", b"") in (b"char", "char"):
        return "".join(map(chr, np.asarray(values).T.ravel()))
    return np.asarray(values).T  # HDF5 lists axes in the reverse of Matlab's order
