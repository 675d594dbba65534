import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceptor.errors import WeightsError
from faceptor.weights.description import weights_hash
from faceptor.weights.folder import NAMES_IN_FORMAT_1, load_model, model_hash, save_model
from tests.models.test_facexformer import toy_model as facexformer
from tests.models.toy_models import OTHER, toy_model


@pytest.fixture
def saved(tmp_path):
    """A model with Layer-Attention of both modes, a task removed and batch statistics moved; and its folder."""
    model = toy_model(dense=OTHER, encoder={"extras": True})
    model.enable_layer_attention("age_morph2", "paper")
    model.enable_layer_attention(["expression_rafdb", "parsing_lapa"], "released")
    model.remove_task("attributes_celeba")
    model.crops["age_morph2"] = {"kind": "whole", "size": 24}
    model.train().forward_tasks({"recognition_ms1mv3": torch.rand(4, 3, 24, 24)})
    save_model(model.eval(), tmp_path / "model", provenance={"stage": "test", "seed": 1})
    return model, tmp_path / "model"


def test_a_loaded_model_answers_bit_for_bit(saved):
    model, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    loaded = load_model(folder)
    assert loaded.tasks == model.tasks
    assert loaded.structure() == model.structure()
    assert loaded.crops == model.crops
    assert not loaded.training
    images = torch.rand(2, 3, 32, 24)
    expected = model(images)
    for task, values in loaded(images).items():
        assert torch.equal(values, expected[task]), task
    frozen = [name for name, p in loaded.named_parameters() if not p.requires_grad]
    assert len(frozen) == 3


def test_loading_leaves_the_random_generator_alone(saved):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_model(saved[1])
    assert torch.equal(torch.rand(2), expected)


def test_hash_is_of_the_content(saved, tmp_path):
    model, folder = saved
    first = model_hash(folder)
    save_model(model, tmp_path / "again", provenance={"stage": "another", "seed": 2})
    assert model_hash(tmp_path / "again") == first
    with torch.no_grad():
        model.decoder.level += 1e-3
    save_model(model, folder)
    assert model_hash(folder) != first


def rewrite(folder, change):
    """Change the tensors and make the description agree, as if they had been saved like that."""
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file(tensors, folder / "weights.safetensors")
    edit(folder, weights=weights_hash(folder / "weights.safetensors"))


def edit(folder, **entries):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("decoder.level"), "1 missing: decoder.level"),
        (lambda t: t.update(stray=torch.zeros(1)), "1 extra: stray"),
        (
            lambda t: t.update({"decoder.level": torch.zeros(2, 16)}),
            r"decoder.level expected \(1, 16\), found \(2, 16\)",
        ),
        (lambda t: [t.pop(name) for name in list(t)[:6]], "6 missing: .*, and 2 more"),
    ],
)
def test_tensors_must_fit_exactly(saved, change, message):
    rewrite(saved[1], change)
    with pytest.raises(WeightsError, match=message):
        load_model(saved[1])


def test_a_folder_of_format_1_loads(tmp_path):
    """It calls the attentions of FaceXFormer's decoder by other names."""
    model = facexformer("age_morph2", "landmarks_300w")
    save_model(model, tmp_path)

    def rename(tensors):
        for name in [name for name in tensors if name.startswith("decoder.")]:
            parts = [NAMES_IN_FORMAT_1.get(part, part) for part in name.split(".")]
            tensors[".".join(parts)] = tensors.pop(name)
        assert {"decoder.layers.1.confer.query.weight", "decoder.read_norm.bias"} <= tensors.keys()

    rewrite(tmp_path, rename)
    with pytest.raises(WeightsError, match=r"missing: decoder\.final_attention"):
        load_model(tmp_path)
    edit(tmp_path, format=1)
    expected, loaded = model.state_dict(), load_model(tmp_path).state_dict()
    assert expected.keys() == loaded.keys()
    assert all(torch.equal(values, loaded[name]) for name, values in expected.items())


def test_a_torn_folder_is_noticed(saved):
    _, folder = saved
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[:-10])
    with pytest.raises(WeightsError, match=r"not the file that model\.json describes"):
        load_model(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match="dvc pull"):
        load_model(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 99}, "format expected 1 or 2, found 99"),
        ({"model": {"name": "faceptor", "stranger": 1}}, "model.*inputs|stranger"),
    ],
)
def test_a_description_of_another_kind_is_refused(saved, entries, message):
    edit(saved[1], **entries)
    with pytest.raises(WeightsError, match=message):
        load_model(saved[1])


def test_no_folder(tmp_path):
    with pytest.raises(WeightsError, match=r"model\.json: not found"):
        load_model(tmp_path / "absent")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(WeightsError, match="not valid JSON"):
        model_hash(tmp_path)
