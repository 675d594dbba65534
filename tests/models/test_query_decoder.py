"""The one-pass decoder equals the formula of the paper, task by task."""

import random

import pytest
import torch

from faceptor.models.query_decoder import TOP_LAYER
from faceptor.models.textbook import task_by_task, textbook_decode
from tests.models.toy_models import QUERIED, toy_model

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
SETTINGS = [(seed, dtype, own) for seed in range(4) for dtype in TOLERANCE for own in (False, True)]


def random_case(seed, dtype, *, own_images):
    """A model whose tasks see the layers in random ways, features of a 3 x 2 grid, and each task's stream."""
    draw = random.Random(seed)
    model = toy_model(seed=seed, dtype=dtype, decoder={"position": draw.choice(["paper", "released"])})
    modes = {task: draw.choice(["top", "paper", "released", "shared"]) for task in QUERIED}
    for task, mode in modes.items():
        if mode in ("paper", "released"):
            model.enable_layer_attention(task, mode, init="normal")
    shared = [task for task, mode in modes.items() if mode == "shared"]
    if shared:
        model.enable_layer_attention(shared, "released")
    features = [torch.randn(5, 32, 3, 2, dtype=dtype, requires_grad=True) for _ in model.layers]
    order = draw.sample(QUERIED, len(QUERIED))
    starts = {task: draw.randrange(4) for task in order}
    rows = {
        task: slice(start, draw.randrange(start + 1, 6)) if own_images else slice(0, 5)
        for task, start in starts.items()
    }
    return model, features, [model.stream(task, rows[task]) for task in order]


def both_ways(model, features, streams):
    return model.decoder(features, streams)[0], [textbook_decode(model.decoder, features, s)[0] for s in streams]


@pytest.mark.parametrize(("seed", "dtype", "own_images"), SETTINGS)
def test_one_pass_equals_textbook(seed, dtype, own_images):
    one_pass, textbook = both_ways(*random_case(seed, dtype, own_images=own_images))
    for found, expected in zip(one_pass, textbook, strict=True):
        torch.testing.assert_close(found, expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_memories_come_in_the_order_of_the_tasks(monkeypatch, seed):
    """Their gradients are summed in this order: that of a set of modules would be another in each process."""
    model, features, streams = random_case(seed, torch.float32, own_images=False)
    made, memories = {}, model.decoder.memories
    monkeypatch.setattr(model.decoder, "memories", lambda *given: made.update(memories(*given)) or made)
    model.decoder(features, streams)
    assert list(made) == list(dict.fromkeys([TOP_LAYER, *(stream.lower for stream in streams)]))


@pytest.mark.parametrize("own_images", [False, True])
def test_a_pass_for_each_task_gives_the_same(own_images):
    """What `faceptor bench` compares the packed decoder with."""
    model, features, streams = random_case(1, torch.float64, own_images=own_images)
    packed, top = model.decoder(features, streams)
    with task_by_task(model.decoder):
        single, top_again = model.decoder(features, streams)
    for found, expected in zip([*single, top_again], [*packed, top], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    assert "forward" not in vars(model.decoder)


@pytest.mark.parametrize("own_images", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_equal_too(seed, own_images):
    model, features, streams = random_case(seed, torch.float64, own_images=own_images)
    leaves = {name: p for name, p in model.named_parameters() if name.startswith(("decoder", "queries", "layer_att"))}
    leaves |= {f"features.{i}": layer for i, layer in enumerate(features)}
    gradients = []
    for tokens in both_ways(model, features, streams):
        torch.manual_seed(1)
        total = sum((part * torch.randn_like(part)).sum() for part in tokens)
        grads = torch.autograd.grad(total, leaves.values(), allow_unused=True, retain_graph=True)
        gradients.append(dict(zip(leaves, grads, strict=True)))
    for name, expected in gradients[1].items():
        if expected is None:  # the formula leaves the inert vector out where a task brings its own
            continue
        torch.testing.assert_close(
            gradients[0][name], expected, atol=1e-9, rtol=1e-7, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_tasks_do_not_hear_each_other():
    """A task's tokens are the same whether it is asked alone or among others."""
    model, features, streams = random_case(1, torch.float64, own_images=False)
    together = model.decoder(features, streams)[0]
    for stream, expected in zip(streams, together, strict=True):
        torch.testing.assert_close(model.decoder(features, [stream])[0][0], expected, atol=1e-12, rtol=0)


def test_the_vector_of_a_single_layer_is_inert():
    model = toy_model(dtype=torch.float64)
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    before = model(images)
    with torch.no_grad():
        model.decoder.level.normal_(std=5)
    for task, raw in model(images).items():
        torch.testing.assert_close(raw, before[task], atol=1e-9, rtol=0)


def test_a_level_vector_can_blind_a_task_to_the_lower_layers():
    """With L_t far apart the paper's mode gives back the top layer alone, for queries that point its way."""
    model = toy_model(dtype=torch.float64, tasks=["expression_rafdb"])
    features = [torch.randn(2, 32, 3, 2, dtype=torch.float64) for _ in model.layers]
    alone = model.decoder(features, [model.stream("expression_rafdb", slice(0, 2))])[0][0]
    model.enable_layer_attention("expression_rafdb", "paper", init="zeros")
    with torch.no_grad():
        for layer in model.decoder.layers:  # every query's projection gets one constant direction, per head
            layer.cross_attention.query.weight.zero_()
            layer.cross_attention.query.bias.fill_(1.0)
        attention = model.decoder.layers[0].cross_attention
        level = model.layer_attention["expression_rafdb"].level
        pull = torch.linalg.solve(attention.key.weight, torch.full((16,), 100.0, dtype=torch.float64))
        level[-1] = pull
        for layer in model.decoder.layers[1:]:
            layer.cross_attention.key.weight.copy_(attention.key.weight)
    seeing = model.decoder(features, [model.stream("expression_rafdb", slice(0, 2))])[0][0]
    model.disable_layer_attention("expression_rafdb")
    top_only = model.decoder(features, [model.stream("expression_rafdb", slice(0, 2))])[0][0]
    torch.testing.assert_close(seeing, top_only, atol=1e-9, rtol=0)
    assert not torch.allclose(seeing, alone)


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_half_precision_stays_close(mode):
    model = toy_model()
    model.enable_layer_attention("age_morph2", mode, init="normal")
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        exact = model(images, ["age_morph2"])["age_morph2"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(images, ["age_morph2"])["age_morph2"]
    assert torch.isfinite(rough).all()
    torch.testing.assert_close(rough.float(), exact, atol=0.15, rtol=0.1)
