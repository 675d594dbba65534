"""Exported graphs answer as the model, or there is no file."""

import json
import sys
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from faceptor.deploy import export, formats
from faceptor.deploy.export import export_model
from faceptor.deploy.graph import nearest_rotation
from faceptor.deploy.stored import LARGEST_INT8, rounded, with_stored_weights
from faceptor.errors import ConfigError, FaceptorError
from faceptor.tasks.losses import rotations
from faceptor.weights.folder import model_hash, save_model
from tests.models.test_facexformer import toy_model as facexformer
from tests.models.toy_models import toy_model

ASKED = ("age_morph2", "parsing_lapa", "recognition_ms1mv3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = toy_model(encoder={"depth": 2, "layers": (1, 2)}, decoder={"depth": 1})
    model.enable_layer_attention("age_morph2", "paper")
    model.crops = {"age_morph2": {"kind": "whole", "size": 32, "framing": [-0.6, -0.7, 0.6, 0.5]}}
    data = {name: {"dataset": "morph2", "generated": True} for name in model.tasks}
    return save_model(model, tmp_path_factory.mktemp("models") / "toy", {"data": data})


def test_onnx_answers_as_the_model_at_any_number_of_images(folder, tmp_path):
    out = tmp_path / "toy.onnx"
    contract = export_model(folder, out, tasks=ASKED, precision="int8")
    assert contract == json.loads(out.with_suffix(".json").read_text())
    assert list(contract["inputs"]) == ["dense", "face"] and contract["model"]["hash"] == model_hash(folder)
    assert set(contract["tasks"]) == set(ASKED) == set(contract["parity"]["largest_difference"])
    assert contract["model"]["warning"] and contract["tasks"]["age_morph2"]["generated"]
    assert contract["tasks"]["age_morph2"]["crop"] == {"size": 32, "warp": 0.0, "framing": [-0.6, -0.7, 0.6, 0.5]}
    assert contract["tasks"]["parsing_lapa"]["output"]["shape"] == ["dense_images", 11, 8, 8]
    assert not any(place.encode() in out.read_bytes() for place in (str(tmp_path), "site-packages"))

    stored = with_stored_weights(export.load_model(folder), "int8")
    dense, face = torch.rand(1, 3, 32, 32), torch.rand(5, 3, 32, 32)  # a number of its own for each input
    found = dict(zip(contract["tasks"], formats.run_onnx(out, [dense, face]), strict=True))
    with torch.no_grad():
        expected = stored(dense, ["parsing_lapa"]) | stored(face, ["age_morph2", "recognition_ms1mv3"])
    for task, values in expected.items():
        np.testing.assert_allclose(found[task], values.numpy(), atol=1e-4)


def test_torch_export_answers_as_the_model_and_holds_no_pickle(tmp_path):
    folder = save_model(facexformer("pose_300wlp", "age_utkface"), tmp_path / "toy")
    contract = export_model(folder, tmp_path / "toy.pt2", to="torch", precision="bf16")
    assert max(contract["parity"]["largest_difference"].values()) < 1e-4
    with zipfile.ZipFile(tmp_path / "toy.pt2") as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b"\x80\x02" in data[:2] or data[:2] == b"PK" for data in inside.values())
    assert not any(b'"use_pickle": true' in data for data in inside.values())


def test_a_file_that_answers_otherwise_is_not_left(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(export.WRITERS, "torch", lambda graph, path: path.write_bytes(b"x") and {})
    wrong = lambda path, images: [np.zeros(1)] * len(ASKED)  # noqa: E731
    monkeypatch.setitem(export.RUNNERS, "torch", wrong)
    with pytest.raises(FaceptorError, match=r"toy.pt2: \w+: the file's answers differ from the model's"):
        export_model(folder, tmp_path / "toy.pt2", to="torch", tasks=ASKED)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said_first(folder, tmp_path, monkeypatch):
    refused = ({"to": "tflite"}, "--to"), ({"to": "torch"}, "a name in .pt2"), ({"precision": "int4"}, "int4")
    for wrong, said in refused:
        with pytest.raises(ConfigError, match=said):
            export_model(folder, tmp_path / "toy.onnx", **wrong)

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FaceptorError, match=r"onnx: not installed.*faceptor\[export\]"):
        export_model(folder, tmp_path / "toy.onnx")
    assert not list(tmp_path.iterdir())


def test_stored_weights_are_the_nearest_of_their_precision():
    model = toy_model()
    weight = model.decoder.projection.weight
    whole, scale = rounded(weight)
    assert whole.dtype == torch.int8 and whole.abs().amax() == LARGEST_INT8 and scale.shape == (16, 1, 1, 1)
    assert ((whole * scale - weight).abs() <= scale / 2 + 1e-7).all()
    stored = with_stored_weights(model, "bf16")
    assert torch.equal(stored.decoder.projection.weight, weight.bfloat16().float())
    assert isinstance(model.decoder.projection.weight, nn.Parameter)  # the model stays as it was
    kept = sum(buffer.numel() for name, buffer in stored.named_buffers() if name.endswith("stored"))
    assert kept == sum(p.numel() for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
                       for name, p in m.named_parameters(recurse=False) if name == "weight")  # fmt: skip


def test_rotations_by_squaring_are_those_by_singular_values():
    matrices = torch.randn(500, 3, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(nearest_rotation(matrices), rotations.nearest_rotation(matrices), atol=1e-4, rtol=0)
