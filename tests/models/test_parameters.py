"""The published parameter counts come out (paper section 4.2; released stage 2)."""

import pytest
import torch

from faceptor.config import load_preset
from faceptor.models.build import build_model
from faceptor.tasks import task
from tests.models.parameter_table import parameter_table, part_of
from tests.models.toy_models import toy_model

BASE = {
    "encoder": 86_828_544,
    "decoder": 14_661_376,
    "decoder.layers": 9 * (263_680 + 263_680 + 1_051_392),
    "decoder.projection": 196_864,
    "decoder.level": 256,
    "decoder.position": 131_584,
    "decoder.queries": 123_904,
    "pixel_decoder": 525_312,
    "rest": 1_184_769,
    "rest.identity": 987_136,
    "rest.map": 197_376,
    "rest.value": 257,
    "sum": 103_200_001,
}


@pytest.fixture(scope="module", params=["base", "full"])
def preset(request):
    params = load_preset(request.param)
    with torch.device("meta"):  # counting needs no memory
        return request.param, build_model(params.model, [task(name) for name in params.stage1.tasks])


def test_published_counts(preset):
    name, model = preset
    table = parameter_table(model)
    if name == "base":
        assert table == BASE
    else:
        more = {"decoder.queries": 259_584, "decoder": 14_797_056, "sum": 103_335_681}
        assert table == BASE | more


@pytest.mark.parametrize(("mode", "count"), [("released", 985_600), ("paper", 6 * 256)])
def test_what_stage_2_adds(preset, mode, count):
    _, model = preset
    before = parameter_table(model)
    with torch.device("meta"):
        model.enable_layer_attention("age_morph2", mode)
    table = parameter_table(model)
    model.disable_layer_attention("age_morph2")
    assert table["decoder.layer_attention"] == count
    assert table["sum"] == before["sum"] + count
    assert table["decoder"] == before["decoder"] + count


def test_every_parameter_is_counted_once():
    model = toy_model()
    table = parameter_table(model)
    leaves = {part_of(name) for name, _ in model.named_parameters()}
    assert sum(table[part] for part in leaves) == table["sum"] == sum(p.numel() for p in model.parameters())
    assert part_of("subnet.conv.weight") == "subnet"
