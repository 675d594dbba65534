"""Both kinds of .mat file give the same Python values; damaged or greedy ones are one error."""

import os

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from faceptor.datasets.formats.matlab import load_mat, matrix
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.hostile import bombs

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


def test_cells_within_cells_may_wrap_a_name_but_not_multiply(tmp_path):
    wrapped = np.empty((1, 1), object)
    wrapped[0, 0] = np.array([["name.jpg"]], object)
    scipy.io.savemat(tmp_path / "v5.mat", {"name": wrapped})
    assert load_mat(tmp_path / "v5.mat", ("name",))["name"] == ["name.jpg"]
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        reference = file.create_dataset("end", data=np.zeros((1, 1))).ref
        for level in range(30):
            cells = np.array([[reference, reference]], h5py.ref_dtype)
            reference = file.create_dataset(f"level{level}", data=cells).ref
        file.create_dataset("name", data=np.array([[reference]], h5py.ref_dtype))
    with pytest.raises(DataError, match="cells within cells"):
        load_mat(tmp_path / "v73.mat", ("name",))


@pytest.mark.parametrize("make", [bombs.mat_zeros, bombs.mat_cells])
def test_version_5_bombs_are_refused_before_scipy_sees_them(make, tmp_path, monkeypatch):
    monkeypatch.setattr(scipy.io, "loadmat", None)
    pub.put(tmp_path / "x.mat", make("label"))
    with pytest.raises(DataError, match="label"):
        load_mat(tmp_path / "x.mat", ("label",))


def test_a_class_that_no_set_needs(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"label": scipy.sparse.csc_matrix((3, 10)), "other": 1.0})
    with pytest.raises(DataError, match="class 5"):
        load_mat(tmp_path / "x.mat", ("label",))
    assert load_mat(tmp_path / "x.mat", ("other",))["other"] == 1  # which nobody asks for does not matter


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_every_plain_variable_passes_the_look_before(compress, big, tmp_path):
    cells = np.empty((2, 1), object)
    cells[:, 0] = ["a.jpg", np.zeros((2, 3))]
    content = {
        "cells": cells, "text": "words", "logical": np.array([True, False]), "small": np.uint8([1]),
        "struct": {"a": 1.0, "b": "text"}, "large": np.random.default_rng(0).random((200, 300)),
        "empty": np.zeros((0, 0)),
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "x.mat", content, do_compression=compress, long_field_names=big)
    found = load_mat(tmp_path / "x.mat", tuple(content))
    np.testing.assert_array_equal(found["large"], content["large"])
    assert found["cells"][0] == "a.jpg" and found["cells"][1].shape == (2, 3)


def test_numbers_are_told_from_cells_and_text(tmp_path):
    path = tmp_path / "x.mat"
    assert matrix(path, "a", np.uint8([[1, 2]])).dtype == np.float64
    for value in (["text"], np.array(["text"]), np.complex64([1j]), np.zeros(2, [("a", "f8")])):
        with pytest.raises(DataError, match="a: expected numbers"):
            matrix(path, "a", value)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.mat")
    with pytest.raises(DataError, match="regular file"):
        load_mat(tmp_path / "x.mat", ("label",))
