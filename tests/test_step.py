"""A step of training: it waits for no device, lets nothing but finite numbers into the weights, and its options give
the same gradients."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from faceptor.config import rates
from faceptor.errors import DataError, FaceptorError
from faceptor.tasks.limits import Limits
from faceptor.training import loop, speed
from faceptor.training.batches import CheckedSteps, ready
from faceptor.training.finite import FiniteWatch, guarded_step
from faceptor.training.graph import Recorded
from faceptor.training.optimiser import build_optimiser
from faceptor.training.state import TrainState
from faceptor.training.step import GradientStep, task_losses, train_step
from faceptor.training.trainable import named_parameters
from tests import toy
from tests.models.test_facexformer import SWIN
from tests.models.test_facexformer import toy_model as toy_facexformer
from tests.models.test_naive import toy_model as toy_naive

ADAMW = toy.OPTIMISER.model_copy(update={"muon": ()})
LATE = partial(FiniteWatch, at_once=False)  # as on a GPU


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(model, expected) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def losses_of(model, criteria):
    return partial(task_losses, model, criteria)


def state_of(model, criteria, optimiser=ADAMW) -> TrainState:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return TrainState(model, criteria, build_optimiser(named_parameters(model, criteria), optimiser), scaler)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return weights(toy.run(tmp_path_factory.mktemp("straight"), count=4)[0])


# --- waiting -------------------------------------------------------------------------------------------------------


def test_a_step_asks_the_device_nothing():
    """A tensor on `meta` has no values: whoever asks for one (item, a branch, a mask as an index) gets an error."""
    model, criteria = (part.to("meta") for part in toy.model_and_criteria())
    batch = {name: {key: v.to("meta") for key, v in items.items()} for name, items in ready(toy.steps(1)[0]).items()}
    state, watch = state_of(model, criteria), LATE(torch.device("meta"))
    settings = toy.stage(4, optimiser=ADAMW, accumulate=2)
    compute = GradientStep(state, losses_of(model, criteria), settings, toy.weights(), torch.float32, watch)
    found = [train_step(state, batch, compute, stage=settings) for _ in range(2)][-1]
    assert state.step == 2 and found["gradient_norm"].is_meta and found["loss/all"].is_meta
    with pytest.raises(RuntimeError, match="meta"):  # so the test above can fail
        watch.require()


# --- what is not finite --------------------------------------------------------------------------------------------


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(loop, "FiniteWatch", LATE)


def test_looking_late_changes_no_weight(late, straight, tmp_path):
    assert same(toy.run(tmp_path, count=4)[0], straight)


@pytest.mark.parametrize(("settings", "seen"), [({"log_every": 3}, 3), ({"validate_every": 3}, 3), ({}, 4)])
def test_a_bad_gradient_stops_the_run_before_anything_is_kept(late, settings, seen, tmp_path):
    model, criteria = toy.model_and_criteria()
    steps = iter(range(100))
    model.queries["age_morph2"].content.register_hook(lambda g: g * float("nan") if next(steps) == 1 else g)
    rare = {"log_every": 100, "validate_every": 100, "checkpoint_every": 100} | settings
    with pytest.raises(FaceptorError, match="step 1: the gradient is not finite"):
        toy.run(tmp_path, parts=(model, criteria), count=4, **rare)
    assert next(steps) == seen and not (tmp_path / "last.pt").exists()
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_bad_loss_is_named_with_its_terms(late, tmp_path):
    far = toy.Optimiser(lr=1e30, start_lr=1e30, multipliers=rates({"*": 1.0}), warmup=0, clip=1e30)
    with pytest.raises(FaceptorError, match=r"step \d+: the loss is not finite .*age_morph2.loss=nan"):
        toy.run(tmp_path, optimiser=far)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_a_guarded_step(fused, failed):
    """A fused optimiser leaves everything as it is; another one moves by its momentum and decay alone."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.0, fused=fused)
    weight.grad = torch.tensor([1.0, float("inf") if failed else 1.0, 1.0])
    guarded_step(optimiser, torch.tensor(failed))
    assert torch.equal(weight.detach(), torch.ones(3)) == failed
    assert not hasattr(optimiser, "found_inf")


# --- labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [101.0, -1.0, float("nan")])
def test_a_label_that_cannot_be_true_is_named_where_it_is_loaded(value):
    class Wrong:
        def __getitem__(self, step):
            return {"age_morph2": {"image": torch.zeros(3, 1), "age": torch.tensor([4.0, value, 7.0])}}

    words = rf"step 5: age_morph2: age of sample 1 of the batch: expected a value in \[0, 100\], found {value:g}; "
    with pytest.raises(DataError, match=words):
        CheckedSteps(Wrong(), {"age_morph2": {"age": Limits(0, 100)}})[5]


