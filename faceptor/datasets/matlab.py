"""One function for both kinds of .mat file: version 5 (scipy) and version 7.3 (HDF5, h5py)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io

from faceptor.errors import DataError

EXPANSION = 1100  # deflate cannot make more than about 1,032 bytes out of one


def load_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray | list]:
    """Variables of a .mat file in Matlab's own axis order; cell arrays become flat lists of arrays or str.

    A missing variable or a size that the file cannot hold is a DataError (before memory is taken).
    """
    try:
        with open(path, "rb") as handle:
            head = handle.read(1024)
        load = _load_hdf5 if b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]) else _load_v5
        return load(path, names)
    except DataError:
        raise
    except Exception as error:  # both libraries raise many kinds of error on damaged files
        raise DataError(f"{path}: expected a Matlab file, found one that cannot be read ({error})") from error


def _missing(path: Path, names: tuple[str, ...], found: list[str]) -> None:
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{path}: expected variables {', '.join(names)}, found no {', '.join(missing)}; "
            "use the file as its owner publishes it"
        )


def _room(path: Path, name: str, declared: int, stored: int) -> None:
    if declared > EXPANSION * stored + 4096:
        raise DataError(f"{path}: {name}: declares {declared} bytes, more than the file can hold")


# --- version 5 ----------------------------------------------------------------------------------------------------


def _load_v5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray | list]:
    size = path.stat().st_size
    shapes = {name: shape for name, shape, _ in scipy.io.whosmat(str(path))}
    _missing(path, names, list(shapes))
    for name in names:
        _room(path, name, int(np.prod([float(side) for side in shapes[name]])), size)
    content = scipy.io.loadmat(str(path), variable_names=list(names))
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
    with h5py.File(path, "r") as file:
        _missing(path, names, list(file))
        return {name: _variable(path, file, name) for name in names}


def _variable(path: Path, file: h5py.File, name: str) -> np.ndarray | list:
    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise DataError(f"{path}: {name}: links to another file, refused")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{path}: {name}: expected an array or a cell array, found a struct")
    if dataset.dtype == h5py.ref_dtype:
        cells = _values(path, dataset).T.ravel()  # Matlab's order, whatever the orientation of the cell vector
        return [_cell(path, file, reference) for reference in cells]
    return _text_or_array(dataset, _values(path, dataset))


def _cell(path: Path, file: h5py.File, reference: h5py.Reference) -> np.ndarray | str:
    item = file[reference]
    values = _values(path, item)
    if item.dtype == h5py.ref_dtype:
        return [_cell(path, file, inner) for inner in values.ravel()] if values.size != 1 else _cell(
            path, file, values.ravel()[0]
        )
    return _text_or_array(item, values)


def _values(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{path}: {dataset.name}: its values lie in another file, refused")
    _room(path, dataset.name, dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size())
    return dataset[()]


def _text_or_array(dataset: h5py.Dataset, values: np.ndarray) -> np.ndarray | str:
    if dataset.attrs.get("MATLAB_class", b"") in (b"char", "char"):
        return "".join(map(chr, np.asarray(values).T.ravel()))
    return np.asarray(values).T  # HDF5 lists axes in the reverse of Matlab's order
