"""Naive Faceptor at toy sizes: what each head sees and gives, what tasks own; the recorded numbers of the published
model are in test_released."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceptor.analysis import paper
from faceptor.config import NaiveConfig, load_preset, model_config
from faceptor.errors import ConfigError, FaceptorError
from faceptor.models.build import build_model
from faceptor.models.naive import NaiveFaceptor
from faceptor.tasks import KINDS, task
from faceptor.tasks import TASKS as ALL_TASKS
from faceptor.weights.folder import load_model, save_model
from tests.models.parameter_table import parameter_table
from tests.models.toy_models import HALF, OTHER, TASKS

KINDS_OF_TOY = {task(name).kind for name in TASKS}


def toy_config(*, dense=HALF, face=HALF, **encoder):
    sizes = {"width": 16, "depth": 4, "heads": 2, "patch": 8, "grid": 4, "layers": (1, 2, 4), "drop_path": 0.0}
    return NaiveConfig(
        encoder=sizes | {"extras": False} | encoder,
        values={"layers": (2, 4), "width": 8, "reduction": 4},
        maps={"layers": (1, 2, 3, 4), "width": 8},
        embedding=12,
        inputs={"dense": {"size": 32, **dense}, "face": {"size": 32, **face}},
    )


def toy_model(*, tasks=TASKS, seed=0, **config) -> NaiveFaceptor:
    torch.manual_seed(seed)
    return build_model(toy_config(**config), [task(name) for name in tasks]).eval()


def passes(module) -> list[int]:
    """Batch sizes of every call of a module from now on."""
    calls = []
    module.register_forward_hook(lambda module, inputs, result: calls.append(len(inputs[0])))
    return calls


# --- counts ----------------------------------------------------------------------------------------------------------


def test_published_counts():
    params = load_preset("naive")
    with torch.device("meta"):
        model = build_model(params.model, [task(name) for name in params.stage1.tasks])
    table = parameter_table(model)
    assert table["encoder"] == 86_828_544
    assert {kind: table[f"heads.{kind}"] for kind in model.heads} == paper.NAIVE_HEADS
    assert table["sum"] == paper.NAIVE_TOTAL == 178_911_058


def test_defaults_are_the_published_sizes():
    params = load_preset("naive")
    section = {"name": "naive", "inputs": params.model.inputs.model_dump()}
    assert params.model == model_config(section | {"encoder": {"pretrained": params.model.encoder.pretrained}})


# --- outputs ---------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    patch=st.sampled_from([8, 16]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    batch=st.integers(1, 3),
    stem=st.sampled_from(["patch", "conv", "residual"]),
)
def test_shapes_at_any_size(patch, rows, columns, batch, stem):
    model = toy_model(patch=patch, stem=stem)
    height, width = rows * patch, columns * patch
    with torch.no_grad():
        raw = model(torch.rand(batch, 3, height, width))
    for name, values in raw.items():
        count = task(name).queries
        shapes = {"map": (batch, count, height // 4, width // 4), "value": (batch, count), "vector": (batch, 12)}
        assert values.shape == shapes[model.head[name]], name
        assert values.isfinite().all()


def test_every_value_kind_is_served_without_knowing_it():
    names = [name for name, spec in ALL_TASKS.items() if KINDS[spec.kind].head == "value"]
    raw = toy_model(tasks=names)(torch.rand(2, 3, 32, 32))
    assert {name: tuple(values.shape) for name, values in raw.items()} == {
        name: (2, ALL_TASKS[name].queries) for name in names
    }


def test_a_batch_is_its_images():
    model, images = toy_model(), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together, apart = model(images), [model(image[None]) for image in images]
    for name, values in together.items():
        torch.testing.assert_close(values, torch.cat([raw[name] for raw in apart]), atol=1e-5, rtol=1e-5)


def test_tasks_apart_are_tasks_together():
    model = toy_model(dense=OTHER)
    batches = {name: torch.rand(2 + place % 2, 3, 32, 32) for place, name in enumerate(TASKS)}
    with torch.no_grad():
        together = model.forward_tasks(batches)
        assert list(together) == list(TASKS)
        for name, images in batches.items():
            torch.testing.assert_close(together[name], model(images, [name])[name], atol=1e-5, rtol=1e-5)


def test_one_encoder_pass_per_size_and_one_trunk_pass_per_kind():
    model = toy_model(tasks=[*TASKS, "expression_affectnet"])
    encoder, head = passes(model.encoder), passes(model.heads["expression"].norm)
    model(torch.rand(3, 3, 32, 32))
    assert (encoder, head) == ([3], [3])  # two expression tasks about the same images
    encoder.clear(), head.clear()
    sizes = {name: 32 if model.head[name] == "map" else 24 for name in model.tasks}
    model.forward_tasks({name: torch.rand(2, 3, size, size) for name, size in sizes.items()})
    assert sorted(encoder) == [4, 10] and head == [2, 2]  # each data set has its own batch statistics


def test_batch_statistics_are_those_of_one_task():
    images = {"expression_rafdb": torch.rand(4, 3, 32, 32), "expression_affectnet": torch.rand(4, 3, 32, 32) * 0.1}
    model = toy_model(tasks=list(images)).train()
    model.heads["expression"].hidden.eval()  # no dropout
    together = model.forward_tasks(images)
    for name, mine in images.items():
        torch.testing.assert_close(together[name], model.forward_tasks({name: mine})[name], atol=1e-5, rtol=1e-5)


def test_one_image_cannot_be_trained_on():
    model = toy_model().train()
    with pytest.raises(FaceptorError, match=r"age_morph2: one image has no batch statistics.*raise samples"):
        model.forward_tasks({"age_morph2": torch.rand(1, 3, 32, 32)})
    model.eval().forward_tasks({"age_morph2": torch.rand(1, 3, 32, 32)})


@pytest.mark.parametrize("size", [32, 64])
def test_every_parameter_learns(size):
    model = toy_model().train()
    raw = model.forward_tasks({name: torch.rand(4, 3, size, size) for name in TASKS})
    sum((values * torch.randn_like(values)).sum() for values in raw.values()).backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learning == dict(model.named_parameters()).keys()
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_one_batch_is_learnt():
    torch.manual_seed(0)
    model = toy_model(tasks=["age_morph2", "landmarks_300w", "recognition_ms1mv3"]).train()
    model.heads["age"].hidden.eval()  # without dropout
    criteria = {
        "age_morph2": KINDS["age"].criterion(task("age_morph2")),
        "landmarks_300w": KINDS["landmarks"].criterion(task("landmarks_300w")),
    }
    images = {name: torch.rand(4, 3, 32, 32) for name in criteria}
    targets = {
        "age_morph2": {"age": torch.tensor([20.0, 30, 40, 50])},
        "landmarks_300w": {"points": torch.rand(4, 68, 2) * 0.8 + 0.1},
    }
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        raw = model.forward_tasks(images)
        loss = sum(criteria[name](raw[name], targets[name])["loss"] for name in criteria)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_heads_see_their_layers_only():
    model, images = toy_model(), torch.rand(2, 3, 32, 32)
    seen = {name: model.heads[kind].layers for kind in KINDS_OF_TOY for name in TASKS if task(name).kind == kind}
    with torch.no_grad():
        before = model(images)
        plain = model.encoder.forward
        for layer in range(1, 5):
            model.encoder.forward = lambda x, layer=layer: [
                features + (place == layer) for place, features in enumerate(plain(x), start=1)
            ]
            after = model(images)
            changed = {name for name in TASKS if not torch.allclose(before[name], after[name], atol=1e-6)}
            # A constant added to a layer passes the layer norm of recognition unseen.
            assert changed - {"recognition_ms1mv3"} == {
                name for name, layers in seen.items() if layer in layers and name != "recognition_ms1mv3"
            }


# --- tasks come and go -----------------------------------------------------------------------------------------------


def test_a_second_task_of_a_kind_costs_one_layer():
    model = toy_model()
    before = sum(p.numel() for p in model.parameters())
    model.add_task(task("age_utkface"))
    width = model.heads["age"].norm.num_features
    assert sum(p.numel() for p in model.parameters()) - before == 101 * (width + 1)
    model.add_task(task("landmarks_300w"))
    assert model.heads["landmarks"].outputs["landmarks_300w"].weight.shape == (68, 8, 1, 1)
    assert not model.training and not model.heads["landmarks"].training


def test_other_tasks_do_not_notice():
    model, images = toy_model(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = model(images)
        model.add_task(task("expression_affectnet"))
        model.remove_task("parsing_lapa")
        after = model(images)
    assert set(after) == {*TASKS, "expression_affectnet"} - {"parsing_lapa"}
    for name in set(before) & set(after):
        assert torch.equal(before[name], after[name])


def test_a_head_goes_with_its_last_task():
    model = toy_model(tasks=["age_morph2", "age_utkface", "recognition_ms1mv3"])
    model.remove_task("age_morph2")
    assert list(model.heads["age"].outputs) == ["age_utkface"]
    for name in ("age_utkface", "recognition_ms1mv3"):
        model.remove_task(name)
    assert not model.heads and not model.tasks
    with pytest.raises(ConfigError, match="not in this model"):
        model.remove_task("age_morph2")


def test_the_same_task_twice_is_an_error():
    with pytest.raises(ConfigError, match="has it already"):
        toy_model().add_task(task("age_morph2"))


def test_saved_and_loaded(tmp_path):
    model = toy_model()
    model.add_task(task("landmarks_300w"))
    images = torch.rand(2, 3, 32, 32)
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert isinstance(loaded, NaiveFaceptor) and list(loaded.tasks) == list(model.tasks)
    with torch.no_grad():
        for name, values in model(images).items():
            assert torch.equal(values, loaded(images)[name])
