"""The loop: resume to the same weights, the objective of eq. (8), frozen parts, loud failure."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faceptor import train
from faceptor.checkpoint import load_checkpoint, save_atomic
from faceptor.config import rates
from faceptor.errors import ConfigError, FaceptorError, WeightsError
from tests import toy

KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from pathlib import Path
from tests import toy
from faceptor import checkpoint, train

real, count = train.save_atomic, 0
def save(state, path):
    global count
    count += 1
    if count == 6 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(state, path)
    if count == 6:
        os.kill(os.getpid(), signal.SIGKILL)
train.save_atomic = save
toy.run(Path(sys.argv[1]))
"""


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    torch.set_num_threads(1)
    model, _, outcome = toy.run(tmp_path_factory.mktemp("straight"))
    return weights(model), outcome


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_run_ends_with_the_same_weights(straight, tmp_path, moment):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, moment], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert load_checkpoint(tmp_path / "last.pt")["step"] == (5 if moment == "before" else 6)
    model, _, outcome = toy.run(tmp_path)
    expected, straight_outcome = straight
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert outcome == straight_outcome


def test_a_stopped_run_finishes_its_step_and_says_so(straight, tmp_path):
    def validate(model):
        signal.raise_signal(signal.SIGTERM)
        return toy.score(model)

    with pytest.raises(train.Interrupted, match="stopped at step 4 of 10"):
        toy.run(tmp_path, validate=validate, checkpoint_every=100)
    model, _, _ = toy.run(tmp_path, checkpoint_every=100)
    assert all(torch.equal(value, straight[0][name]) for name, value in model.state_dict().items())


def test_a_checkpoint_of_another_configuration_is_not_continued(tmp_path, capsys):
    toy.run(tmp_path, count=4)
    toy.run(tmp_path, count=5)
    assert "another configuration" in capsys.readouterr().err


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
    by_hand = sum(mix.weight * logged[f"loss/{name}"] for name, mix in toy.mixes().items()) / 13
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
    train.run(
        model, criteria, toy.steps(60, samples=12), stage=stage, mixes=toy.mixes(12), trainable=("*",), live=Live(),
        folder=tmp_path, seed=7, device=torch.device("cpu"), validate=toy.score,
    )  # fmt: skip
    for name in toy.TASKS:
        assert last[f"loss/{name}"] < first[f"loss/{name}"], name
