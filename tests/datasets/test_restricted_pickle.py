"""Verification sets: what owners pickle is read, what could run or exhaust is refused."""

import os
import pickle
import struct

import numpy as np
import pytest

from faceptor.datasets.formats.restricted_pickle import load_pickle, load_verification
from faceptor.errors import DataError
from tests.datasets import published as pub
from tests.hostile import bombs

FACES = [pub.jpg(i, 20, 20) for i in range(4)]


def python2(images, same):
    """The stream Python 2 wrote: str as BINSTRING, flags as I01 / I00."""
    out = b"\x80\x02]("
    for image in images:
        out += b"T" + struct.pack("<i", len(image)) + image
    out += b"e]("
    for flag in same:
        out += b"\x88" if flag else b"\x89"
    return out + b"e\x86."


def python2_array(values):
    """numpy.core arrays as Python 2 pickled them, type names as byte strings."""
    data = values.tobytes()
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"K" + bytes([len(values)]) + b"K\x01\x86"
    return head + b"(K\x01" + shape + kind + b"\x89U" + bytes([len(data)]) + data + b"tb"


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("form", ["bytes", "flat", "column"])
def test_bytes_and_arrays_of_every_protocol(form, protocol, tmp_path):
    make = {
        "bytes": bytes,
        "flat": lambda face: np.frombuffer(face, np.uint8),
        "column": lambda face: np.frombuffer(face, np.uint8).copy()[:, None],
    }[form]
    content = ([make(face) for face in FACES], [True, np.bool_(False)])
    path = pub.put(tmp_path / "lfw.bin", pickle.dumps(content, protocol=protocol))
    assert load_verification(path) == (FACES, [True, False])


def test_flags_as_numbers_and_as_an_array(tmp_path):
    for flags in ([1, 0], np.array([True, False]), (True, False)):
        path = pub.put(tmp_path / "lfw.bin", pickle.dumps((FACES, flags), protocol=2))
        assert load_verification(path)[1] == [True, False]


def test_python_2_streams(tmp_path):
    path = pub.put(tmp_path / "lfw.bin", python2(FACES, [True, False]))
    assert load_verification(path) == (FACES, [True, False])
    values = np.arange(5, dtype=np.uint8)[:, None]
    path = pub.put(tmp_path / "a.bin", b"\x80\x02" + python2_array(values) + b".")
    np.testing.assert_array_equal(load_pickle(path), values)


class Call:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("what", "name"),
    [
        (Call(os.system, "touch pwned"), "system"),
        (Call(eval, "1"), "eval"),
        (Call(np.load, "x"), "load"),
        (Call(getattr, "text", "upper"), "getattr"),
        (Call(np.memmap, "/etc/passwd"), "memmap"),
    ],
)
def test_calls_are_refused(what, name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pub.put(tmp_path / "lfw.bin", pickle.dumps(([what], [True]), protocol=protocol))
    with pytest.raises(DataError, match=r"refused|wants to import") as error:
        load_verification(path)
    assert name in str(error.value) or "refused" in str(error.value)
    assert "lfw.bin" in str(error.value) and not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"\x80\x02]",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # bytes of a terabyte
        b"\x80\x02T" + struct.pack("<i", 1 << 30) + b"x.",
        b"\x80\x02]r" + struct.pack("<I", 0xFFFFFFFF) + b".",  # memo slot 4 billion
        b"\x80\x02cnumpy\nndarray\n(K\x01tR.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"\x80\x02(i__builtin__\neval\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Pid\n.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n\x8a\x06\0\0\0\0\0\x01\x85U\x01btR.",
    ],
)
def test_damaged_or_greedy_streams(data, tmp_path):
    path = pub.put(tmp_path / "lfw.bin", data)
    with pytest.raises(DataError):
        load_verification(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": 1}, "same-person flags"),
        ((FACES[:3], [True, False]), "two images per flag"),
        ((FACES, [True, "yes"]), "true or false"),
        ((FACES, 5), "two lists"),
    ],
)
def test_wrong_content(content, reason, tmp_path):
    path = pub.put(tmp_path / "lfw.bin", pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match=reason):
        load_verification(path)


def test_an_image_of_another_kind_becomes_empty(tmp_path):
    images = [FACES[0], 7, np.zeros((2, 2), np.uint8), np.zeros(3)]
    path = pub.put(tmp_path / "lfw.bin", pickle.dumps((images, [True, False]), protocol=2))
    assert load_verification(path)[0] == [FACES[0], b"", b"", b""]


@pytest.mark.parametrize(
    "values",
    [
        np.array([object()], object),
        np.zeros(2, [("a", "f8"), ("b", "O")]),
        np.zeros(2, "V8"),
        np.array(["2020-01-01"], "datetime64[D]"),
    ],
)
def test_arrays_of_other_things_than_numbers_are_refused(values, tmp_path):
    path = pub.put(tmp_path / "lfw.bin", pickle.dumps(([values, values], [True]), protocol=4))
    with pytest.raises(DataError):
        load_verification(path)


@pytest.mark.parametrize("kind", ["u1", "<f4", ">f4", "?", "i8", "S3", "U2"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_arrays_come_back(kind, protocol, tmp_path):
    values = np.arange(6).reshape(2, 3).astype(kind)
    for array in (values, np.asfortranarray(values)):
        path = pub.put(tmp_path / "a.bin", pickle.dumps(array, protocol=protocol))
        np.testing.assert_array_equal(load_pickle(path), values)


@pytest.mark.parametrize(
    "make", [bombs.object_array_bomb, bombs.memo_bomb, lambda: bombs.repeated_image(b"x"), lambda: bombs.zip_bomb()]
)
def test_bombs(make, tmp_path):
    path = pub.put(tmp_path / "lfw.bin", make())
    with pytest.raises(DataError):
        load_verification(path)


def test_a_shape_that_its_bytes_do_not_fill_is_refused(tmp_path):
    stream = pickle.dumps(np.arange(5, dtype=np.uint8), protocol=2)
    assert stream.count(b"K\x05\x85") == 1
    for shape in (b"J\xff\xff\xff\x7f\x85", b"J\xff\xff\xff\xff\x85", b"K\x04\x85"):
        path = pub.put(tmp_path / "a.bin", stream.replace(b"K\x05\x85", shape))
        with pytest.raises(DataError, match="array of"):
            load_pickle(path)
