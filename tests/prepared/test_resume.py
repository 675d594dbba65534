"""A preparation that was killed goes on behind its last finished shard, to the same bytes; splits as text."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import faceptor.prepared.shards as shards
from faceptor.errors import DataError
from faceptor.prepared.blocks import Blocks
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from tests.datasets import published as pub
from tests.prepared.test_prepare import bytes_of

READ_BY = {"one by one": "morph2", "in bulk": "ms1mv3"}


@pytest.fixture(params=READ_BY)
def small_shards(request, tmp_path, monkeypatch):
    """A data set in several shards: its name and its folder."""
    import faceptor.datasets.readers.ms1mv3 as reader

    name = READ_BY[request.param]
    pub.BUILDERS[name](tmp_path / "raw")
    monkeypatch.setattr(shards, "SHARD_BYTES", 6000)
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)
    monkeypatch.setattr(reader, "RECORDS_AT_A_TIME", 2)
    return name, tmp_path / "raw"


def run(name, root, out, **changes):
    options = {"strict_counts": False} | changes.pop("options", {})
    return prepare(name, root, out, validation=0.3, seed=1, max_rejects=0.3, options=options, **changes)


def killed_after(monkeypatch, blocks):
    """The next run stops when that many blocks are finished; returns what they were."""
    finish, finished = Blocks.finish_block, []

    def stopping(self):
        finish(self)
        finished.append((self.split, len(self.entries)))
        if len(finished) > blocks:
            raise KeyboardInterrupt

    monkeypatch.setattr(Blocks, "finish_block", stopping)
    return finished


@pytest.mark.parametrize("blocks", [0, 1, 2, 4])
def test_a_resumed_run_gives_the_same_bytes(small_shards, blocks, tmp_path, monkeypatch):
    name, root = small_shards
    run(name, root, tmp_path / "whole")
    assert len(list((tmp_path / "whole/train").glob("*.arrow"))) > 2
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        killed_after(patch, blocks)
        run(name, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with monkeypatch.context() as patch:
        written = killed_after(patch, 1000)
        run(name, root, tmp_path / "out")
    first = next(number for split, number in written if split == "train")
    assert first > blocks  # finished blocks are not written again
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole") and not list(tmp_path.glob(".out*"))


def test_what_was_begun_with_other_options_or_data_is_not_used(small_shards, tmp_path, monkeypatch):
    name, root = small_shards
    for change in ("options", "data", "shard"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            killed_after(patch, 2)
            run(name, root, tmp_path / "out")
        if change == "data":
            (root / "note.txt").write_text("the owner sent another version")
        if change == "shard":
            partial = next((tmp_path / ".out.partial/train").glob("*.arrow"))
            partial.write_bytes(partial.read_bytes()[:-8])
        with monkeypatch.context() as patch:
            written = killed_after(patch, 1000)
            run(name, root, tmp_path / "out", options={"seed": 3} if change == "options" else {})
        assert next(number for split, number in written if split == "train") == 1


def test_a_refused_run_leaves_nothing_to_go_on_with(tmp_path):
    pub.ms1mv3(tmp_path / "raw")
    with pytest.raises(DataError, match="as published"):
        prepare("ms1mv3", tmp_path / "raw", tmp_path / "out", validation=0.3, seed=1)
    assert not list(tmp_path.glob(".out*"))


KILLED = """
import os, signal, sys
import faceptor.prepared.shards as shards, faceptor.datasets.readers.ms1mv3 as reader
from faceptor.prepared.blocks import Blocks
from faceptor.prepared.prepare import prepare
shards.SHARD_BYTES, shards.BATCH_ROWS, reader.RECORDS_AT_A_TIME = 6000, 3, 2
finish = Blocks.finish_block
def killed(self):
    finish(self)
    if len(self.entries) == 2:
        self._writer("train").add({})  # half of the next one
        os.kill(os.getpid(), signal.SIGKILL)
Blocks.finish_block = killed
prepare("ms1mv3", sys.argv[1], sys.argv[2], validation=0.3, seed=1, max_rejects=0.3, options={"strict_counts": False})
"""


def test_a_process_that_was_killed(tmp_path, monkeypatch):
    import faceptor.datasets.readers.ms1mv3 as reader

    pub.ms1mv3(tmp_path / "raw")
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "raw", tmp_path / "out"], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    monkeypatch.setattr(shards, "SHARD_BYTES", 6000)
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)
    monkeypatch.setattr(reader, "RECORDS_AT_A_TIME", 2)
    run("ms1mv3", tmp_path / "raw", tmp_path / "out")
    run("ms1mv3", tmp_path / "raw", tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


# --- splits as text -----------------------------------------------------------------------------------------------


def test_splits_are_written_out_and_hashed(tmp_path):
    pub.morph2(tmp_path / "raw")
    card = run("morph2", tmp_path / "raw", tmp_path / "out", options={"protocol": "subject_exclusive"})
    assert "subject_exclusive" in card["protocol"]
    listed = {}
    for part, file in card["split_files"].items():
        text = (tmp_path / "out" / file).read_bytes()
        assert hashlib.sha256(text).hexdigest() == card["split_hashes"][part]
        listed[part] = text.decode().splitlines()
        assert listed[part] == sorted(open_split(tmp_path / "out", part).column("key"))
    assert set(listed) == {"train", "val", "test"} and sum(map(len, listed.values())) == 60
    subjects = {part: {Path(key).name.split("_")[0] for key in keys} for part, keys in listed.items()}
    assert not (subjects["train"] | subjects["val"]) & subjects["test"]


def test_the_random_protocol_splits_images(tmp_path):
    pub.morph2(tmp_path / "raw")
    one = run("morph2", tmp_path / "raw", tmp_path / "one")
    two = run("morph2", tmp_path / "raw", tmp_path / "two", options={"seed": 2})
    assert one["counts"]["test"] == two["counts"]["test"] == 12 and one["split_hashes"] != two["split_hashes"]
    assert not os.path.exists(tmp_path / "one" / "plan.json")
