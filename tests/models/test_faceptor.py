"""The whole model at toy size: shapes, what is shared, what is refused, what learns."""

import pytest
import torch

from faceptor.errors import ConfigError, FaceptorError
from faceptor.tasks import task
from tests.models.toy_models import HALF, OTHER, QUERIED, TASKS, toy_model

SHAPES = {
    "landmarks_aflw19": (19, 8, 10),
    "parsing_lapa": (11, 8, 10),
    "age_morph2": (101,),
    "expression_rafdb": (7,),
    "attributes_celeba": (40,),
    "recognition_ms1mv3": (12,),
}
SKIPS = {"encoder": {"stem": "residual", "patch": 16, "grid": 2}, "skips": True}
VARIANTS = [
    {},
    {"encoder": {"stem": "conv", "class_token": False}},
    {"encoder": {"patch": 16, "grid": 2, "drop_path": 0.1, "drop_path_axis": "released"}},
    {"decoder": {"position": "paper"}},
    {"dense": OTHER},
    SKIPS,
]


def everything_enabled(model):
    model.enable_layer_attention("age_morph2", "paper")
    model.enable_layer_attention(["expression_rafdb", "parsing_lapa"], "released")
    return model


def count_encoder_passes(model):
    calls = []
    model.encoder.register_forward_hook(lambda module, inputs, result: calls.append(len(inputs[0])))
    return calls


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_on_images_that_are_not_square(variant, enabled, batch):
    model = toy_model(**variant)
    if enabled:
        everything_enabled(model)
    height, width = (32, 40) if model.stride == 8 else (32, 48)
    with torch.no_grad():
        raw = model(torch.rand(batch, 3, height, width))
    assert list(raw) == list(TASKS)
    for name, values in raw.items():
        expected = SHAPES[name] if len(SHAPES[name]) == 1 else (SHAPES[name][0], height // 4, width // 4)
        assert tuple(values.shape) == (batch, *expected), name
        assert values.isfinite().all(), name


@pytest.mark.parametrize("variant", [{}, {"dense": OTHER}, SKIPS])
def test_training_path_equals_asking_task_by_task(variant):
    model = everything_enabled(toy_model(dtype=torch.float64, **variant))
    side = 3 * model.stride
    batches = {
        name: torch.rand(1 + i % 3, 3, side, side + model.stride * (name == "landmarks_aflw19"), dtype=torch.float64)
        for i, name in enumerate(TASKS)
    }
    together = model.forward_tasks(batches)
    assert list(together) == list(TASKS)
    for name, images in batches.items():
        torch.testing.assert_close(together[name], model(images, [name])[name], atol=1e-10, rtol=0)


def test_one_encoder_pass_per_image_size_in_training():
    model = toy_model(dense=OTHER)
    calls = count_encoder_passes(model)
    sizes = {name: 32 if name.startswith(("landmarks", "parsing")) else 24 for name in TASKS}
    model.forward_tasks({name: torch.rand(2, 3, size, size) for name, size in sizes.items()})
    assert sorted(calls) == [4, 8]


@pytest.mark.parametrize(("dense", "passes"), [(HALF, 1), (OTHER, 2)])
def test_one_encoder_pass_where_input_statistics_agree(dense, passes):
    model = toy_model(dense=dense)
    calls = count_encoder_passes(model)
    model(torch.rand(2, 3, 32, 32))
    assert calls == [2] * passes


def test_only_what_is_asked_for_is_computed():
    model = toy_model()
    for part in (model.decoder, model.pixel_decoder, model.outputs.identity):
        part.register_forward_hook(lambda module, *_: used.append(module))
    used = []
    model(torch.rand(1, 3, 32, 32), ["recognition_ms1mv3"])
    assert used == [model.outputs.identity]
    used.clear()
    model(torch.rand(1, 3, 32, 32), ["age_morph2"])
    assert used == [model.decoder]


def test_normalisation_is_the_models_own():
    plain, other = toy_model(), toy_model(dense=OTHER)
    other.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(OTHER[part]).view(3, 1, 1) for part in ("mean", "std"))
    expected = plain((images - mean) / std * 0.5 + 0.5, ["parsing_lapa"])["parsing_lapa"]
    torch.testing.assert_close(other(images, ["parsing_lapa"])["parsing_lapa"], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "uint8; divide by 255"),
        (torch.full((1, 3, 32, 32), 200.0), "found values from 200 to 200"),
        (torch.full((1, 3, 32, 32), float("nan")), "found values from nan"),
        (torch.zeros(1, 3, 32, 30), "divisible by 8"),
        (torch.zeros(0, 3, 32, 32), "expected a batch"),
        (torch.zeros(3, 32, 32), r"expected a tensor \(B, 3, H, W\)"),
        (torch.zeros(1, 1, 32, 32), r"expected a tensor \(B, 3, H, W\)"),
        (None, "found NoneType"),
    ],
)
def test_images_it_cannot_mean_are_refused(images, message):
    with pytest.raises(FaceptorError, match=message):
        toy_model()(images, ["age_morph2"])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [(["age"], "expected one of landmarks_aflw19"), ([], "at least one"), ("age_morph2", r"write \['age_morph2'\]")],
)
def test_tasks_it_does_not_have_are_refused(tasks, message):
    model = toy_model()
    with pytest.raises(ConfigError, match=message):
        model(torch.rand(1, 3, 32, 32), tasks)
    if not isinstance(tasks, str):
        with pytest.raises(ConfigError, match=message):
            model.forward_tasks({name: torch.rand(1, 3, 32, 32) for name in tasks})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("enabled", [False, True])
