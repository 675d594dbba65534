"""The model section: one class per model, chosen by `name`; what is refused, and in which words."""

import pytest
import yaml

from faceptor.config import (
    FaceptorConfig,
    FaceXFormerConfig,
    ModelConfig,
    NaiveConfig,
    load_preset,
    model_config,
    parse,
    preset_text,
)
from faceptor.errors import ConfigError

INPUT = {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
INPUTS = {"dense": INPUT, "face": INPUT}
NAMES = {"faceptor": FaceptorConfig, "naive": NaiveConfig, "facexformer": FaceXFormerConfig}


def parameters(preset: str, **model) -> dict:
    values = yaml.safe_load(preset_text(preset))
    return values | {"model": values["model"] | model}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_chooses_the_section(name):
    config = model_config({"name": name, "inputs": INPUTS})
    assert type(config) is NAMES[name] and config.name == name
    assert model_config(config.model_dump(mode="json")) == config
    assert model_config(config) is config


def test_without_a_name_it_is_a_faceptor():
    assert type(model_config({"inputs": INPUTS})) is FaceptorConfig
    values = parameters("base")
    del values["model"]["name"]
    assert parse(values).model == load_preset("base").model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            {"name": "naif"},
            r"^params\.yaml: model\.name: unknown, expected one of faceptor, naive, facexformer, .*'naif'$",
        ),
        ({"name": ["naive"]}, r"model\.name: unknown, expected one of"),
        ({"name": "naive", "decoder": {}}, r"params\.yaml: model\.decoder: unknown key; did you mean 'encoder'\?"),
        ({"name": "naive", "valus": {}}, r"params\.yaml: model\.valus: unknown key; did you mean 'values'\?"),
        ({"name": "naive", "maps": {"widht": 8}}, r"model\.maps\.widht: unknown key; did you mean 'width'\?"),
        ({"name": "naive", "maps": {"layers": [1, 2]}}, r"model\.maps\.layers\.2: missing"),
        ({"name": "naive", "maps": {"layers": [1, 2, 2, 4]}}, r"model: maps.layers \[1, 2, 2, 4\] must ascend"),
        ({"name": "naive", "values": {"layers": [6, 13]}}, r"model: values.layers .* not exceed depth 12"),
        ({"name": "naive", "values": {"dropout": 1}}, r"model\.values\.dropout: .*less than 1, found 1"),
        ({"name": "faceptor", "values": {}}, r"model\.values: unknown key"),
        ({"name": "facexformer", "encoder": {}}, r"model\.encoder: unknown key"),
    ],
)
def test_errors_name_the_key_as_it_is_written(model, words):
    values = parameters("base")
    with pytest.raises(ConfigError, match=words):
        parse(values | {"model": {"inputs": values["model"]["inputs"]} | model})


def test_a_section_alone_is_explained_too():
    with pytest.raises(ConfigError, match=r"^here: inputs\.face: missing; here: embeding: unknown key; did you mean"):
        model_config({"inputs": {"dense": INPUT}, "embeding": 3}, origin="here")
    with pytest.raises(ConfigError, match="name: unknown"):
        model_config(3)


def test_an_annotation_is_enough_for_other_sections():
    from pydantic import BaseModel

    class Holder(BaseModel):
        model: ModelConfig

    assert type(Holder(model={"name": "naive", "inputs": INPUTS}).model) is NaiveConfig


def test_layer_attention_needs_queries():
    naive = yaml.safe_load(preset_text("naive"))
    naive["stage2"]["tasks"] = {"age_morph2": {"samples": 4}}
    with pytest.raises(ConfigError, match=r"stage2\.tasks: model 'naive' has no Layer-Attention"):
        parse(naive)


def test_naive_trains_as_published():
    base, naive = load_preset("base"), load_preset("naive")
    assert type(naive.model) is NaiveConfig and naive.model.encoder == base.model.encoder
    assert naive.model.inputs == base.model.inputs
    weights = {name: settings.weight for name, settings in naive.stage1.tasks.items()}
    assert weights.pop("expression_affectnet") == 0.8 and weights.pop("expression_rafdb") == 0.2
    assert set(weights.values()) == {1.0}
    rest = {name: settings.model_copy(update={"weight": 1.0}) for name, settings in naive.stage1.tasks.items()}
    assert rest == {name: settings.model_copy(update={"weight": 1.0}) for name, settings in base.stage1.tasks.items()}
    # The published configuration says ten times the rate and a tenth of the multipliers: the same rates.
    for mine, other in zip(naive.stage1.optimiser.multipliers, base.stage1.optimiser.multipliers, strict=True):
        assert mine.match == other.match
        assert naive.stage1.optimiser.lr * mine.rate == pytest.approx(base.stage1.optimiser.lr * other.rate)


def test_naive_stands_beside_faceptor_at_the_papers_scale():
    naive, beside = load_preset("naive"), load_preset("base").variant("naive")
    assert beside.model == naive.model
    assert beside.stage1 == naive.stage1
    assert {"stage1", "naive"} <= set(load_preset("base").evaluate.models)


def test_skips_need_a_stem_that_has_finer_maps():
    with pytest.raises(ConfigError, match=r"only the stem residual has finer maps; encoder\.stem is patch"):
        model_config({"inputs": INPUTS, "skips": True})
    assert model_config({"inputs": INPUTS, "skips": True, "encoder": {"stem": "residual"}}).skips
