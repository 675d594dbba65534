"""The judge sees what must never happen: readers with a fault planted in them fail."""

import os
from pathlib import Path

import numpy as np
import pytest

from faceptor.datasets.formats.restricted_pickle import load_pickle
from faceptor.datasets.reader import BadSample, Reader, Reject
from faceptor.datasets.readers.biwi import Biwi
from faceptor.datasets.readers.rafdb import RAFDB
from faceptor.errors import DataError
from tests.hostile import bombs
from tests.hostile.bases import BASES
from tests.hostile.judge import Judge
from tests.hostile.outcome import prepared

LIST = "basic/EmoLabel/list_patition_label.txt"


@pytest.fixture
def judge(tmp_path):
    return Judge(BASES["rafdb"][0], tmp_path)


def verdict(judge, tree):
    return judge.verdict(tree, prepared(judge.base, tree.root, judge.home / "out"))


def relabel(tree, row, label):
    """Another label in one line of the list."""
    lines = tree.read(LIST).splitlines()
    lines[row] = lines[row].split()[0] + b" " + label
    tree.write(LIST, b"\n".join(lines) + b"\n")


def test_the_sound_set_and_one_bad_line(judge):
    tree = judge.tree()
    assert verdict(judge, tree) == "" and judge.untouched
    relabel(tree, 2, b"nan")
    now = prepared(judge.base, tree.root, judge.home / "out")
    assert judge.verdict(tree, now) == "" and len(now.rejects) == 1 and len(now.rows) == 7


def test_another_exception(judge, monkeypatch):
    monkeypatch.setattr(RAFDB, "_record", lambda self, text, folder, split: {}[text])
    assert verdict(judge, judge.tree()).startswith("KeyError")


def test_one_bad_line_that_stops_all(judge, monkeypatch):
    def attempt(self, key, where, build, *args):
        try:
            return build(*args)
        except BadSample as error:
            raise DataError(str(error)) from None

    monkeypatch.setattr(Reader, "attempt", attempt)
    tree = judge.tree()
    relabel(tree, 2, b"nan")
    assert "alone decides about all samples" in verdict(judge, tree)


def test_what_all_samples_need_must_be_named_when_it_is_wrong(tmp_path, monkeypatch):
    judge = Judge(BASES["biwi"][0], tmp_path)
    tree, name = judge.tree(), "hpdb/01/rgb.cal"
    tree.write(name, tree.read(name) + b"\xe9\n")
    assert verdict(judge, tree) == ""

    def camera(self, folder):
        raise BadSample("expected a number")

    monkeypatch.setattr(Biwi, "_camera", camera)
    assert verdict(judge, tree).startswith("refused, though only")


def test_samples_that_vanish_without_a_word(judge, monkeypatch):
    read = RAFDB.read
    monkeypatch.setattr(
        RAFDB, "read", lambda self, split: (item for item in read(self, split) if not isinstance(item, Reject))
    )
    tree = judge.tree()
    relabel(tree, 2, b"nan")
    assert "without a word" in verdict(judge, tree)


def test_labels_of_another_sample(judge, monkeypatch):
    """A reader that skips a bad line, but not its image: all that follow get the label of their neighbour."""
    tree = judge.tree()
    read = RAFDB.read

    def shifted(self, split):
        items = list(read(self, split))
        good = [item for item in items if not isinstance(item, Reject)]
        for item, other in zip(good, good[1:] if len(good) < len(items) else good, strict=False):
            object.__setattr__(item, "expression", other.expression)
        yield from items

    relabel(tree, 3, b"nan")
    monkeypatch.setattr(RAFDB, "read", shifted)
    assert "alone decides about" in verdict(judge, tree)


def test_a_file_outside_the_folder(judge, monkeypatch):
    tree = judge.tree()
    tree.move_out("basic/Image/aligned/train_00002_aligned.jpg")
    assert verdict(judge, tree) == ""
    monkeypatch.setattr(Reader, "_stays", lambda self, path: True)
    assert "leads outside" in verdict(judge, tree)


def test_memory(judge, monkeypatch):
    read = RAFDB.read
    monkeypatch.setattr(RAFDB, "read", lambda self, split: [np.ones(60 << 20)] and read(self, split))
    assert verdict(judge, judge.tree()).startswith("took 4")


def test_code_that_runs(judge, monkeypatch):
    tree = judge.tree()
    read = RAFDB.read
    monkeypatch.setattr(RAFDB, "read", lambda self, split: [os.mknod(tree.canary)] and read(self, split))
    assert verdict(judge, tree)


@pytest.mark.parametrize("make", [bombs.canary_pickle, lambda canary: bombs.canary_pickle(canary) + b"junk"])
def test_the_canary_sings_for_a_plain_loader_only(make, tmp_path):
    path = Path(tmp_path / "x.bin")
    path.write_bytes(make(tmp_path / "canary"))
    with pytest.raises(DataError, match="refused"):
        load_pickle(path)
    assert not (tmp_path / "canary").exists()
    bombs.pickle.loads(path.read_bytes())
    assert (tmp_path / "canary").exists()
