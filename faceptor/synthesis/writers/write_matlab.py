"""Matlab files without a clock in them: version 5 (scipy) and version 7.3 (HDF5), the same bytes on every run.

scipy and h5py are imported where a file is written: every process that draws reads this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

CELLS = "#refs#"  # group of what cell arrays refer to
_USERBLOCK = 512  # Matlab puts its own header before the HDF5 signature


def save_v5_mat(path: Path, **variables: np.ndarray) -> None:
    import scipy.io

    scipy.io.savemat(path, variables, do_compression=True)
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(116))  # scipy writes the time of day there


@contextmanager
def hdf5_mat(path: Path) -> Iterator[h5py.File]:
    """A version 7.3 file to fill with `put_array` and `put_cells`; Matlab's header is written at the end.

    HDF5 lists the axes in the reverse of Matlab's order, so an N x 40 array is seen as (40, N).
    """
    import h5py

    with h5py.File(path, "w", userblock_size=_USERBLOCK, track_order=False) as file:
        yield file
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116)
    with path.open("r+b") as file:
        file.write((header + bytes(8) + b"\x00\x02IM").ljust(_USERBLOCK, b"\x00"))


def put_array(file: h5py.File, name: str, value: np.ndarray) -> h5py.Dataset:
    item = file.create_dataset(name, data=value.T)
    item.attrs["MATLAB_class"] = np.bytes_("uint8" if value.dtype == np.uint8 else "double")
    return item


def put_cells(file: h5py.File, name: str, items: Sequence[h5py.Dataset]) -> None:
    """An N x 1 cell array of things that lie in the file already: an array of references."""
    import h5py

    references = np.empty((1, len(items)), h5py.ref_dtype)
    references[0] = [item.ref for item in items]
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")


def save_hdf5_mat(path: Path, **variables: np.ndarray | Sequence[str]) -> None:
    """Arrays, and lists of text as N x 1 cell arrays, as Matlab's `save -v7.3` stores them."""
    with hdf5_mat(path) as file:
        for name, value in variables.items():
            if isinstance(value, np.ndarray):
                put_array(file, name, value)
            else:
                put_cells(file, name, [_text(file, f"{CELLS}/{name}{i}", text) for i, text in enumerate(value)])


def _text(file: h5py.File, name: str, text: str) -> h5py.Dataset:
    """Text as Matlab keeps it: UTF-16 code units."""
    item = file.create_dataset(name, data=np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None])
    item.attrs["MATLAB_class"] = np.bytes_("char")
    item.attrs["MATLAB_int_decode"] = np.int32(2)
    return item
