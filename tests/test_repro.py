"""`faceptor repro`: order, company, failures, and the same record that `dvc repro` would leave."""

import io
import subprocess
import sys
import threading

import pytest

from faceptor import repro
from faceptor.errors import FaceptorError

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
    monkeypatch.setattr(repro, "BAR_EVERY", -1)
    assert list(repro.lines(io.BytesIO(said))) == ["begin", "1%", "2%", "3%", "done", "end without a line end"]


def test_a_pipeline_is_run_and_recorded_by_dvc(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    assert repro.reproduce(["each"], jobs=2) == ["first", "each@x", "each@y"]
    assert (tmp_path / "y").read_text() == "one\n" and "each@x: " in capsys.readouterr().out
    assert repro.reproduce(["each"], jobs=2) == []

    with pytest.raises(FaceptorError, match="broken failed"):
        repro.reproduce(jobs=2)
    assert not (tmp_path / "z").exists()

    (tmp_path / "dvc.yaml").write_text("stages: {first: {cmd: 3}}")
    with pytest.raises(FaceptorError, match="repro: "):
        repro.reproduce()
