"""Both kinds of .mat file give the same Python values; damaged or greedy ones are one error."""

import h5py
import numpy as np
import pytest
import scipy.io

from faceptor.datasets.matlab import load_mat
from faceptor.errors import DataError
from tests.datasets import published as pub

NAMES = ["a\\b 1.jpg", "c.jpg", "d.jpg"]
LABEL = np.arange(6.0).reshape(3, 2)


def v5(path):
    cells = np.empty((3, 1), object)
    cells[:, 0] = NAMES
    scipy.io.savemat(path, {"name": cells, "label": LABEL})


def v73(path):
    pub.hdf5_mat(path, name=NAMES, label=LABEL)


@pytest.mark.parametrize("write", [v5, v73])
def test_same_values(write, tmp_path):
    write(tmp_path / "x.mat")
    content = load_mat(tmp_path / "x.mat", ("name", "label"))
    assert content["name"] == NAMES
    np.testing.assert_array_equal(content["label"], LABEL)


@pytest.mark.parametrize("write", [v5, v73])
def test_missing_variable(write, tmp_path):
    write(tmp_path / "x.mat")
    with pytest.raises(DataError, match="found no ra"):
        load_mat(tmp_path / "x.mat", ("name", "ra"))


@pytest.mark.parametrize("write", [v5, v73])
def test_truncated(write, tmp_path):
    write(tmp_path / "x.mat")
    data = (tmp_path / "x.mat").read_bytes()
    (tmp_path / "x.mat").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError):
        load_mat(tmp_path / "x.mat", ("name", "label"))


@pytest.mark.parametrize("data", [b"", b"junk" * 300])
def test_not_matlab(data, tmp_path):
    pub.put(tmp_path / "x.mat", data)
    with pytest.raises(DataError, match="Matlab"):
        load_mat(tmp_path / "x.mat", ("name",))


def test_a_size_beyond_the_file_takes_no_memory(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file.create_dataset("label", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(64, 64))
    with pytest.raises(DataError, match="more than the file can hold"):
        load_mat(tmp_path / "x.mat", ("label",))


def test_links_to_other_files_are_refused(tmp_path):
    v73(tmp_path / "other.mat")
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file["label"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/label")
    with pytest.raises(DataError, match="another file"):
        load_mat(tmp_path / "x.mat", ("label",))
    raw = pub.put(tmp_path / "raw", b"\0" * 80)
    with h5py.File(tmp_path / "y.mat", "w") as file:
        file.create_dataset("label", shape=(10,), dtype="f8", external=[(str(raw), 0, 80)])
    with pytest.raises(DataError, match="another file"):
        load_mat(tmp_path / "y.mat", ("label",))
