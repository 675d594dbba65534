"""Schedule against recorded rates; groups and trainable patterns."""

import pytest
import torch
from torch import nn

from faceptor.config import Optimiser, rates
from faceptor.errors import ConfigError
from faceptor.training.optimiser import build_optimiser, rate_at, schedule, set_rate, zeropower_via_newtonschulz
from faceptor.training.trainable import set_trainable
from tests.goldens import Golden

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
    golden = Golden("lr_schedule")
    steps, start, peak, multipliers = RUNS[run]
    optimiser = Optimiser(lr=peak, start_lr=start, final_lr=0.0, warmup=2000)
    ours = [[m * schedule(int(i), optimiser, steps) for m in multipliers] for i in golden["steps"]]
    golden.check(f"{run}.lr", ours)


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
    optimiser = build_optimiser(named, Optimiser(multipliers=rates({"encoder.*": 1.0, "*": 10.0})))
    set_rate(optimiser, 0.01)
    found = {group["name"]: group["lr"] for group in optimiser.param_groups}
    assert found == {"encoder.*": 0.01, "*": pytest.approx(0.1)}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 4


def test_a_parameter_without_multiplier_is_an_error():
    named = parameters()
    with pytest.raises(ConfigError, match=r"no pattern matches decoder\.weight"):
        build_optimiser(named, Optimiser(multipliers=rates({"encoder.*": 1.0})))


def test_adamw_decays_every_parameter():
    named = parameters()
    optimiser = build_optimiser(named, Optimiser(multipliers=rates({"*": 1.0}), weight_decay=0.05))
    assert type(optimiser) is torch.optim.AdamW
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.05}


def train_some_steps(model, optimiser, images, *, steps: int = 3, rate: float = 0.1) -> None:
    set_rate(optimiser, rate)
    for _ in range(steps):
        optimiser.zero_grad()
        model(images).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimiser.step()


def test_muon_takes_the_matrices_it_names_and_leaves_the_rest_to_adamw():
    """Whatever Muon leaves takes the very steps that torch's AdamW takes, at the rates of `multipliers`."""
    torch.manual_seed(1)
    model, images = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 3)), torch.randn(4, 5)
    settings = Optimiser(multipliers=rates({"0.*": 2.0, "*": 1.0}), muon=rates({"2.*": 6.0}), weight_decay=0.05)
    optimiser = build_optimiser(named := dict(model.named_parameters()), settings)
    set_rate(optimiser, 0.01)
    taken = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    found = {name: (taken[id(p)].get("use_muon", False), taken[id(p)]["lr"]) for name, p in named.items()}
    adamw = {"0.weight": (False, 0.02), "0.bias": (False, 0.02), "2.bias": (False, 0.01)}
    assert found == adamw | {"2.weight": (True, pytest.approx(0.06))}

    alone = {name: nn.Parameter(named[name].detach().clone()) for name in adamw}
    reference = build_optimiser(alone, settings.model_copy(update={"muon": ()}))
    set_rate(reference, 0.01)
    for _ in range(3):
        optimiser.zero_grad()
        model(images).square().mean().backward()
        for name, parameter in alone.items():
            parameter.grad = named[name].grad.clone()
        optimiser.step()
        reference.step()
    assert all(torch.equal(parameter, named[name]) for name, parameter in alone.items())


def test_muon_steps_equally_far_in_every_direction():
    named = parameters()
    set_trainable(named, ["encoder.weight"], what="trainable")
    before = named["encoder.weight"].detach().clone()
    muon = build_optimiser(named, Optimiser(muon=rates({"encoder.*": 1.0}), weight_decay=0.0))
    set_rate(muon, 1.0)
    named["encoder.weight"].grad = torch.diag(torch.tensor([100.0, 1.0, 0.1]))
    muon.step()
    lengths = torch.linalg.svdvals(before - named["encoder.weight"].detach())
    assert lengths.max() < 2.5 * lengths.min()  # the gradient's own spread is a thousand


def test_muon_on_a_cpu_orthogonalises_in_float32():
    torch.manual_seed(1)
    named = {"matrix": nn.Parameter(torch.randn(6, 9))}
    before = named["matrix"].detach().clone()
    muon = build_optimiser(named, Optimiser(muon=rates({"*": 1.0}), weight_decay=0.0))
    set_rate(muon, 1.0)
    named["matrix"].grad = gradient = torch.randn(6, 9)
    muon.step()
    exact = zeropower_via_newtonschulz(gradient, 5, [(3.4445, -4.7750, 2.0315)], dtype=torch.float64)
    torch.testing.assert_close((before - named["matrix"]).detach(), 0.2 * 9**0.5 * exact.float())


def test_muon_moves_a_kernel_as_the_matrix_it_is():
    """A 1 x 1 convolution and the linear layer it equals take the same steps."""
    torch.manual_seed(1)
    conv, linear = nn.Conv2d(5, 4, 1, bias=False), nn.Linear(5, 4, bias=False)
    linear.weight.data.copy_(conv.weight[..., 0, 0])
    images = torch.randn(2, 5, 3, 3)
    for model, seen in ((conv, images), (linear, images.movedim(1, -1))):
        muon = build_optimiser(dict(model.named_parameters()), Optimiser(muon=rates({"*": 1.0})))
        train_some_steps(model, muon, seen)
    torch.testing.assert_close(conv.weight[..., 0, 0], linear.weight)


def test_a_muon_pattern_without_a_matrix_is_an_error():
    with pytest.raises(ConfigError, match=r"optimiser\.muon: pattern '\*\.bias' matches no matrix"):
        build_optimiser(parameters(), Optimiser(multipliers=rates({"*": 1.0}), muon=rates({"*.bias": 1.0})))
