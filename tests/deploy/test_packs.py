"""Task packs: what is installed answers as where it was taught; what does not fit is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

from faceptor.deploy.base import base_hash
from faceptor.deploy.packs import install, read_pack, take_out, tasks_of_model, without, write_pack
from faceptor.errors import ConfigError, WeightsError
from faceptor.tasks import task
from faceptor.weights.folder import load_model, save_model
from tests.models.test_naive import toy_model as naive_model
from tests.models.toy_models import toy_model

OLD, NEW, OTHER = ("age_morph2", "recognition_ms1mv3"), "parsing_lapa", "attributes_lfw73"
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def taught(name: str, *, seed: int, layer_attention: bool = False):
    """The base, and a prompt transfer of it to one more task."""
    model = toy_model(tasks=OLD)
    torch.manual_seed(seed)
    model.add_task(task(name))
    if layer_attention:
        model.enable_layer_attention(name, "paper", init="normal")
    model.crops[name] = {"kind": "whole", "size": 32, "framing": [-0.5, -0.5, 0.5, 0.5]}
    model.provenance = {"data": {name: {"dataset": "lapa", "generated": True}}}
    return model


@torch.inference_mode()
def answers(model):
    return model.eval()(IMAGES)


def test_an_installed_task_answers_as_where_it_was_taught(tmp_path):
    model = taught(NEW, seed=1, layer_attention=True)
    pack = read_pack(write_pack(take_out(model, NEW), tmp_path / "lapa.safetensors"))
    grown = install(toy_model(tasks=OLD), {"lapa.safetensors": pack})
    save_model(grown, tmp_path / "grown", grown.provenance)
    loaded, expected = load_model(tmp_path / "grown"), answers(model)
    assert list(loaded.tasks) == [*OLD, NEW]
    for name, values in answers(loaded).items():
        assert torch.equal(values, expected[name]), name
    assert loaded.crops[NEW] == model.crops[NEW]
    assert loaded.provenance["data"][NEW]["generated"] and loaded.provenance["packs"][NEW]["sha256"] == pack.sha256


def test_packs_of_one_base_combine_and_are_taken_out_again():
    base = toy_model(tasks=OLD)
    packs = {name: take_out(taught(name, seed=seed), name) for seed, name in ((1, NEW), (2, OTHER))}
    both = install(base, packs)
    assert list(both.tasks) == [*OLD, NEW, OTHER] and base_hash(both) == base_hash(base)
    for seed, name in ((1, NEW), (2, OTHER)):
        torch.testing.assert_close(answers(both)[name], answers(taught(name, seed=seed))[name])
    rest = without(without(both, NEW), OTHER)
    assert rest.state_dict().keys() == base.state_dict().keys()
    assert all(torch.equal(rest.state_dict()[key], tensor) for key, tensor in base.state_dict().items())
    assert OTHER not in rest.provenance["data"]


def test_a_pack_for_another_base_is_refused():
    pack = take_out(taught(NEW, seed=1), NEW)
    for other in (toy_model(tasks=OLD, seed=5), toy_model(tasks=OLD, face={"mean": (0.4,) * 3, "std": (0.5,) * 3})):
        with pytest.raises(ConfigError, match="lapa: made for another base"):
            install(other, {"lapa": pack})
    with pytest.raises(ConfigError, match="has this task already"):
        install(taught(NEW, seed=2), {"lapa": pack})


def test_a_pack_with_shared_weights_is_used_alone(tmp_path):
    base, model = toy_model(tasks=OLD), taught(NEW, seed=1)
    with torch.no_grad():
        model.decoder.projection.bias.add_(0.1)  # as transfer mode "decoder" does
    pack = read_pack(write_pack(take_out(model, NEW, base=base), tmp_path / "lapa.safetensors"))
    assert pack.shared == ("decoder.projection.bias",) and pack.facts()["shared_numbers"] == 16
    with pytest.raises(ConfigError, match=r"other tasks \(age_morph2, recognition_ms1mv3\) would answer otherwise"):
        install(base, {"lapa": pack})
    with pytest.raises(ConfigError, match="add it by itself"):
        install(base, {"lapa": pack, "lfw73": take_out(taught(OTHER, seed=2), OTHER)}, alone=True)
    alone = install(base, {"lapa": pack}, alone=True)
    with torch.inference_mode():
        assert torch.equal(answers(alone)[NEW], model.eval()(IMAGES, [NEW])[NEW])
    with pytest.raises(ConfigError, match="made for another base"):
        install(alone, {"lfw73": take_out(taught(OTHER, seed=2), OTHER)})


def test_tasks_of_one_head_must_agree_on_it():
    """Naive Faceptor: a pack holds the head of its kind, which the model may have or not."""
    model = naive_model()
    name = next(name for name in model.tasks if model.head[name] == "value")
    pack = take_out(model, name)
    rest = without(model, name)
    back = install(rest, {"pack": pack})
    assert all(torch.equal(back.state_dict()[key], tensor) for key, tensor in model.state_dict().items())
    kind = model.tasks[name].kind
    if kind in rest.heads:
        with torch.no_grad():
            next(rest.heads[kind].parameters()).add_(1)
        with pytest.raises(ConfigError, match="differs from the model's"):
            install(rest, {"pack": pack})


def test_a_list_says_how_small_a_task_is():
    rows = {row["task"]: row for row in tasks_of_model(taught(NEW, seed=1))}
    assert rows[NEW]["numbers"] == 2 * 11 * 16 and rows[NEW]["generated"]
    assert len({row["base"] for row in rows.values()}) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda head, tensors: head.pop("base"), "base: missing"),
        (lambda head, tensors: head.update(format=9), "format expected 1, found 9"),
        (lambda head, tensors: head["task"].update(kind="nonsense"), "kind 'nonsense' is unknown"),
        (lambda head, tensors: head.update(shared=["queries.x"]), "shared: expected names of tensors"),
        (lambda head, tensors: head["crop"].update(size=-3), "size"),
        (lambda head, tensors: tensors[f"queries.{NEW}.content"].fill_(float("nan")), "expected finite numbers"),
        (lambda head, tensors: tensors.pop(f"queries.{NEW}.content"), "1 missing"),
        (lambda head, tensors: head.update(structure={"layer_attention": [{}]}), "no task that this model can have"),
    ],
)
def test_a_damaged_pack_is_one_line(tmp_path, damage, said):
    path = write_pack(take_out(taught(NEW, seed=1), NEW), tmp_path / "lapa.safetensors")
    head, tensors = json.loads(metadata(path)), dict(read_pack(path).tensors)
    damage(head, tensors)
    save_file(tensors, path, metadata={"faceptor_task": json.dumps(head)})
    with pytest.raises((WeightsError, ConfigError), match=said) as refusal:
        install(toy_model(tasks=OLD), {str(path): read_pack(path)})
    assert "lapa.safetensors" in str(refusal.value) and "\n" not in str(refusal.value)


def metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()["faceptor_task"]


def test_what_is_no_pack_is_said_to_be_none(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match="no task pack"):
        read_pack(tmp_path / "weights.safetensors")
    (tmp_path / "text.safetensors").write_text("not one")
    with pytest.raises(WeightsError, match="not a readable task pack"):
        read_pack(tmp_path / "text.safetensors")
