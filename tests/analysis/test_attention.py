import numpy as np
import pytest
import torch

from faceptor.analysis.attention import attended_layers, query_attention, query_names
from faceptor.errors import ConfigError, FaceptorError
from faceptor.tasks import task
from tests.models.test_facexformer import toy_model as toy_facexformer
from tests.models.toy_models import toy_model


@pytest.fixture
def face():
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layers", [1, 3])
def test_equals_the_mean_of_the_textbook_attention_over_heads(face, layers):
    model = toy_model()
    if layers > 1:
        model.enable_layer_attention("expression_rafdb", "paper", init="normal")
    found = query_attention(model, face, "expression_rafdb")
    report = model.attention(face[None], "expression_rafdb")
    assert found.shape == (2, 7, layers, *report.grid)
    assert np.allclose(found.reshape(2, 7, layers, -1), report.weights.mean(dim=2)[:, 0], atol=1e-6)
    assert np.allclose(found.sum(axis=(2, 3, 4)), 1, atol=1e-5)
    assert len(attended_layers(model, "expression_rafdb")) == layers
    assert query_names(model, "expression_rafdb") == task("expression_rafdb").labels


def test_tokens_of_facexformer_read_what_its_decoder_reads(face):
    model = toy_facexformer("expression_rafdb", "landmarks_cofw")
    found = query_attention(model, face, "landmarks_cofw")
    depth = len(model.decoder.layers)
    assert found.shape[:3] == (depth + 1, 29, 1) and len(query_names(model, "landmarks_cofw")) == 29
    assert np.allclose(found.sum(axis=(2, 3, 4)), 1, atol=1e-5)
    assert query_names(model, "expression_rafdb") == ("expression_rafdb",)
    # the last read alone: one head's weights by hand from what it was given
    module, inputs = model.decoder.final_attention, {}
    hook = module.register_forward_pre_hook(lambda _, given: inputs.update(q=given[0], k=given[1]))
    model(face[None])
    hook.remove()
    q, k = module.split(module.query(inputs["q"])), module.split(module.key(inputs["k"]))
    expected = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1).mean(dim=1)[0, model.spans()["landmarks_cofw"]]
    assert np.allclose(found[-1].reshape(29, -1), expected.detach(), atol=1e-6)


def test_what_has_no_queries_is_refused_by_name(face):
    model = toy_model()
    with pytest.raises(ConfigError, match=r"recognition_ms1mv3.*no queries"):
        query_attention(model, face, "recognition_ms1mv3")
    with pytest.raises(FaceptorError, match="one face"):
        query_attention(model, torch.rand(2, 3, 32, 32), "age_morph2")
    with pytest.raises(FaceptorError, match="Linear: its tasks have no queries"):
        query_attention(torch.nn.Linear(1, 1), face, "age_morph2")
