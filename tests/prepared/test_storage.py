"""Prepared shards are read the same from a folder, from a URL, and as `datasets` wrote them; damage is an error."""

import json
import pickle
import shutil
import struct

import fsspec
import numpy as np
import pytest

import faceptor.prepared.integrity as integrity
import faceptor.prepared.shards as shards
from faceptor.errors import DataError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import content_hashes, open_split, open_verification, read_card, verification_sets
from tests.datasets import published as pub


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BATCH_ROWS", 2)
    pub.ms1mv3(tmp_path / "raw")
    options = {"strict_counts": False}
    prepare("ms1mv3", tmp_path / "raw", tmp_path / "out", validation=0.3, seed=1, options=options)
    return tmp_path / "out"


@pytest.fixture
def in_memory(prepared):
    """The same folder in fsspec's memory file system."""
    files = fsspec.filesystem("memory")
    for path in sorted(prepared.rglob("*")):
        if path.is_file():
            files.pipe_file(f"/bucket/ms1mv3/{path.relative_to(prepared)}", path.read_bytes())
    yield "memory://bucket/ms1mv3"
    files.rm("/bucket", recursive=True)


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_url_reads_like_a_folder(prepared, in_memory, scheme):
    url = in_memory if scheme == "memory" else f"file://{prepared}"
    here, there = open_split(prepared, "train"), open_split(url, "train")
    assert len(here) == len(there) > 4 and here.columns == there.columns
    for index in (0, len(here) - 1, 3, -1):
        assert there.encoded(index) == here.encoded(index)
        np.testing.assert_array_equal(there[index]["image"], here[index]["image"])
        assert there[index]["identity"] == here[index]["identity"]
    np.testing.assert_array_equal(there.column("identity"), here.column("identity"))
    assert read_card(url) == read_card(prepared)
    assert verification_sets(url) == verification_sets(prepared) == ("agedb_30", "lfw")
    np.testing.assert_array_equal(open_verification(url, "lfw")[3], open_verification(prepared, "lfw")[3])
    again = pickle.loads(pickle.dumps(there))  # into a loader's process
    assert again[1]["key"] == here[1]["key"]


