"""RecordIO without mxnet: framing, split records, offsets, labels; damaged bytes reject one record."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceptor.datasets import READERS
from faceptor.datasets.formats.recordio import RecordFile, unpack
from faceptor.datasets.reader import BadSample, Record, Reject
from faceptor.errors import DataError
from tests.datasets import published as pub

JUNK = st.lists(st.sampled_from([pub.MAGIC, b"\0\0\0\0", b"abcd", b"x", pub.MAGIC[:3]]), max_size=12).map(b"".join)


def records(root):
    return RecordFile(root / "train.rec", root / "train.idx")


@settings(max_examples=60, deadline=None)
@given(st.lists(JUNK, min_size=1, max_size=5))
def test_any_content_comes_back(tmp_path_factory, contents):
    root = tmp_path_factory.mktemp("rec")
    pub.recordio(root, dict(enumerate(contents)))
    file = records(root)
    assert [file.content(i) for i in range(len(file))] == contents


def test_the_magic_goes_back_between_the_parts(tmp_path):
    content = b"abcd" + pub.MAGIC + b"efgh" + pub.MAGIC + pub.MAGIC + b"ij"
    pub.recordio(tmp_path, {5: content, 2: b"other"})
    raw = (tmp_path / "train.rec").read_bytes()
    flags = [struct.unpack_from("<I", raw, at)[0] >> 29 for at in (4, 16, 28, 36)]
    assert flags == [1, 2, 2, 3]
    file = records(tmp_path)
    assert file.keys.tolist() == [2, 5] and file.content(1) == content and file.content(0) == b"other"


def test_labels_scalar_or_list():
    assert unpack(pub.header(7.0, 1) + b"jpeg") == ([7.0], 0, b"jpeg")
    assert unpack(pub.header([7.0, 1.0], 1) + b"jpeg") == ([7.0, 1.0], 2, b"jpeg")
    with pytest.raises(BadSample, match="declares"):
        unpack(struct.pack("<IfQQ", 1 << 30, 0, 0, 0) + b"1234")
    with pytest.raises(BadSample, match="24 bytes"):
        unpack(b"short")


def test_identities_and_images(tmp_path):
    pub.ms1mv3(tmp_path)
    items = list(READERS["ms1mv3"](tmp_path).read("train"))
    assert [item.identity for item in items] == [i // 2 for i in range(12)]
    assert [item.key for item in items] == [str(i) for i in range(1, 13)]
    assert items[0].image == pub.jpg(1, 112, 112) and items[3].group == "1"
    assert not list(READERS["ms1mv3"](tmp_path).read("test"))


def test_without_a_meta_record_every_key_is_an_image(tmp_path):
    pub.recordio(tmp_path, {key: pub.header(float(key), key) + pub.jpg(key) for key in range(3)})
    assert [item.identity for item in READERS["ms1mv3"](tmp_path).read("train")] == [0, 1, 2]
    pub.recordio(tmp_path, {key: pub.header(float(key), key) + pub.jpg(key) for key in (4, 9)})
    assert [item.key for item in READERS["ms1mv3"](tmp_path).read("train")] == ["4", "9"]


def test_damaged_records_are_rejected_alone(tmp_path):
    pub.ms1mv3(tmp_path)
    path = tmp_path / "train.idx"
    lines = dict(line.split("\t") for line in path.read_text().splitlines())
    raw = bytearray((tmp_path / "train.rec").read_bytes())
    raw[int(lines["2"])] ^= 1  # magic
    struct.pack_into("<I", raw, int(lines["3"]) + 4, 0x1FFFFFFF)  # huge length
    struct.pack_into("<I", raw, int(lines["4"]) + 4, 3 << 29 | 8)  # a last part without a first
    struct.pack_into("<f", raw, int(lines["6"]) + 12, float("nan"))
    struct.pack_into("<f", raw, int(lines["8"]) + 12, 93431.0)
    (tmp_path / "train.rec").write_bytes(raw)
    lines["5"] = str(len(raw) + 100)
    lines["7"] = "-4"
    path.write_text("".join(f"{key}\t{offset}\n" for key, offset in lines.items()))
    items = list(READERS["ms1mv3"](tmp_path).read("train"))
    rejects = {item.key: item.reason for item in items if isinstance(item, Reject)}
    assert rejects.keys() == {"2", "3", "4", "5", "6", "7", "8"}
    assert "magic" in rejects["2"] and "declares" in rejects["3"] and "beyond" in rejects["5"]
    assert sum(isinstance(item, Record) for item in items) == 5


@pytest.mark.parametrize(
    ("index", "reason"),
    [("", "found none"), ("1\n", "TAB"), ("a\t3\n", "TAB"), ("0\t0\n0\t8\n", "twice"), (f"1\t{10**23}\n", "TAB")],
)
def test_a_wrong_index_names_the_line(index, reason, tmp_path):
    pub.ms1mv3(tmp_path)
    pub.put(tmp_path / "train.idx", index)
    with pytest.raises(DataError, match=reason):
        list(READERS["ms1mv3"](tmp_path).read("train"))


def test_a_meta_record_that_promises_more_images_than_listed(tmp_path):
    pub.recordio(tmp_path, {0: pub.header([1e15, 2e15], 0), 1: pub.header(0.0, 1) + pub.jpg()})
    with pytest.raises(DataError, match="record 0"):
        list(READERS["ms1mv3"](tmp_path).read("train"))


def test_classes_check(tmp_path):
    pub.ms1mv3(tmp_path)
    pub.put(tmp_path / "property", "7,112,112")
    reader = READERS["ms1mv3"](tmp_path)
    list(reader.read("train"))
    assert [check.status for check in reader.checks()] == ["fail", "pass"]
    pub.put(tmp_path / "property", "seven")
    with pytest.raises(DataError, match="classes,height,width"):
        list(READERS["ms1mv3"](tmp_path).read("train"))


def test_requested_verification_sets_must_be_there(tmp_path):
    pub.ms1mv3(tmp_path)
    assert set(READERS["ms1mv3"](tmp_path).verification()) == {"lfw", "agedb_30"}
    assert set(READERS["ms1mv3"](tmp_path, verification=["lfw"]).verification()) == {"lfw"}
    with pytest.raises(DataError, match=r"cplfw\.bin"):
        READERS["ms1mv3"](tmp_path, verification=("lfw", "cplfw")).verification()


def test_indices_are_not_python_objects(tmp_path):
    pub.ms1mv3(tmp_path)
    assert records(tmp_path).offsets.dtype == records(tmp_path).keys.dtype == np.int64
