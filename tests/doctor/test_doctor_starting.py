"""`faceptor doctor` says what every training starts from: not named, absent, there and fits, or there and does not."""

import json

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.config import load_preset, preset_text
from faceptor.doctor.machine import show, starting_weights
from faceptor.models import backbone as backbones
from faceptor.weights.starting import part_of


def section(path):
    """The small FaceXFormer of the embedded preset, to start from a file."""
    model = load_preset("embedded").variant("facexformer").model
    backbone = model.backbone.model_copy(update={"pretrained": path})
    return model.model_copy(update={"init": "released", "backbone": backbone})


@pytest.fixture
def weights(tmp_path):
    model = section(None)
    path = tmp_path / "backbone.safetensors"
    save_file(backbones.create_net(model.backbone.name, model.backbone.options).state_dict(), path)
    return path


def test_a_file_that_fits(weights):
    facts = starting_weights("model", section(weights))
    assert facts["state"] == "there, fits"
    assert facts["path"] == str(weights) and facts["bytes"] == weights.stat().st_size and len(facts["sha256"]) == 64


def test_a_file_that_does_not_fit_names_a_tensor(weights):
    save_file({"stranger": torch.ones(1)}, weights)
    facts = starting_weights("model", section(weights))
    assert facts["state"] == "there, does not fit" and "stranger" in facts["problem"]


def test_a_file_that_is_not_there_or_not_named(tmp_path):
    absent = starting_weights("model", section(tmp_path / "absent.safetensors"))
    assert absent["state"] == "absent" and "import-weights imagenet" in absent["problem"]
    unnamed = starting_weights("model", section(None))
    assert unnamed["state"] == "not named" and "import-weights imagenet" in unnamed["problem"]


def test_the_verb_tells_it_for_every_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("faceptor.doctor.machine.dvc_state", lambda: {"remote": None})
    (tmp_path / "params.yaml").write_text(preset_text("base"))
    facts = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    told = facts["starting_weights"]
    base = load_preset("base").model
    assert told["stage1"]["path"] == str(getattr(base, part_of(base)).pretrained)
    assert told["stage1"]["state"] == "absent" and "github.com/FacePerceiver/FaRL" in told["stage1"]["problem"]
    show(facts)
    assert "github.com/FacePerceiver/FaRL" in capsys.readouterr().out