def test_every_parameter_gets_a_gradient(variant, enabled):
    model = toy_model(**variant)
    if enabled:
        everything_enabled(model)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)  # a residual block that starts as the identity hides its convolutions
    model.train()
    raw = model.forward_tasks({name: torch.rand(3, 3, 32, 32) for name in TASKS})
    sum((values * torch.randn_like(values)).sum() for values in raw.values()).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert set(idle) <= {"decoder.level"}  # inert by construction, see QueryDecoder


def test_frozen_extras_are_the_only_ones_without_gradient():
    model = toy_model(encoder={"extras": True}).train()
    raw = model.forward_tasks({name: torch.rand(3, 3, 32, 32) for name in TASKS})
    sum(values.square().sum() for values in raw.values()).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {f"encoder.extras.{name}" for name in ("norm.weight", "norm.bias", "projection")}


def test_stage_2_of_the_paper_trains_level_vectors_alone():
    model = toy_model()
    model.enable_layer_attention("age_morph2", "paper")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("layer_attention."))
    model(torch.rand(2, 3, 24, 24), ["age_morph2"])["age_morph2"].square().sum().backward()
    learning = {name: p for name, p in model.named_parameters() if p.grad is not None}
    assert list(learning) == ["layer_attention.age_morph2.level"]
    assert learning["layer_attention.age_morph2.level"].shape == (3, 16)
    assert learning["layer_attention.age_morph2.level"].grad.any(dim=1).all()


def test_parts_have_names_that_patterns_can_address():
    names = {name for name, _ in everything_enabled(toy_model()).named_parameters()}
    parts = {"encoder", "decoder", "pixel_decoder", "outputs", "queries", "layer_attention"}
    assert {name.split(".")[0] for name in names} == parts
    assert {"queries.age_morph2.content", "queries.age_morph2.position", "outputs.value.linear.weight"} <= names
    assert "layer_attention.expression_rafdb+parsing_lapa.projection.0.weight" in names


# --- Layer-Attention -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_layer_attention_concerns_its_task_alone_and_can_be_undone(mode):
    model = toy_model(dtype=torch.float64)
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    before = model(images)
    model.enable_layer_attention("age_morph2", mode)
    after = model(images)
    assert not torch.allclose(after["age_morph2"], before["age_morph2"])
    for name in set(TASKS) - {"age_morph2"}:
        torch.testing.assert_close(after[name], before[name], atol=1e-12, rtol=0)
    model.disable_layer_attention("age_morph2")
    assert not model.layer_attention
    torch.testing.assert_close(model(images)["age_morph2"], before["age_morph2"], atol=0, rtol=0)


def test_a_shared_state_survives_the_leaving_of_a_task():
    model = toy_model()
    model.enable_layer_attention(["age_morph2", "expression_rafdb"], "released")
    state = model.layer_attention["age_morph2+expression_rafdb"]
    model.disable_layer_attention("age_morph2")
    assert dict(model.layer_attention.items()) == {"expression_rafdb": state}


