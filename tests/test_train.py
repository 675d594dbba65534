"""The loop: resume to the same weights, the objective of eq. (8), frozen parts, loud failure."""

import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faceptor.cli.trouble import said
from faceptor.config import rates
from faceptor.errors import ConfigError, DataError, FaceptorError, WeightsError
from faceptor.training.checkpoint import load_checkpoint, save_atomic
from faceptor.training.interruption import Interrupted
from faceptor.training.loop import Run, train
from faceptor.training.precision import choose_precision
from faceptor.training.threads import fixed_threads
from tests import toy

KILLED = """
import os, signal, sys
from pathlib import Path
from faceptor.training.threads import fixed_threads
from faceptor.cli.trouble import said
from tests import toy
from faceptor.training import state

real, count = state.save_atomic, 0
def save(state, path):
    global count
    count += 1
    if count == 6 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(state, path)
    if count == 6:
        os.kill(os.getpid(), signal.SIGKILL)
state.save_atomic = save
toy.run(Path(sys.argv[1]))
"""


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    model, _, outcome = toy.run(tmp_path_factory.mktemp("straight"))
    return weights(model), outcome


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_run_ends_with_the_same_weights(straight, tmp_path, moment):
    """Also where the command that was killed had other threads to use than the one that goes on."""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]  # packages may be there
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2" if moment == "before" else "1")
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, moment], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert load_checkpoint(tmp_path / "last.pt")["step"] == (5 if moment == "before" else 6)
    with fixed_threads(2 if moment == "after" else 1):
        model, _, outcome = toy.run(tmp_path)
    expected, straight_outcome = straight
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert outcome == straight_outcome


def test_a_stopped_run_finishes_its_step_and_says_so(straight, tmp_path):
    def validate(model):
        signal.raise_signal(signal.SIGTERM)
        return toy.score(model)

    with pytest.raises(Interrupted, match="stopped at step 4 of 10"):
        toy.run(tmp_path, validate=validate, checkpoint_every=100)
    model, _, _ = toy.run(tmp_path, checkpoint_every=100)
    assert all(torch.equal(value, straight[0][name]) for name, value in model.state_dict().items())


CHANGES = {
    "stage1.optimiser.lr": {"optimiser": toy.OPTIMISER.model_copy(update={"lr": 2e-3})},
    "stage1.threads": {"threads": 2},
    "stage1.accumulate": {"accumulate": 3},
    "stage1.validate_every": {"validate_every": 2},
    "precision": {"precision": "bfloat16"},
    "parameters": {"trainable": ("queries.*",)},
    "seed": {"seed": 8},
    "datasets.morph2: train split": {"record": {"datasets.morph2: train split": "other labels"}},
}


def stopped(folder: Path, **changes) -> int:
    """A run that was asked to stop; the step it reached since it was started."""
    done = []

    def validate(model):
        done.append(1)
        signal.raise_signal(signal.SIGTERM)
        return toy.score(model)

    with pytest.raises(Interrupted, match=r"stopped at step (\d+)") as error:
        toy.run(folder, validate=validate, **changes)
    return int(re.search(r"step (\d+)", str(error.value)).group(1))


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    assert stopped(folder, validate_every=1) == 1
    return folder


@pytest.mark.parametrize("key", CHANGES)
def test_a_run_that_differs_starts_anew_and_names_the_key(half_done, key, tmp_path, capsys):
    shutil.copytree(half_done, tmp_path, dirs_exist_ok=True)
    assert stopped(tmp_path, **({"validate_every": 1} | CHANGES[key])) < 3
    said = capsys.readouterr().err
    assert "starting anew" in said and f"{key} " in said


def test_what_does_not_shape_the_weights_does_not_start_anew(half_done, tmp_path, capsys):
    shutil.copytree(half_done, tmp_path, dirs_exist_ok=True)
    assert (
        stopped(tmp_path, validate_every=1, log_every=1, checkpoint_every=3, workers=1, checkpoint_activations=True)
        == 2
    )
    assert "resuming at step 1" in capsys.readouterr().err


OLDER = {1: {"fingerprint": "0123"}, 2: {"record": {"seed": 7, "checkpoint format": 2}, "adamw": {}, "muon": {}}}


@pytest.mark.parametrize("format_", OLDER)
def test_a_checkpoint_of_an_older_format_starts_anew(format_, tmp_path, capsys):
    save_atomic(OLDER[format_] | {"step": 2}, tmp_path / "last.pt")
    stopped(tmp_path)
    assert f"checkpoint format {format_} -> 3); starting anew" in capsys.readouterr().err


