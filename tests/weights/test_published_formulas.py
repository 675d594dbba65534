"""Imported files answer as the published formulas say, for all thirteen tasks and whatever the weights."""

import pytest
import torch

from faceptor.weights.released import faceptor
from faceptor.weights.released.published import TASK_NAMES
from tests.models.toy_models import normalised
from tests.weights import published_formulas as formulas
from tests.weights.released_files import CONFIGS, FULL, official_state, stage2_states, toy_model, toy_sizes

HEADS = {"encoder": 2, "decoder": 2}
LAYERS = tuple(layer - 1 for layer in CONFIGS[faceptor].encoder.layers)  # 0-based, bottom first
QUERIED = [name for name in TASK_NAMES if TASK_NAMES[name] in FULL]


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    toy_sizes(monkeypatch)


def lively(state: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Norms and biases that do something: a fresh model's are ones and zeros."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in state.items():
        if value.is_floating_point() and value.ndim == 1 and not name.endswith("running_var"):
            value += 0.3 * torch.randn(value.shape, generator=generator)
    for name in [name for name in state if ".ln." in name]:
        state[name] = state[name.replace(".ln.", ".")]
    return state


def imported(state, **options):
    return normalised(faceptor.from_states([state], origins=["a file"], **options))


def expected(state, image, *, layered=()) -> dict[str, torch.Tensor]:
    features = formulas.encode(state, image, heads=HEADS["encoder"])
    answers = {"recognition_ms1mv3": formulas.identity(state, features[-1])}
    for name in QUERIED:
        order = (LAYERS[-1], *LAYERS[:-1]) if TASK_NAMES[name] in layered else (-1,)
        tokens, _ = formulas.decode(state, features, name, heads=HEADS["decoder"], order=order)
        dense = name.startswith(("parsing", "align"))
        answers[TASK_NAMES[name]] = (
            formulas.maps(state, tokens, features[-1]) if dense else formulas.value(state, tokens)
        )
    return answers


def same(raw, answers) -> None:
    assert raw.keys() == answers.keys()
    for name, values in answers.items():
        assert values.std() > 1e-3, name  # a constant would prove nothing
        torch.testing.assert_close(raw[name][0], values, atol=2e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("size", [32, 64, 80])
@pytest.mark.parametrize("seed", range(3))
def test_stage_1_full(seed, size):
    state = lively(official_state(faceptor, toy_model(faceptor, tasks=FULL, seed=seed)), seed)
    image = torch.randn(3, size, size)
    with torch.no_grad():
        same(imported(state)(image[None]), expected(state, image))


@pytest.mark.parametrize("tasks", [(), ("age_utkface",), ("landmarks_wflw", "expression_ferplus", "parsing_lapa")])
def test_stage_2(tasks):
    state = lively(stage2_states(1)[0], seed=4)
    model, image = imported(state, tasks=tasks), torch.randn(3, 64, 64)
    layered = tasks or [TASK_NAMES[name] for name in QUERIED]
    with torch.no_grad():
        same(model(image[None]), expected(state, image, layered=layered))


@pytest.mark.parametrize("name", QUERIED)
def test_attention_of_every_task_falls_on_the_levels_as_published(name):
    state = lively(stage2_states(1)[0], seed=5)
    model, image = imported(state), torch.randn(3, 48, 48)
    order = (LAYERS[-1], *LAYERS[:-1])
    with torch.no_grad():
        features = formulas.encode(state, image, heads=HEADS["encoder"])
        _, shares = formulas.decode(state, features, name, heads=HEADS["decoder"], order=order)
        found = model.attention(image[None], TASK_NAMES[name]).per_layer()[:, 0].mean(dim=1)
    for ours, theirs in zip(found, shares, strict=True):
        torch.testing.assert_close(ours.roll(1, dims=-1), theirs, atol=1e-5, rtol=1e-4)
