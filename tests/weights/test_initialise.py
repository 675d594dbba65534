"""Where training starts: scratch and published weights."""

import pytest
import torch

from faceptor.config import load_preset
from faceptor.config.model import LayerAttentionConfig
from faceptor.errors import ConfigError
from faceptor.models.build import build_model
from faceptor.tasks import task
from faceptor.weights.initialise import LOADERS, initialise
from faceptor.weights.starting import part_of

NAMES = ["landmarks_300w", "parsing_lapa", "expression_rafdb"]


def fresh(config):
    torch.manual_seed(0)
    return build_model(config, [task(name) for name in NAMES])


@pytest.mark.parametrize("name", ["stage1", "naive"])
def test_scratch_touches_every_block_and_keeps_dense_queries(name):
    config = load_preset("embedded").variant(name).model
    before, after = fresh(config), fresh(config)
    assert config.init == "scratch"
    initialise(after, config)
    same = {n for n, p in before.named_parameters() if torch.equal(p, dict(after.named_parameters())[n])}
    weights = {n for n in dict(before.named_parameters()) if n.startswith("encoder.blocks") and n.endswith("weight")}
    assert not {n for n in weights if "norm" not in n} & same
    assert "queries.landmarks_300w.content" in same or name == "naive"
    assert "queries.expression_rafdb.content" not in same
    assert after.encoder.pos_embed[:, 1:].std() > 10 * before.encoder.pos_embed.std()


def test_facexformer_tokens_start_apart():
    """After the first layer's self-attention a token is still nearest to itself; by default all are the same."""
    config = load_preset("embedded").variant("facexformer").model
    nearest = {}
    for init in ("as built", "scratch"):
        model = fresh(config)
        if init == "scratch":
            initialise(model, config)
        tokens = torch.cat([each.content for each in model.tokens.values()])[None]
        after = model.decoder.layers[0].self_attention(tokens, tokens, tokens)[0]
        spread = torch.cdist(after, after).mean() / after.norm(dim=1).mean()
        nearest[init] = (torch.cdist(after, tokens[0]).argmin(1) == torch.arange(len(after))).float().mean(), spread
    assert nearest["scratch"][0] == 1.0
    assert nearest["as built"][0] < 0.5
    assert nearest["scratch"][1] > 3 * nearest["as built"][1]


@pytest.mark.parametrize("name", ["stage1", "naive", "facexformer"])
def test_every_number_of_the_section_counts(name):
    config = load_preset("embedded").variant(name).model
    numbers = config.initialisation.model_dump()

    def initialised(**changed):
        model = fresh(config)
        section = config.initialisation.model_copy(update=changed)
        initialise(model, config.model_copy(update={"initialisation": section}))
        return model.state_dict()

    expected = initialised()
    for key, value in numbers.items():
        found = initialised(**{key: 2 * value})
        assert any(not torch.equal(tensor, found[each]) for each, tensor in expected.items()), key


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_layer_attention_from_the_start_is_added_to_tasks_with_values(mode):
    config = load_preset("embedded").model
    directly = config.model_copy(update={"layer_attention": LayerAttentionConfig(mode=mode, from_start=True)})
    plain = fresh(config)
    initialise(plain, config)
    model = fresh(directly)
    initialise(model, directly)
    assert model.structure() == {"layer_attention": [{"tasks": ["expression_rafdb"], "mode": mode}]}
    assert plain.structure() == {"layer_attention": []}
    found = model.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in plain.state_dict().items())
    raw = model.train().forward_tasks({name: torch.rand(1, 3, 96, 96) for name in NAMES})
    raw["expression_rafdb"].sum().backward()
    assert all(p.grad.any() for p in model.layer_attention.parameters())


@pytest.mark.parametrize("name", ["stage1", "naive", "facexformer"])
def test_released_start_needs_a_file(name):
    config = load_preset("embedded").variant(name).model.model_copy(update={"init": "released"})
    with pytest.raises(ConfigError, match="pretrained"):
        initialise(fresh(config), config)


def test_every_model_says_what_published_weights_it_takes():
    for name in ("stage1", "naive", "facexformer"):
        config = load_preset("embedded").variant(name).model
        assert part_of(config) in LOADERS
        assert hasattr(getattr(config, part_of(config)), "pretrained") and hasattr(fresh(config), part_of(config))
