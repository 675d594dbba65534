"""Matlab files without a clock in them: version 5 (scipy) and version 7.3 (HDF5), the same bytes on every run."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import scipy.io

_USERBLOCK = 512  # Matlab puts its own header before the HDF5 signature


def save_v5_mat(path: Path, **variables: np.ndarray) -> None:
    scipy.io.savemat(path, variables, do_compression=True)
    with path.open("r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(116))  # scipy writes the time of day there


def save_hdf5_mat(path: Path, **variables: np.ndarray | Sequence[str]) -> None:
    """Arrays, and lists of text as N x 1 cell arrays, as Matlab's `save -v7.3` stores them.

    HDF5 lists the axes in the reverse of Matlab's order, so an N x 40 array is seen as (40, N); text is an array of
    UTF-16 code units behind an object reference.
    """
    with h5py.File(path, "w", userblock_size=_USERBLOCK, track_order=False) as file:
        for name, value in variables.items():
            if isinstance(value, np.ndarray):
                file.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")
            else:
                _cells(file, name, value)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116)
    with path.open("r+b") as file:
        file.write((header + bytes(8) + b"\x00\x02IM").ljust(_USERBLOCK, b"\x00"))


def _cells(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    references = np.empty((1, len(texts)), h5py.ref_dtype)
    store = file.require_group("#refs#")
    for i, text in enumerate(texts):
        units = np.frombuffer(text.encode("utf-16-le"), "<u2")
        item = store.create_dataset(f"{name}{i}", data=units[:, None])
        item.attrs["MATLAB_class"] = np.bytes_("char")
        item.attrs["MATLAB_int_decode"] = np.int32(2)
        references[0, i] = item.ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
