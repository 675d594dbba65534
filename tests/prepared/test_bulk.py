"""Reading by the thousand says the same as reading one by one, and what it skips is stated."""

import numpy as np
import pytest

import faceptor.datasets.formats.recordio as recordio
import faceptor.datasets.readers.ms1mv3 as reader
import faceptor.prepared.bulk as bulk
from faceptor.datasets.formats.recordio import RecordFile
from faceptor.datasets.reader import Reader
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from tests.datasets import published as pub


def records():
    """Records of every form: plain, in parts, with several labels, without a label, damaged, of another format."""
    good = [pub.jpg(i, 112, 112) for i in range(12)]
    contents = {key: pub.header(float((key - 1) // 2), key) + good[key - 1] for key in range(1, 13)}
    contents[2] = pub.header([0.0, 7.0], 2) + good[1]
    contents[3] = pub.header(1.0, 3) + good[2] + bytes(-len(good[2]) % 4) + pub.MAGIC + b"tail"
    contents[4] = pub.header(float("nan"), 4) + good[3]
    contents[5] = pub.header(2.5, 5) + good[4]
    contents[6] = pub.header(2.0, 6) + good[5][:-300]
    contents[7] = pub.header(3.0, 7) + b"no image"
    contents[8] = pub.header(3.0, 8)
    contents[9] = pub.header(4.0, 9) + pub.png(pub.picture(9, 112, 112))
    return contents | {0: pub.header([13.0, 19.0], 0)}


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    pub.recordio(tmp_path / "raw", records())
    monkeypatch.setattr(reader, "RECORDS_AT_A_TIME", 5)
    return tmp_path


def run(tmp_path, out, **options):
    return prepare(
        "ms1mv3", tmp_path / "raw", tmp_path / out, validation=0.4, seed=1, max_rejects=0.9,
        options={"strict_counts": False} | options,
    )  # fmt: skip


def test_both_ways_agree(mixed, monkeypatch):
    quick = run(mixed, "quick")
    with monkeypatch.context() as patch:
        patch.setattr(reader.MS1MV3, "bulk", Reader.bulk)
        each = run(mixed, "each")
    rejected = [card["rejects"].pop("first") for card in (quick, each)]
    assert quick == each and quick["rejects"]["count"] == 5
    said = [sorted((reject["key"], reject["reason"]) for reject in some) for some in rejected]
    assert said[0] == said[1] and {reject["where"] for reject in rejected[0]} <= {f"train.rec:{i}" for i in range(13)}
    for part in ("train", "val"):
        one, other = open_split(mixed / "quick", part), open_split(mixed / "each", part)
        assert [one.sample(i, image=False) for i in range(len(one))] == [
            other.sample(i, image=False) for i in range(len(other))
        ]
        assert [one.encoded(i) for i in range(len(one))] == [other.encoded(i) for i in range(len(other))]


def test_headers_alone_are_checked_where_that_is_said(tmp_path, monkeypatch):
    pub.ms1mv3(tmp_path / "raw")
    contents = {key: pub.header(float((key - 1) // 2), key) + pub.jpg(key, 112, 112) for key in range(1, 13)}
    damaged = pub.jpg(3, 112, 112).replace(b"\xff\xdb", b"\xff\xfe")  # without its tables, between sound marks
    contents[3] = pub.header(1.0, 3) + damaged
    contents[4] = pub.header(1.0, 4) + pub.jpg(4, 112, 112)[:-300]
    pub.recordio(tmp_path / "raw", contents | {0: pub.header([13.0, 19.0], 0)})
    full, headers = run(tmp_path, "a"), run(tmp_path, "b", verify="header")
    assert full["rejects"]["count"] == 2 and full["images_checked"] == "every image decoded to its end"
    assert headers["rejects"]["count"] == 1 and "one in 100 decoded" in headers["images_checked"]
    monkeypatch.setattr(bulk, "ONE_DECODED_IN", 2)
    assert run(tmp_path, "c", verify="header")["rejects"]["count"] == 2  # number 2 is among the decoded ones
    assert bulk.mode_of("auto", 5_179_510) == "header" and bulk.mode_of("auto", 2_400) == "full"


def test_records_of_any_form_and_place(tmp_path, monkeypatch):
    pub.recordio(tmp_path, records())
    file = RecordFile(tmp_path / "train.rec", tmp_path / "train.idx")
    labels, payloads = file.scan(np.arange(len(file)))
    for position in range(len(file)):
        if payloads[position] is not None:
            content = file.content(position)
            assert content[24:] == payloads[position]
            np.testing.assert_equal(labels[position], np.frombuffer(content[4:8], "<f4")[0])
    assert [position for position, payload in enumerate(payloads) if payload is None] == [0, 2, 3]
    assert file.scan(np.arange(0))[1] == []
    monkeypatch.setattr(recordio, "MAX_BYTES_AT_ONCE", 5000)  # of records apart, not from the start of the file
    assert file.scan(np.array([11, 12]))[1] == payloads[11:] and payloads[12] is not None
    assert file.scan(np.arange(len(file)))[1] == [None] * len(file)
    monkeypatch.undo()
    file.offsets[5] = 1 << 40
    assert file.scan(np.arange(len(file)))[1] == [None] * len(file)
