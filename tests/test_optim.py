"""Schedule against recorded rates; groups and trainable patterns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from faceptor.config import Optimiser, rates
from faceptor.errors import ConfigError
from faceptor.training.optimiser import build_optimisers, rate_at, schedule, set_rate, set_trainable

GOLDEN = Path(__file__).parent / "golden" / "lr_schedule"
RUNS = {
    "base": (50000, 1e-6, 5e-5, (1, 10)),
    "full": (50000, 1e-6, 5e-5, (1, 10)),
    "la_age": (20000, 1e-6, 5e-5, (1, 10)),
    "la_affect": (20000, 1e-6, 5e-5, (1, 10)),
    "la_biattr": (20000, 1e-6, 5e-5, (1, 10)),
    "naive": (50000, 1e-5, 5e-4, (0.1, 1)),
}


@pytest.mark.parametrize("run", RUNS)
def test_schedule_equals_recorded_rates(run):
    arrays = np.load(GOLDEN.with_suffix(".npz"))
    tolerance = json.loads(GOLDEN.with_suffix(".json").read_text())["outputs"][f"{run}.lr"]
    steps, start, peak, multipliers = RUNS[run]
    ours = [
        [m * schedule(int(i), lr=peak, start_lr=start, final_lr=0.0, warmup=2000, steps=steps) for m in multipliers]
        for i in arrays["steps"]
    ]
    np.testing.assert_allclose(ours, arrays[f"{run}.lr"], rtol=tolerance["rtol"], atol=tolerance["atol"])


def test_rate_lags_one_step_behind_the_schedule():
    optimiser = Optimiser(lr=1.0, start_lr=0.1, warmup=10)
    rates = [rate_at(step, optimiser, 20) for step in range(20)]
    assert rates[0] == rates[1] == 0.1
    assert rates[11] == pytest.approx(1.0)
    assert rates[2] == pytest.approx(0.1 + 0.09)
    assert rates[11:] == sorted(rates[11:], reverse=True)


def test_milestones_replace_the_cosine():
    """FaceXFormer, section 4: 1e-4, divided by ten after epochs 6 and 10 of 12."""
    optimiser = Optimiser(lr=1e-4, start_lr=1e-4, warmup=0, milestones=(6 / 12, 10 / 12))
    rates = [rate_at(step, optimiser, 1200) for step in (1, 600, 601, 1000, 1001, 1199)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])


def parameters():
    model = nn.ModuleDict({"encoder": nn.Linear(3, 3), "decoder": nn.Linear(3, 2)})
    return dict(model.named_parameters())


def test_trainable_patterns_choose_exactly_what_they_match():
    named = parameters()
    assert set_trainable(named, ["decoder.*"], what="trainable") == ["decoder.weight", "decoder.bias"]
    assert [p.requires_grad for p in named.values()] == [False, False, True, True]


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ConfigError, match=r"'qeries\.\*' matches no parameter; parts are decoder, encoder"):
        set_trainable(parameters(), ["decoder.*", "qeries.*"], what="trainable")


def test_frozen_extras_never_learn():
    named = parameters()
    named["encoder.bias"].frozen = True
    assert "encoder.bias" not in set_trainable(named, ["*"], what="trainable")


def test_first_matching_multiplier_sets_a_parts_rate():
    named = parameters()
    set_trainable(named, ["*"], what="trainable")
    optimiser = build_optimisers(named, Optimiser(multipliers=rates({"encoder.*": 1.0, "*": 10.0})))["adamw"]
    set_rate(optimiser, 0.01)
    found = {group["name"]: group["lr"] for group in optimiser.param_groups}
    assert found == {"encoder.*": 0.01, "*": pytest.approx(0.1)}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 4


def test_a_parameter_without_multiplier_is_an_error():
    named = parameters()
    with pytest.raises(ConfigError, match=r"no pattern matches decoder\.weight"):
        build_optimisers(named, Optimiser(multipliers=rates({"encoder.*": 1.0})))


def test_adamw_decays_every_parameter():
    named = parameters()
    optimisers = build_optimisers(named, Optimiser(multipliers=rates({"*": 1.0}), weight_decay=0.05))
    assert {name: type(each) for name, each in optimisers.items()} == {"adamw": torch.optim.AdamW}
    assert {group["weight_decay"] for group in optimisers["adamw"].param_groups} == {0.05}


def members(optimiser) -> set[int]:
    return {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}


def test_muon_takes_the_matrices_it_names_and_leaves_the_rest():
    named = parameters()
    set_trainable(named, ["*"], what="trainable")
    settings = Optimiser(multipliers=rates({"*": 1.0}), muon=rates({"encoder.*": 6.0}))
    optimisers = build_optimisers(named, settings)
    assert members(optimisers["muon"]) == {id(named["encoder.weight"])}
    assert members(optimisers["adamw"]) == {id(p) for name, p in named.items() if name != "encoder.weight"}
    set_rate(optimisers["muon"], 0.01)
    assert optimisers["muon"].param_groups[0]["lr"] == pytest.approx(0.06)


def test_muon_steps_equally_far_in_every_direction():
    named = parameters()
    set_trainable(named, ["encoder.weight"], what="trainable")
    before = named["encoder.weight"].detach().clone()
    muon = build_optimisers(named, Optimiser(muon=rates({"encoder.*": 1.0}), weight_decay=0.0))["muon"]
    set_rate(muon, 1.0)
    named["encoder.weight"].grad = torch.diag(torch.tensor([100.0, 1.0, 0.1]))
    muon.step()
    lengths = torch.linalg.svdvals(before - named["encoder.weight"].detach())
    assert lengths.max() < 2.5 * lengths.min()  # the gradient's own spread is a thousand


def test_muon_moves_a_kernel_as_the_matrix_it_is():
    """A 1 x 1 convolution and the linear layer it equals take the same steps."""
    torch.manual_seed(1)
    conv, linear = nn.Conv2d(5, 4, 1, bias=False), nn.Linear(5, 4, bias=False)
    linear.weight.data.copy_(conv.weight[..., 0, 0])
    images = torch.randn(2, 5, 3, 3)
    for model in (conv, linear):
        muon = build_optimisers(dict(model.named_parameters()), Optimiser(muon=rates({"*": 1.0})))["muon"]
        set_rate(muon, 0.1)
        for _ in range(3):
            muon.zero_grad()
            (model(images) if model is conv else model(images.movedim(1, -1)).movedim(-1, 1)).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            muon.step()
    torch.testing.assert_close(conv.weight[..., 0, 0], linear.weight)


def test_a_muon_pattern_without_a_matrix_is_an_error():
    with pytest.raises(ConfigError, match=r"optimiser\.muon: pattern '\*\.bias' matches no matrix"):
        build_optimisers(parameters(), Optimiser(multipliers=rates({"*": 1.0}), muon=rates({"*.bias": 1.0})))