@pytest.mark.parametrize(("init", "spread"), [("zeros", 0.0), ("small", 0.02), ("normal", 1.0)])
def test_level_vectors_start_as_asked(init, spread):
    model = toy_model(decoder={"width": 64})
    model.enable_layer_attention("age_morph2", "paper", init=init)
    level = model.layer_attention["age_morph2"].level
    assert level.std().item() == pytest.approx(spread, rel=0.2, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("age_morph2", "both"), "expected one of paper, released"),
        (("age", "paper"), "not in this model"),
        (("recognition_ms1mv3", "paper"), "has no queries"),
    ],
)
def test_layer_attention_that_cannot_be(arguments, message):
    model = toy_model()
    with pytest.raises(ConfigError, match=message):
        model.enable_layer_attention(*arguments)
    with pytest.raises(ConfigError, match="init 'huge'"):
        model.enable_layer_attention("age_morph2", "paper", init="huge")
    model.enable_layer_attention("age_morph2", "paper")
    with pytest.raises(ConfigError, match="has it already"):
        model.enable_layer_attention("age_morph2", "released")


def test_attention_report():
    model = everything_enabled(toy_model(dtype=torch.float64))
    images = torch.rand(2, 3, 32, 40, dtype=torch.float64)
    report = model.attention(images, "age_morph2")
    assert (report.layers, report.grid) == ((1, 2, 4), (4, 5))
    assert report.weights.shape == (2, 2, 2, 101, 3, 20)  # D, B, H, N, L, tokens
    torch.testing.assert_close(report.per_layer().sum(-1), torch.ones(2, 2, 2, 101, dtype=torch.float64))
    # The first decoder layer's queries do not depend on the image: preference is Q.L_t / sqrt(d) by hand.
    attention = model.decoder.layers[0].cross_attention
    queries = model.queries["age_morph2"]
    q = attention.query(queries.content + queries.position)[:, 8:]  # the second head
    level = (model.layer_attention["age_morph2"].level @ attention.key.weight.T)[:, 8:]
    torch.testing.assert_close(report.preference[0, 1, 1], q @ level.T / 8**0.5)

    report = model.attention(images, "attributes_celeba")
    assert report.layers == (4,)
    assert report.weights.shape == (2, 2, 2, 40, 1, 20)
    with pytest.raises(ConfigError, match="no queries"):
        model.attention(images, "recognition_ms1mv3")
    with pytest.raises(ConfigError, match="not in this model"):
        model.attention(images, "pose")


# --- tasks come and go -----------------------------------------------------------------------------------------------


def test_add_task_leaves_the_others_alone():
    model = toy_model(dtype=torch.float64)
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    before = model(images)
    model.add_task(task("landmarks_cofw"))
    after = model(images)
    assert after["landmarks_cofw"].shape == (1, 29, 8, 8)
    assert model.queries["landmarks_cofw"].content.dtype == torch.float64
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, atol=1e-12, rtol=0)


def test_add_task_starts_fresh_or_from_given_queries():
    model = toy_model(decoder={"width": 64})
    model.add_task(task("parsing_celebamaskhq"))
    fresh = model.queries["parsing_celebamaskhq"]
    assert fresh.content.std().item() == pytest.approx(1, rel=0.2)
    assert fresh.position.min() >= 0 and fresh.position.max() <= 1
    given = model.queries["age_morph2"]
    model.add_task(task("age_utkface"), content=given.content, position=given.position)
    raw = model(torch.rand(1, 3, 24, 24), ["age_morph2", "age_utkface"])
    torch.testing.assert_close(raw["age_utkface"], raw["age_morph2"], atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match=r"content expected \(7, 64\), found \(101, 64\)"):
        model.add_task(task("expression_ferplus"), content=given.content)


def test_remove_task_takes_everything_it_owned():
    model = toy_model()
    model.enable_layer_attention("age_morph2", "paper")
    model.remove_task("age_morph2")
    assert not any("age_morph2" in name for name in model.state_dict())
    assert set(model(torch.rand(1, 3, 24, 24))) == set(TASKS) - {"age_morph2"}
    model.remove_task("recognition_ms1mv3")
    with pytest.raises(ConfigError, match="not in this model"):
        model.remove_task("age_morph2")
    with pytest.raises(ConfigError, match="has it already"):
        model.add_task(task(QUERIED[0]))


def test_a_graph_of_the_model_can_be_exported_for_any_batch_size():
    class Asked(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, images):
            return self.model(images, ["landmarks_aflw19", "age_morph2", "recognition_ms1mv3"])

    model = everything_enabled(toy_model(encoder={"depth": 2, "layers": (1, 2)}, decoder={"depth": 1}))
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.rand(2, 3, 32, 32),)
    graph = torch.export.export(Asked(model), example, dynamic_shapes=({0: batch},), strict=False).module()
    images = torch.rand(5, 3, 32, 32)
    expected = model(images)
    for name, values in graph(images).items():
        torch.testing.assert_close(values, expected[name], atol=1e-5, rtol=0)
