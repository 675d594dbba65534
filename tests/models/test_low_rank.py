"""Low-rank adapters: they start as nothing, learn alone, and leave a model of its own structure."""

import pytest
import torch

from faceptor.errors import ConfigError
from faceptor.models.low_rank import LEARNT, adapt, attention_maps, merge
from faceptor.training.trainable import named_parameters, set_trainable
from tests.models.toy_models import toy_model

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def adapted(model, *, rank=2):
    """The model with adapters that have learnt something, and the answers it then gives."""
    adapt(model, rank=rank)
    parameters = named_parameters(model, torch.nn.ModuleDict())
    learning = set_trainable(parameters, [LEARNT], what="trainable")
    before = {name: value.detach().clone() for name, value in parameters.items()}
    optimiser = torch.optim.SGD([parameters[name] for name in learning], lr=0.1)
    for _ in range(2):  # `lora_up` is zero at first, and with it the gradient of `lora_down`
        optimiser.zero_grad()
        sum(raw.square().mean() for raw in model(IMAGES).values()).backward()
        optimiser.step()
    changed = {name for name, value in parameters.items() if not torch.equal(value, before[name])}
    return learning, changed


def test_adapters_start_as_nothing_learn_alone_and_are_merged_into_the_weights():
    model, plain = toy_model(), toy_model()
    names = set(model.state_dict())
    adapt(model, rank=2)
    with torch.no_grad():
        first, own = model(IMAGES), plain(IMAGES)
    assert all(torch.equal(first[task], own[task]) for task in own)
    merge(model)

    learning, changed = adapted(model)
    assert changed == set(learning) and len(learning) == 2 * len(attention_maps(plain))
    with torch.no_grad():
        taught = model(IMAGES)
        merge(model)
        merged = model(IMAGES)
    assert set(model.state_dict()) == names
    for task, raw in merged.items():
        torch.testing.assert_close(raw, taught[task], msg=task)
        assert not torch.equal(raw, own[task]), task
    weights = zip(attention_maps(plain), attention_maps(model), strict=True)
    ranks = [torch.linalg.matrix_rank(new.weight - old.weight, atol=1e-5) for old, new in weights]
    assert max(ranks) == 2


def test_encoder_and_decoder_are_adapted():
    model = toy_model()
    names = {id(module): name for name, module in model.named_modules()}
    parts = {names[id(linear)].split(".")[0] for linear in attention_maps(model)}
    assert parts == {"encoder", "decoder"}


def test_a_model_without_attention_is_refused():
    with pytest.raises(ConfigError, match="rank: Linear has no attention"):
        adapt(torch.nn.Linear(2, 2), rank=1)