@pytest.mark.parametrize("state", [[1, 2], {"step": 1}, {"record": 3}], ids=str)
def test_a_file_that_is_no_checkpoint_is_an_error(state, tmp_path):
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=r"last\.pt: expected a checkpoint"):
        toy.run(tmp_path)
    assert torch.load(tmp_path / "last.pt") == state


def test_a_checkpoint_with_a_part_missing_is_an_error(half_done, tmp_path):
    state = load_checkpoint(half_done / "last.pt")
    del state["optimiser"]["param_groups"]
    save_atomic(state, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match=r"last\.pt: damaged checkpoint"):
        toy.run(tmp_path, validate_every=1)


def test_the_number_of_threads_is_the_stages_own(tmp_path):
    found = []

    def validate(model):
        found.append(torch.get_num_threads())
        return toy.score(model)

    before = torch.get_num_threads()
    toy.run(tmp_path, count=2, optimiser=toy.OPTIMISER.model_copy(update={"warmup": 1}), threads=2, validate=validate)
    assert found == [2] and torch.get_num_threads() == before


def test_a_full_disk_leaves_the_last_good_checkpoint(half_done, tmp_path):
    shutil.copytree(half_done, tmp_path, dirs_exist_ok=True)
    good = (tmp_path / "last.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))  # writing fails there as on a full disk
    try:
        with pytest.raises(FaceptorError, match=r"cannot write .*last\.pt") as error:
            toy.run(tmp_path, validate_every=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"] and (tmp_path / "last.pt").read_bytes() == good


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error:
        save_atomic({}, tmp_path / "file" / "run" / "last.pt")
    assert "file" in said(error.value) and "\n" not in said(error.value)


def test_a_score_that_is_not_a_number_stops_the_run_and_names_the_task(tmp_path):
    scores = iter([(1.0, {}), (float("nan"), {"age_morph2": {"headline": 3.0, "skill": float("nan")}})])
    with pytest.raises(FaceptorError, match=r"step 8: .*age_morph2\.skill"):
        toy.run(tmp_path, validate=lambda model: next(scores))
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 7


def test_a_gradient_that_is_not_finite_changes_no_weight(tmp_path):
    model, criteria = toy.model_and_criteria()
    before = weights(model)
    model.queries["age_morph2"].content.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(FaceptorError, match="step 0: the gradient is not finite"):
        toy.run(tmp_path, parts=(model, criteria))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# --- without validation --------------------------------------------------------------------------------------------


def test_without_validation_the_last_weights_are_kept(straight, tmp_path):
    model, _, outcome = toy.run(tmp_path, validate=None)
    assert (outcome.best_step, outcome.best_score) == (10, None) and "no validation" in outcome.selected
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 10
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in straight[0].items())  # its best was 10
    assert straight[1].best_step == 10 and straight[1].selected == "best validation"


# --- precision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)]
)
def test_bfloat16_only_where_the_cores_compute_in_it(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)  # as on V100 and T4
    assert choose_precision("auto", torch.device("cuda:1")) == expected
    assert choose_precision("auto", torch.device("cpu")) == torch.float32
    assert choose_precision("float16", torch.device("cpu")) == torch.float16


def test_a_float16_run_resumes_with_its_scale(tmp_path):
    model, _, _ = toy.run(tmp_path / "straight", precision="float16")
    assert stopped(tmp_path / "run", precision="float16") == 4
    resumed, _, outcome = toy.run(tmp_path / "run", precision="float16")
    assert outcome.record["precision"] == "float16"
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in model.state_dict().items())


def test_an_overflow_in_float16_moves_nothing_and_lowers_the_scale(tmp_path):
    model, criteria = toy.model_and_criteria()
    before, steps = weights(model), iter(range(100))
    # overflows in one parameter, in the first step alone
    model.queries["age_morph2"].content.register_hook(lambda g: g * float("inf") if next(steps) == 0 else g)
    after_first = []

    def validate(model):
        after_first.append(weights(model))
        return toy.score(model)

    toy.run(tmp_path, parts=(model, criteria), precision="float16", validate=validate, validate_every=1, count=3)
    assert all(torch.equal(value, before[name]) for name, value in after_first[0].items())
    assert not all(torch.equal(value, before[name]) for name, value in after_first[1].items())
    saved = load_checkpoint(tmp_path / "last.pt")
    assert saved["scaler"]["scale"] == 2.0**15  # half of what it starts with
    assert all(math.isfinite(value) for row in saved["history"] for value in row.values())


# --- loader processes ----------------------------------------------------------------------------------------------