def test_the_loop_checks_what_its_criteria_say(tmp_path):
    model, criteria = toy.model_and_criteria()
    criteria["age_morph2"].limits = {"age": Limits(0, 15)}
    with pytest.raises(DataError, match=r"step 0: age_morph2: age of sample 0"):
        toy.run(tmp_path, parts=(model, criteria), workers=1)


# --- options -------------------------------------------------------------------------------------------------------


def gradients(parts: int, samples: int = 5) -> dict[str, torch.Tensor]:
    model, criteria = toy.model_and_criteria()
    state = state_of(model.eval(), criteria)  # nothing is dropped
    settings, watch = toy.stage(4, accumulate=parts), FiniteWatch(torch.device("cpu"))
    step = GradientStep(state, losses_of(model, criteria), settings, toy.weights(), torch.float32, watch)
    total, losses = step.backward(ready(toy.steps(1, samples=samples)[0]))
    told = {f"{task}.{name}": value for task, terms in losses.items() for name, value in terms.items()}
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None} | told | {"total": total}


@pytest.mark.parametrize("parts", [2, 5, 7])
def test_accumulated_gradients_are_those_of_the_whole_batch(parts):
    """Also where the samples do not divide, or are fewer than the pieces; so are the losses that are logged."""
    whole, accumulated = gradients(1), gradients(parts)
    assert whole.keys() == accumulated.keys()
    for name, value in whole.items():
        torch.testing.assert_close(accumulated[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_run_with_every_option(straight, tmp_path):
    """Recomputed activations give the same weights to the bit; accumulating takes other random numbers and sums."""
    model, *_ = toy.run(tmp_path / "recomputed", count=4, checkpoint_activations=True)
    assert same(model, straight)
    model, *_ = toy.run(tmp_path / "both", count=4, checkpoint_activations=True, accumulate=3)
    assert not same(model, straight)
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("make", [partial(toy_facexformer, backbone=SWIN), toy_naive], ids=["facexformer", "naive"])
def test_recomputed_activations_give_the_same_gradients(make):
    """Of the other models, whose layers are timm's own and the two-way decoder's."""
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = make().train()
        images = torch.rand(3, 3, 32, 32)
        with speed.recomputed(speed.layers_of(model) if recompute else ()):
            raw = model(images)
        sum(value.square().sum() for value in raw.values()).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() and all(torch.equal(v, found[1][name]) for name, v in found[0].items())


def test_a_compiled_encoder_trains_to_the_same_weights(straight, tmp_path, monkeypatch):
    """Captured as a graph and run by torch, so that no compiler is needed."""
    compiled = []
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=lambda graph, _: compiled.append(1) or graph))
    model, *_ = toy.run(tmp_path, count=4, compile="encoder")
    assert len(compiled) == 1 and same(model, straight) and "forward" not in vars(model.encoder)


def test_where_compiling_fails_the_run_says_so_and_goes_on(straight, tmp_path, monkeypatch, capsys):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    model, *_ = toy.run(tmp_path, count=4, compile="encoder")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("compile: ")]
    assert same(model, straight) and len(lines) == 1 and "no compiler here" in lines[0]


class Tape:
    """In place of a CUDA graph, which needs a GPU."""

    replayed = 0

    def replay(self):
        self.replayed += 1


def test_a_recorded_step_is_replayed_on_the_batch_of_the_moment(monkeypatch, capsys):
    model, criteria = toy.model_and_criteria()
    state, seen = state_of(model, criteria), []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Tape)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    for group in state.optimiser.param_groups:
        group["fused"] = True
    recorded = Recorded(lambda batch: seen.append(batch) or {"loss/all": len(seen)}, state, wanted=True)
    batches = [{"age": {"image": torch.full((2,), float(step))}} for step in range(6)]
    assert [recorded(batch)["loss/all"] for batch in batches] == [1, 2, 3, 4, 4, 4]
    assert recorded.graph.replayed == 3 and seen[3]["age"]["image"].tolist() == [5.0, 5.0]
    recorded({"age": {"image": torch.zeros(1)}})
    assert len(seen) == 5  # another shape: as written
    assert capsys.readouterr().err == ""


def test_where_recording_fails_the_run_says_so_and_goes_on(capsys):
    state = state_of(*toy.model_and_criteria())
    recorded = Recorded(lambda batch: {"loss/all": 1.0}, state, wanted=True)
    assert [recorded({})["loss/all"] for _ in range(6)] == [1.0] * 6
    assert (
        capsys.readouterr().err == "cuda_graph: not possible here (ValueError: AdamW is not fused); going on without\n"
    )
    assert all(isinstance(group["lr"], float) for group in state.optimiser.param_groups)


def test_what_is_compiled():
    model, criteria = toy.model_and_criteria()
    assert speed.parts_to_compile(model, criteria, "none") == []
    assert speed.parts_to_compile(model, criteria, "encoder") == [model.encoder]
    whole = speed.parts_to_compile(model, criteria, "whole")
    assert {*model.decoder.layers, model.pixel_decoder, *criteria.values()} < set(whole)
