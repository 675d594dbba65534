"""Two processes train as one: losses, gradients, weights, checkpoints; class centres dealt over them; a rank killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

from faceptor.config import parse
from faceptor.config.params import Training
from faceptor.errors import ConfigError
from faceptor.io.processes import FAULT, LOST, SAID
from faceptor.pipeline import training
from faceptor.pipeline.data import preprocess_set, synthesize_set
from faceptor.pipeline.experiment import resolve
from faceptor.pipeline.launch import first_failure, processes_wanted
from faceptor.tasks import KINDS, task
from faceptor.tasks.losses.class_centres import part_of, uniform_rows
from faceptor.training.batches import dealt
from faceptor.training.dealt_validation import dealt_tasks
from tests import toy
from tests.models.test_ten_kinds import CONFIGS, INERT
from tests.test_stages import small_params
from tests.toy_processes import gradients, together, trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder):
    """What each of two processes found: name -> (of rank 0, of rank 1)."""
    calls = {f"gradients {name}": ("gradients", (name,), {}) for name in CONFIGS}
    calls |= {f"trained {name}": ("trained", (name, folder / name), {}) for name in CONFIGS}
    calls["half"] = ("trained", ("faceptor", folder / "half"), {"end": 1})
    calls["stopped"] = ("trained", ("naive", folder / "stopped"), {"end": 1})
    calls["resumed"] = ("trained", ("naive", folder / "stopped"), {})
    trained("faceptor", folder / "by two", end=1)  # by one process; two go on
    calls["by two"] = ("trained", ("faceptor", folder / "by two"), {})
    first, second = together(2, folder / "two", list(calls.values()))
    return dict(zip(calls, zip(first, second, strict=True), strict=True))


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_have_the_losses_and_gradients_of_one(name, two):
    """With three samples of a task, and with one, which a process has not."""
    one, both = gradients(name), two[f"gradients {name}"]
    for task_name, loss in one["losses"].items():
        assert sum(rank["losses"][task_name] for rank in both) == pytest.approx(loss, rel=1e-5), task_name
    assert [rank["norm"] for rank in both] == [pytest.approx(one["norm"], rel=1e-5)] * 2
    assert all(one["gradients"].keys() == rank["gradients"].keys() for rank in both)
    largest = max(float(gradient.abs().max()) for gradient in one["gradients"].values())
    for key, gradient in one["gradients"].items():
        parts = [rank["gradients"][key] for rank in both]
        if key.endswith("classifier"):
            torch.testing.assert_close(torch.cat(parts), gradient, rtol=1e-4, atol=5e-6 * largest)
            continue
        assert torch.equal(*parts), key
        torch.testing.assert_close(parts[0], gradient, rtol=1e-4, atol=5e-6 * largest)
    for key, value in one["buffers"].items():  # the running statistics among them
        torch.testing.assert_close(both[0]["buffers"][key], value, rtol=1e-5, atol=1e-6)


def whole(both, key):
    parts = [rank["tensors"][key] for rank in both]
    return torch.cat(parts) if key.endswith("classifier") else parts[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_three_steps_of_two_processes_are_those_of_one(name, two, tmp_path):
    one, both = trained(name, tmp_path), two[f"trained {name}"]
    assert [(row["step"], row["name"]) for row in one["rows"]] == [(r["step"], r["name"]) for r in both[0]["rows"]]
    for row, shared in zip(one["rows"], both[0]["rows"], strict=True):
        assert shared["value"] == pytest.approx(row["value"], rel=1e-4 if row["name"] == "gradient_norm" else 1e-5), row
    for key, value in one["tensors"].items():
        if not key.endswith(INERT):  # AdamW makes whole steps of a gradient that is nothing but rounding
            torch.testing.assert_close(whole(both, key), value, rtol=1e-5, atol=1e-5)


def test_two_processes_that_were_stopped_end_with_the_same_bits(two):
    for straight, resumed in zip(two["trained naive"], two["resumed"], strict=True):
        for key, value in straight["tensors"].items():
            assert torch.equal(resumed["tensors"][key], value), key


def test_a_checkpoint_of_any_number_of_processes_is_continued_by_any_other(two, folder):
    assert [path.name for path in sorted((folder / "half").iterdir())] == ["last.pt", "rows-1"]
    for place in ("by one", "by three"):
        shutil.copytree(folder / "half", folder / place)
    by_one = trained("faceptor", folder / "by one")
    assert not list((folder / "by one").glob("rows-*"))  # a process alone writes one file
    by_three = together(3, folder / "three", [("trained", ("faceptor", folder / "by three"), {})])
    for key, value in by_one["tensors"].items():
        if not key.endswith(INERT):
            for other in (two["trained faceptor"], two["by two"], [rank[0] for rank in by_three]):
                torch.testing.assert_close(whole(other, key), value, rtol=1e-5, atol=1e-5)
    assert two["by two"][0]["rows"][0]["step"] == 1  # told again; it did not start anew


# --- dealing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_sample_of_a_step_goes_to_one_process(world):
    counts = {"a": (512, 2), "b": (512, 3), "c": (112, 64), "d": (112, 1), "e": (512, 1)}
    shares = [dealt(counts, rank=rank, world=world) for rank in range(world)]
    for name, (_, count) in counts.items():
        assert [place for share in shares for place in share[name]] == list(range(count))
    for size in (512, 112):
        sums = [sum(len(share[name]) for name, (of, _) in counts.items() if of == size) for share in shares]
        assert max(sums) - min(sums) <= 1


@pytest.mark.parametrize("world", [2, 3])
def test_samples_that_do_not_divide_are_those_of_one_process(world):
    whole, parts = toy.steps(4, samples=4)[2], [toy.steps(4, samples=4, rank=r, world=world)[2] for r in range(world)]
    for name, batch in whole.items():
        for key, value in batch.items():
            assert torch.equal(value, torch.cat([part[name][key] for part in parts])), (name, key)


def test_a_process_without_a_sample_has_its_tensors_without_rows():
    whole, alone = toy.steps(4, samples=1)[1], toy.steps(4, samples=1, rank=4, world=5)[1]
    for name, batch in whole.items():
        assert {k: (v.dtype, v.shape[1:]) for k, v in batch.items()} == {
            k: (v.dtype, v.shape[1:]) for k, v in alone[name].items()
        }
        assert {len(value) for value in alone[name].values()} == {0}


def test_tasks_are_validated_by_one_process_where_there_is_one():
    assert dealt_tasks({"a": 1.0, "b": 5.0}) == ["a", "b"]


# --- class centres --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3])
def test_dealt_centres_are_drawn_as_all_of_them_would_be(world):
    torch.manual_seed(5)
    whole, after = torch.empty(431, 7).uniform_(-0.3, 0.3), torch.rand(1)
    parts = [part_of(431, rank, world) for rank in range(world)]
    assert [len(chunk) for chunk in whole.chunk(world)] == [part.stop - part.start for part in parts]
    for part in parts:
        torch.manual_seed(5)
        assert torch.equal(uniform_rows(431, 7, part, bound=0.3, at_once=100), whole[part])
        assert torch.equal(torch.rand(1), after)


def test_fewer_identities_than_processes_need_is_an_error():
    with pytest.raises(ConfigError, match=r"5 training identities cannot be dealt over 4 processes"):
        part_of(5, 0, 4)


def test_sampled_centres_hold_the_true_ones_and_no_gradient_reaches_the_others():
    spec = task("recognition_ms1mv3")
    torch.manual_seed(0)
    criterion = KINDS[spec.kind].criterion(spec, classes=40, embedding=8, sample_rate=0.25).train()
    embedding, label = torch.randn(6, 8), torch.tensor([3, 39, 3, 0, 17, 20])
    drawn = criterion.drawn(label)
    assert len(drawn) == 10 and set(label.tolist()) <= set(drawn.tolist())
    torch.manual_seed(1)
    loss = criterion(embedding, {"identity": label})["loss"]
    torch.manual_seed(1)
    kept = criterion.drawn(label)
    loss.backward()
    touched = criterion.classifier.grad.abs().sum(1).nonzero()[:, 0]
    assert set(touched.tolist()) == set(kept.tolist())
    whole = KINDS[spec.kind].criterion(spec, classes=len(kept), embedding=8)
    whole.classifier.data = criterion.classifier.detach()[kept]
    by_hand = whole(embedding, {"identity": torch.searchsorted(kept, label)})["loss"]
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)


# --- starting processes ----------------------------------------------------------------------------------------------


class Failure:
    def __init__(self, exitcode, timestamp=0):
        self.exitcode, self.timestamp = exitcode, timestamp


def test_the_failure_that_the_others_followed_from_is_told():
    lost = {"kind": LOST, "message": "Connection closed by peer", "time": 1.0}
    said, fault = ({"kind": kind, "message": "age 300", "time": 2.0} for kind in (SAID, FAULT))
    failures = {0: Failure(2), 1: Failure(2), 2: Failure(-9)}
    assert first_failure(failures, {0: lost, 1: said}) == "rank 1: age 300"
    assert "rank 2: its process was killed (SIGKILL)" in first_failure(failures, {0: lost, 1: lost})
    assert first_failure({0: Failure(1)}, {0: lost}).startswith("rank 0: lost touch with the other processes (Conn")
    assert first_failure({0: Failure(1), 1: Failure(1)}, {0: lost, 1: fault}).startswith("rank 1: stopped by a fault")


def test_processes_are_as_many_as_gpus_allow(monkeypatch):
    assert processes_wanted(Training(processes=0), "auto") == 1 and processes_wanted(Training(processes=3), "cpu") == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert processes_wanted(Training(processes=0), "auto") == 2
    with pytest.raises(ConfigError, match=r"train\.processes: expected at most one process for each of the 2 GPUs"):
        processes_wanted(Training(processes=3), "auto")
    with pytest.raises(ConfigError, match=r"train\.processes: 2 processes cannot share --device cuda:1"):
        processes_wanted(Training(processes=2), "cuda:1")


# --- by the command line ---------------------------------------------------------------------------------------------

TASK = "expression_rafdb"
TRAIN = [sys.executable, "-m", "faceptor", "train", "stage1"]


def toy_values(processes: int) -> dict:
    values = small_params()
    values["train"] = {"processes": processes, "restarts": 1}
    values["synthesis"] = {"rafdb": {"train": 28, "test": 7}}
    values["datasets"] = {"rafdb": values["datasets"]["rafdb"]}
    values["model"]["encoder"]["drop_path"] = 0.0
    values["stage1"]["tasks"] = {TASK: values["stage1"]["tasks"][TASK] | {"samples": 3}}
    values["stage1"] |= {"steps": 12, "validate_every": 6, "checkpoint_every": 1}
    values["stage2"]["tasks"] = {TASK: {"samples": 4}}
    values["transfer"]["tasks"], values["transfer"]["matrix"] = {}, {"dataset": [], "mode": []}
    values["baselines"], values["evaluate"]["models"] = {}, ["stage1"]
    return values | {"shipped": {}, "experiments": {}}


def rank_of(process: Path) -> str | None:
    """RANK in the environment of a process, a folder of /proc."""
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((v.decode().partition("=")[2] for v in variables if v.startswith(b"RANK=")), None)


def children(pid: int) -> list[Path]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(stat.parent)
    return found


def logged() -> list[float]:
    """The objective at every step, as DVCLive keeps it."""
    table = Path("results/train/stage1/plots/metrics/loss/all.tsv").read_text()
    return [float(row.split("\t")[1]) for row in table.splitlines()[1:]]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for the ranks in /proc")
def test_two_processes_by_params_yaml_one_killed_train_as_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "PICTURES_FRAMED", 2)
    values = toy_values(processes=2)
    experiment = resolve(parse(values))
    synthesize_set(experiment, "rafdb", workers=1)
    preprocess_set(experiment, "rafdb")
    Path("params.yaml").write_text(yaml.safe_dump(values))
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = subprocess.Popen(TRAIN, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told = []
    for line in command.stderr:
        told.append(line)
        if line.startswith("step 4/12") and len([each for each in told if each.startswith("step 4/")]) == 1:
            second = next(process for process in children(command.pid) if rank_of(process) == "1")
            os.kill(int(second.name), signal.SIGKILL)
    assert command.wait() == 0, "".join(told)
    assert any(re.match(r"resuming at step \d+ of 12", line) for line in told), "".join(told)
    assert command.stdout.read().count("stage1: weights of step") == 1
    two = logged()
    training.train_joint(experiment)
    assert len(two) == 12 and logged() == [pytest.approx(loss, rel=1e-4) for loss in two]