class Failing:
    """Steps of which the third fails in its loader process."""

    streams = ()

    def __init__(self, steps, fail):
        self.steps, self.fail = steps, fail

    def __len__(self):
        return len(self.steps)

    def __getitem__(self, step):
        return self.steps[step] if step < 2 else self.fail()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def bad_label():
    raise DataError("morph2/7.jpg: age 300, expected at most 100")


@pytest.mark.parametrize(("fail", "words"), [(killed, "data.workers"), (bad_label, r"^morph2/7\.jpg: age 300")])
def test_what_fails_in_a_loader_process_is_one_line(fail, words, tmp_path):
    with pytest.raises((FaceptorError, RuntimeError)) as error:
        toy.run(tmp_path, batches=Failing(toy.steps(10), fail), workers=1)
    line = said(error.value)
    assert re.search(words, line) and "\n" not in line


# --- files of other kinds ------------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_an_error(tmp_path):
    save_atomic({"step": 1}, tmp_path / "last.pt")
    data = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match=r"last.pt: unreadable checkpoint .*delete it"):
        toy.run(tmp_path)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch " + str(tmp_path / "ran"),)

    torch.save({"fingerprint": Evil()}, tmp_path / "last.pt")
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "ran").exists()


def test_objective_is_the_weighted_mean_of_task_losses(tmp_path):
    rows = []

    class Live:
        step = 0

        def log_metric(self, name, value, timestamp):
            rows.append((self.step, name, value))

        def make_summary(self):
            pass

    toy.run(tmp_path, count=4, live=Live())
    logged = {name: value for step, name, value in rows if step == 2}
    by_hand = sum(each.weight * logged[f"loss/{name}"] for name, each in toy.sampling().items()) / 13
    assert logged["loss/all"] == pytest.approx(by_hand, rel=1e-6)


def test_frozen_parts_keep_weights_and_statistics(tmp_path):
    before, _ = toy.model_and_criteria()
    model, _, outcome = toy.run(tmp_path, count=4, trainable=("queries.age_morph2.*",))
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before.state_dict()[n])}
    assert changed == {"queries.age_morph2.content", "queries.age_morph2.position"}
    assert outcome.trainable == 2 * 101 * 16


def test_an_unmatched_trainable_pattern_stops_the_run(tmp_path):
    with pytest.raises(ConfigError, match=r"'querys\.\*' matches no parameter"):
        toy.run(tmp_path, trainable=("querys.*",))


def test_a_loss_that_is_not_finite_names_its_terms(tmp_path):
    with pytest.raises(FaceptorError, match=r"step \d+: the loss is not finite .*age_morph2.loss"):
        far = toy.Optimiser(lr=1e30, start_lr=1e30, multipliers=rates({"*": 1.0}), warmup=0, clip=1e30)
        toy.run(tmp_path, optimiser=far)


def test_best_weights_are_those_of_the_best_validation(tmp_path):
    scores = iter([3.0, 1.0, 2.0])
    kept = []

    def validate(model):
        kept.append(weights(model))
        return next(scores), {}

    model, _, outcome = toy.run(tmp_path, validate=validate)
    assert (outcome.best_step, outcome.best_score) == (4, 3.0)
    assert all(torch.equal(value, kept[0][name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("world", [2, 3])
def test_sharded_batches_hold_the_same_samples(world):
    whole = toy.steps(4, samples=6)[2]
    parts = [toy.steps(4, samples=6, rank=rank, world=world)[2] for rank in range(world)]
    for name, batch in whole.items():
        for key, value in batch.items():
            assert torch.equal(value, torch.cat([part[name][key] for part in parts])), (name, key)


def test_every_epoch_shows_every_sample_once():
    stream = toy.steps(4).streams["age_morph2"]
    first, second = ([stream.index(i) for i in range(start, start + 12)] for start in (0, 12))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_every_task_learns(tmp_path):
    """Some dozen steps on the same twelve faces bring every task's loss down: nothing is disconnected."""
    first, last = {}, {}

    class Live:
        step = 0

        def log_metric(self, name, value, timestamp):
            (first if self.step == 1 else last)[name] = value

        def make_summary(self):
            pass

    model, criteria = toy.model_and_criteria()
    optimiser = toy.Optimiser(lr=3e-3, multipliers=rates({"*": 1.0}), warmup=2)
    stage = toy.stage(60, optimiser=optimiser, log_every=1, validate_every=60, checkpoint_every=60)
    run = Run(tmp_path, {}, seed=7, device=torch.device("cpu"), live=Live())
    train(
        model, criteria, toy.steps(60, samples=12), stage=stage, weights=toy.weights(), trainable=("*",), run=run,
        validate=toy.score,
    )  # fmt: skip
    for name in toy.TASKS:
        assert last[f"loss/{name}"] < first[f"loss/{name}"], name