def test_only_the_batch_that_is_needed_travels(in_memory, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    asked = []
    fetch = MemoryFileSystem.cat_file

    def counting(self, path, start=None, end=None, **kwargs):
        asked.append((path.rpartition("/")[2], start, end))
        return fetch(self, path, start=start, end=end, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counting)
    split = open_split(in_memory, "train")
    asked.clear()
    split.encoded(4), split.encoded(5), split.sample(4)  # one batch of two rows
    ((name, start, end),) = asked
    whole = fsspec.filesystem("memory").size(f"/bucket/ms1mv3/train/{name}")
    assert name.endswith(".arrow") and 0 < start < end < whole


def test_what_is_not_there(in_memory, prepared):
    with pytest.raises(DataError, match="not a prepared data set"):
        open_split("memory://bucket/other", "train")
    with pytest.raises(DataError, match="has no test split"):
        open_split(in_memory, "test")
    with pytest.raises(DataError, match="no way to read"):
        open_split("nosuch://bucket/ms1mv3", "train")


@pytest.mark.parametrize("damage", ["short", "missing", "index"])
def test_a_damaged_shard_is_named(prepared, damage):
    (shard, *_) = sorted((prepared / "train").glob("*.arrow"))
    if damage == "short":
        shard.write_bytes(shard.read_bytes()[:2000])
    elif damage == "missing":
        shard.unlink()
    else:
        shard = prepared / "train" / "shards.json"
        shard.write_text("[{]")
    with pytest.raises(DataError, match=f"{shard.name}: .*prepare the data set again"):
        open_split(prepared, "train").encoded(-1)


@pytest.mark.parametrize("part", ["train", "verification/lfw"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.98])
def test_one_flipped_bit_is_an_error(prepared, part, place):
    (shard, *_) = sorted((prepared / part).glob("*.arrow"))
    data = bytearray(shard.read_bytes())
    data[int(place * len(data))] ^= 1
    shard.write_bytes(data)
    family, _, name = part.partition("/")
    with pytest.raises(DataError, match=f"{part}/{shard.name}: .*prepare the data set again"):
        open_verification(prepared, name) if name else open_split(prepared, family)


def change(prepared, edit):
    path = prepared / "train" / "shards.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(edit(entries)))


def more_rows(entries, *, in_batches, rows=5):
    entries[0]["rows"] += rows
    if in_batches:
        entries[0]["batches"][-1][2] += rows
    return entries


def without(entries, key):
    del entries[0][key]
    return entries


def wrong(entries, **changes):
    entries[0] |= changes
    return entries


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: more_rows(e, in_batches=False),
        lambda e: more_rows(e, in_batches=True),
        lambda e: [],
        lambda e: {},
        lambda e: [None],
        lambda e: [e[0], e[0]],
        *(lambda e, key=key: without(e, key) for key in ("filename", "rows", "bytes", "sha256", "batches")),
        lambda e: wrong(e, rows="12"),
        lambda e: wrong(e, rows=True),
        lambda e: wrong(e, filename="../../elsewhere.arrow"),
        lambda e: wrong(e, sha256="0" * 64),
        lambda e: wrong(e, sha256=None),
        lambda e: wrong(e, batches=[[0, 1 << 60, 12]]),
        lambda e: wrong(e, batches=[[-8, 8, 12]]),
        lambda e: wrong(e, batches=e[0]["batches"][1:]),
        lambda e: wrong(e, batches=[[0, 1 << 70, 12]]),
    ],
)
def test_a_list_of_shards_that_is_not_the_one_written_is_one_line(prepared, edit):
    change(prepared, edit)
    with pytest.raises(DataError, match=r"train.*prepare the data set again") as caught:
        open_split(prepared, "train").column("key")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_batches_of_other_rows_than_listed_are_an_error_without_the_card(prepared):
    def moved(entries):  # the sum stays
        entries[0]["batches"][0][2] += 1
        entries[0]["batches"][1][2] -= 1
        return entries

    change(prepared, moved)
    with pytest.raises(DataError, match="rows"):
        open_split(prepared, "train").column("key")


def test_loader_processes_rely_on_the_process_that_compared(prepared, monkeypatch):
    split = open_split(prepared, "train")
    hashed = []
    monkeypatch.setattr(integrity, "file_hash", lambda path: hashed.append(path) or "")
    again = pickle.loads(pickle.dumps(split))
    assert again.encoded(0) == split.encoded(0) and not hashed


def test_the_content_hash_tells_one_label_from_another(prepared, tmp_path):
    raw = tmp_path / "raw"
    options = {"strict_counts": False}
    (raw / "property").unlink()
    data = (raw / "train.rec").read_bytes()
    at = data.index(struct.pack("<If", 0, 1.0))  # the first record of identity 1
    (raw / "train.rec").write_bytes(data[: at + 4] + struct.pack("<f", 0.0) + data[at + 8 :])
    changed = prepare("ms1mv3", raw, tmp_path / "other", validation=0.0, seed=1, options=options)
    (raw / "train.rec").write_bytes(data)
    same = prepare("ms1mv3", raw, tmp_path / "same", validation=0.0, seed=1, options=options)
    assert content_hashes(tmp_path / "other") == changed["content_hashes"]
    assert changed["content_hashes"]["train"] != same["content_hashes"]["train"]
    assert changed["split_hashes"] == same["split_hashes"]  # the same keys
    assert changed["content_hashes"]["verification/lfw"] == same["content_hashes"]["verification/lfw"]


def test_a_folder_that_datasets_saved(prepared, tmp_path):
    import datasets

    split = open_split(prepared, "train")
    datasets.load_from_disk(str(prepared / "train")).save_to_disk(str(tmp_path / "saved" / "train"))
    shutil.copy(prepared / "card.json", tmp_path / "saved")
    again = open_split(tmp_path / "saved", "train")
    assert not (tmp_path / "saved/train/shards.json").exists()
    assert again.column("key") == split.column("key") and again.encoded(3) == split.encoded(3)
    assert open_split(f"file://{tmp_path}/saved", "train").encoded(3) == split.encoded(3)
