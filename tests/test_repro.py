"""`faceptor repro`: order, company, failures, and the same record that `dvc repro` would leave."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.utils.serialize import _yaml

from faceptor.errors import FaceptorError
from faceptor.io.paths import ROOT
from faceptor.pipeline import repro

DIAMOND = {"data": set(), "left": {"data"}, "right": {"data"}, "last": {"left", "right"}}
PIPELINE = """
stages:
  first: {cmd: "echo one > a", outs: [a]}
  each:
    foreach: [x, y]
    do: {cmd: "cp a ${item}", deps: [a], outs: ["${item}"]}
  broken: {cmd: "false", deps: [x], outs: [never]}
  after: {cmd: "cp never z", deps: [never], outs: [z]}
"""


def test_what_does_not_wait_runs_side_by_side_and_the_rest_in_order():
    both, ran = threading.Barrier(2, timeout=30), []

    def run(stage: str, beside: int) -> bool:
        if stage in ("left", "right"):
            both.wait()  # breaks unless the other one runs now
        ran.append((stage, beside))
        return True

    assert repro.schedule(DIAMOND, run, jobs=2) == []
    assert [ran[0][0], {stage for stage, _ in ran[1:3]}, ran[3][0]] == ["data", {"left", "right"}, "last"]
    assert dict(ran) == {"data": 1, "left": 2, "right": 2, "last": 1}  # a stage alone has the machine to itself


def test_one_job_at_a_time_and_the_most_awaited_first():
    graph, ran = {"leaf": set(), "root": set(), "middle": {"root"}, "end": {"middle"}}, []
    assert repro.schedule(graph, lambda stage, beside: ran.append((stage, beside)) or True, jobs=1) == []
    assert [stage for stage, _ in ran] == ["root", "middle", "leaf", "end"]
    assert {beside for _, beside in ran} == {1}


def test_a_failure_stops_only_what_needs_it():
    ran = []
    failed = repro.schedule(DIAMOND, lambda stage, beside: ran.append(stage) or stage != "left", jobs=2)
    assert failed == ["left"] and set(ran) == {"data", "left", "right"}


def test_what_changed_takes_along_what_comes_after_and_a_target_what_comes_before():
    assert repro.with_dependents(DIAMOND, ["right"]) == {"right", "last"}
    assert repro.with_needs(DIAMOND, ["left"]) == {"data", "left"}
    assert repro.with_needs({"a@1": set(), "a@2": set(), "ab": set()}, ["a"]) == {"a@1", "a@2"}
    with pytest.raises(FaceptorError, match="no stage 'rihgt'"):
        repro.with_needs(DIAMOND, ["rihgt"])


def test_a_progress_bar_does_not_flood_the_output(monkeypatch):
    said = b"begin\n 1%\r 2%\r 3%\rdone\nend without a line end"
    assert list(repro.lines(io.BytesIO(said))) == ["begin", "done", "end without a line end"]
    monkeypatch.setattr(repro, "PROGRESS_SECONDS", -1)
    assert list(repro.lines(io.BytesIO(said))) == ["begin", "1%", "2%", "3%", "done", "end without a line end"]


def start(folder: Path, pipeline: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    Repo.init(str(folder)).close()
    (folder / "dvc.yaml").write_text(pipeline)


def test_a_pipeline_is_run_and_recorded_by_dvc(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start(tmp_path, PIPELINE)
    assert repro.reproduce(["each"], jobs=2) == ["first", "each@x", "each@y"]
    assert (tmp_path / "y").read_text() == "one\n" and "each@x: " in capsys.readouterr().out
    assert repro.reproduce(["each"], jobs=2) == []

    with pytest.raises(FaceptorError, match="broken failed"):
        repro.reproduce(jobs=2)
    assert not (tmp_path / "z").exists()

    (tmp_path / "dvc.yaml").write_text("stages: {first: {cmd: 3}}")
    with pytest.raises(FaceptorError, match="repro: "):
        repro.reproduce()


@pytest.mark.parametrize("lock", ["dvc.lock", "experiments/dvc.lock"])
def test_a_lock_of_which_only_one_stage_is_written_anew_is_the_same(lock, tmp_path, monkeypatch):
    def recorded(name: str) -> bytes:
        copy = Path(shutil.copy(ROOT / lock, tmp_path / name))
        with _yaml.modify_yaml(copy) as data:
            first = next(iter(data["stages"]))
            data["stages"] |= {first: {"cmd": "a: b"}, "new@x": {"params": {"file": {"key": None}}}}
        return copy.read_bytes()

    (tmp_path / "slow").mkdir()
    slow = recorded("slow/dvc.lock")
    for name in ("parse_yaml_for_update", "_dump"):
        monkeypatch.setattr(_yaml, name, getattr(_yaml, name))  # put back after the test
    repro.fast_locks()
    assert recorded("dvc.lock") == slow != (ROOT / lock).read_bytes()
    with _yaml.modify_yaml(tmp_path / "dvc.lock") as data:
        assert type(data) is dict  # and not what keeps comments
    assert (tmp_path / "dvc.lock").read_bytes() == slow

    (tmp_path / "dvc.yaml").write_text("a: 1  # one\n")
    with _yaml.modify_yaml(tmp_path / "dvc.yaml"):
        pass
    assert (tmp_path / "dvc.yaml").read_text() == "a: 1  # one\n"


def test_a_clone_with_a_filled_remote_computes_nothing_and_one_without_computes_all(tmp_path, monkeypatch, capsys):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    start(origin, PIPELINE.split("  broken")[0])
    monkeypatch.chdir(origin)
    assert repro.reproduce() == ["first", "each@x", "each@y"]
    (origin / ".dvc" / "config").write_text(
        f"[core]\nremote = shared\n['remote \"shared\"']\nurl = {tmp_path}/remote\n"
    )
    with Repo() as repo:
        repo.push()
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]
    for command in (["add", "-A"], commit, ["clone", "-q", ".", str(clone)]):
        subprocess.run(["git", *command], check=True)

    monkeypatch.chdir(clone)
    assert repro.reproduce() == []
    assert (clone / "y").read_text() == "one\n"

    (clone / "y").unlink()  # what is in the cache is not made again, with or without a remote
    assert repro.reproduce(pull=False, allow_missing=False) == []
    assert (clone / "y").exists()

    for folder in (clone / ".dvc/cache", clone / ".dvc/tmp", tmp_path / "remote"):
        shutil.rmtree(folder)
    (clone / "x").unlink()
    assert repro.reproduce(allow_missing=True) == [] and not (clone / "x").exists()
    assert "x" in capsys.readouterr().out.split("repro: ")[-1]
    assert repro.reproduce() == ["first", "each@x", "each@y"]  # an empty remote is as good as none


def test_a_lost_file_that_git_keeps_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(tmp_path, "stages: {note: {cmd: 'echo one > a', outs: [{a: {cache: false}}]}}")
    assert repro.reproduce() == ["note"]
    (tmp_path / "a").unlink()
    assert repro.reproduce(allow_missing=True) == ["note"] and (tmp_path / "a").exists()


def test_only_what_another_stage_needs_is_made_of_the_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(tmp_path, PIPELINE.split("  broken")[0])
    assert repro.reproduce() == ["first", "each@x", "each@y"]
    shutil.rmtree(tmp_path / ".dvc/cache")
    for name in ("a", "x", "y"):
        (tmp_path / name).unlink()
    assert repro.reproduce(allow_missing=True) == []
    text = (tmp_path / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("foreach: [x, y]", "foreach: [x, y, z]"))
    assert repro.reproduce(allow_missing=True) == ["first", "each@x", "each@y", "each@z"]


def test_it_says_how_far_it_is():
    told = []
    repro.schedule(DIAMOND, lambda stage, beside: True, jobs=1, say=told.append)
    assert told == [f"{i} of 4 stages done, now {stage}" for i, stage in enumerate(("data", "left", "right", "last"))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stages_end_with_the_command(number, tmp_path):
    # Every process of the stage holds the pipe: reading it to the end returns when the last of them is gone.
    start(tmp_path, "stages: {long: {cmd: 'sleep 600 & echo started; sleep 600', outs: [never]}}")
    command = subprocess.Popen(
        [sys.executable, "-m", "faceptor", "repro"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])},
    )  # fmt: skip
    assert any(b"started" in line for line in iter(command.stdout.readline, b""))
    command.send_signal(number)
    rest = command.stdout.read().decode()
    assert command.wait() != 0
    assert number == signal.SIGKILL or "stopped" in rest


def test_a_folder_without_git_is_told_the_remedy(tmp_path, monkeypatch):
    start(tmp_path, PIPELINE)
    shutil.rmtree(tmp_path / ".git")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FaceptorError, match="git init"):
        repro.reproduce()
