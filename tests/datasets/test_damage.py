"""Whatever happens to a label file, reading ends with records, rejects and at most one clear error."""

import os
import pickle

import numpy as np
import pytest

from faceptor.datasets import READERS
from faceptor.datasets.formats.restricted_pickle import load_verification
from faceptor.datasets.reader import Record, Reject
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

LABELS = (".txt", ".csv", ".pts", ".mat", ".idx", ".rec", ".bin", ".png", "")
TRIES = 12


def damage(data, rng, *, flips):
    """The bytes with a piece cut out, doubled, or (if `flips`) overwritten."""
    start, stop = np.sort(rng.integers(0, len(data) + 1, 2))
    changed = {
        0: lambda: data[:start],
        1: lambda: data[:start] + data[stop:],
        2: lambda: data[:stop] + data[start:],
        3: lambda: data[:start] + rng.bytes(min(stop - start, 8)) + data[start + min(stop - start, 8) :],
    }
    return changed[int(rng.integers(4 if flips else 3))]()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files(name, tmp_path):
    pub.BUILDERS[name](tmp_path)
    (tmp_path / "GENERATED").unlink(missing_ok=True)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in LABELS)
    rng = np.random.default_rng(0)
    for _ in range(TRIES):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        hdf5 = whole[512:516] == b"\x89HDF"  # its library does not survive every flipped byte
        path.write_bytes(damage(whole, rng, flips=not hdf5))
        try:
            reader = READERS[name](tmp_path)
            items = [item for split in ("train", "test") for item in reader.read(split)]
            assert all(isinstance(item, Record | Reject) for item in items)
            list(reader.checks())
            for file in reader.verification().values():
                load_verification(file)
        except DataError as error:
            assert "\n" not in str(error)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_the_same_in_another_process(name, tmp_path):
    pub.BUILDERS[name](tmp_path)
    reader = READERS[name](tmp_path)
    keys = [item.key for item in reader.read("test")]
    again = pickle.loads(pickle.dumps(reader))
    assert [item.key for item in again.read("test")] == keys


@pytest.mark.parametrize("name", ["lapa", "300w", "morph2", "affectnet"])
def test_a_file_name_that_is_not_text_is_rejected_alone(name, tmp_path):
    pub.affectnet_npy(tmp_path) if name == "affectnet" else pub.BUILDERS[name](tmp_path)
    (tmp_path / "morph_2008_nonCommercial.csv").unlink(missing_ok=True)
    before = good(read(name, tmp_path, "train"))
    folder = {"lapa": "LaPa/train/images", "300w": "afw", "morph2": "Album1", "affectnet": "train_set/images"}[name]
    with open(os.fsencode(tmp_path / folder) + b"/\xff_1M20.jpg", "wb") as handle:
        handle.write(pub.jpg())
    items = read(name, tmp_path, "train") + read(name, tmp_path, "test")
    (reject,) = bad(items).values()
    assert r"\xff" in reject.key and "UTF-8" in reject.reason
    if name != "morph2":  # there the share of 80 % is taken of one image more
        assert good(items).keys() >= before.keys()


def test_a_list_with_an_endless_line(tmp_path):
    pub.rafdb(tmp_path)
    pub.put(tmp_path / "basic/EmoLabel/list_patition_label.txt", b"a" * (3 << 20))
    with pytest.raises(DataError, match="longer than"):
        read("rafdb", tmp_path, "train")


def test_an_index_that_is_a_folder(tmp_path):
    (tmp_path / "basic/Image/aligned").mkdir(parents=True)
    (tmp_path / "basic/EmoLabel/list_patition_label.txt").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be read"):
        read("rafdb", tmp_path, "train")
