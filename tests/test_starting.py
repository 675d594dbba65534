"""`model.init` is a choice: published weights from a file that is named and there, or none."""

import hashlib
import json
import os

import pytest
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.config import load_preset, preset_names, preset_text
from faceptor.errors import ConfigError, FaceptorError, WeightsError
from faceptor.pipeline.starting_weights import (
    missing_weights,
    model_sections,
    record_starting_weights,
    starting_weights_of,
)
from faceptor.weights.starting import (
    PRETRAINED,
    describe_starting_weights,
    part_of,
    source_of,
    starting_file,
    starting_weights,
)

TRAININGS = {"stage1": "model", "naive": "baselines.naive.model", "facexformer": "baselines.facexformer.model"}


def section(name, *, init, pretrained):
    """The model of a training of the embedded preset, with another start."""
    model = load_preset("embedded").variant(name).model
    part = getattr(model, part_of(model)).model_copy(update={"pretrained": pretrained})
    return model.model_copy(update={"init": init, part_of(model): part})


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize(("init", "pretrained"), [("released", None), ("released", "imagenet"), ("scratch", "x.pth")])
def test_init_and_file_must_agree(name, init, pretrained):
    model = section(name, init=init, pretrained=pretrained)
    with pytest.raises(ConfigError) as caught:
        starting_weights(model, where=TRAININGS[name])
    line = str(caught.value)
    assert f"{TRAININGS[name]}.init" in line and "\n" not in line
    if init == "released":
        assert "import-weights" in line and "scratch" in line and "data/pretrained" in line


@pytest.mark.parametrize("name", TRAININGS)
def test_a_file_that_is_not_there_says_where_it_comes_from(name, tmp_path):
    model = section(name, init="released", pretrained=tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError) as caught:
        starting_weights(model, where=TRAININGS[name])
    line = str(caught.value)
    assert f"{TRAININGS[name]}.{part_of(model)}.pretrained" in line and str(tmp_path / "absent.safetensors") in line
    assert "import-weights" in line and "scratch" in line and "\n" not in line
    os.mkfifo(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match="pretrained"):
        starting_weights(model, where=TRAININGS[name])


def test_the_file_is_named_by_its_content(tmp_path):
    (tmp_path / "encoder.safetensors").write_bytes(b"some weights")
    expected = {"path": str(tmp_path / "encoder.safetensors"), "sha256": hashlib.sha256(b"some weights").hexdigest()}
    for pretrained in (tmp_path / "encoder.safetensors", tmp_path):  # the file, or the folder that was imported
        assert starting_weights(section("stage1", init="released", pretrained=pretrained)) == expected
    assert starting_weights(section("stage1", init="scratch", pretrained=None)) is None
    told = describe_starting_weights(section("stage1", init="released", pretrained=tmp_path))
    assert told["state"] == "there" and told["sha256"] == expected["sha256"] and told["bytes"] == 12


def test_every_training_of_a_preset_can_be_asked():
    params = load_preset("embedded")
    assert {name: starting_weights_of(params, name) for name in TRAININGS} == dict.fromkeys(TRAININGS)
    assert missing_weights(params) == []


@pytest.fixture
def unnamed(tmp_path):
    """A params.yaml whose first training is to start from published weights, and names none."""
    path = tmp_path / "params.yaml"
    path.write_text(preset_text("embedded").replace("init: scratch", "init: released", 1))
    return path


def test_check_refuses_released_without_a_file(unnamed):
    result = CliRunner().invoke(app, ["params", "check", "--params", str(unnamed)])
    assert result.exit_code and "model.encoder.pretrained" in result.output + result.stderr


def test_training_refuses_before_it_reads_data(unnamed, tmp_path, monkeypatch):
    from faceptor.pipeline import training
    from faceptor.pipeline.experiment import load

    monkeypatch.chdir(tmp_path)  # no prepared data here: reading any would fail otherwise
    monkeypatch.setattr(training, "build_model", lambda *_: pytest.fail("built a model first"))
    with pytest.raises(FaceptorError, match=r"model\.encoder\.pretrained"):
        training.train_joint(load(unnamed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml"]


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_says_what_it_starts_from(preset):
    """From scratch, or from the file that its remedy makes, which is then a dependency of the training."""
    for where, model in model_sections(load_preset(preset)).values():
        path = starting_file(model, where=where)
        assert path == (source_of(model).file if model.init == "released" else None)
        assert path is None or (PRETRAINED in path.parents and str(PRETRAINED) in source_of(model).command)


def test_what_trainings_start_from_is_recorded_by_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = source_of(load_preset("base").model).file
    with pytest.raises(WeightsError, match=str(file)):
        record_starting_weights(load_preset("base"), tmp_path / "starts")
    assert not (tmp_path / "starts").exists()
    file.parent.mkdir(parents=True)
    for words in (b"one", b"two"):
        file.write_bytes(words)
        record_starting_weights(load_preset("base"), tmp_path / "starts")
        written = json.loads((tmp_path / "starts/stage1.json").read_text())
        assert written == {"path": str(file), "sha256": hashlib.sha256(words).hexdigest()}
    params = tmp_path / "params.yaml"
    params.write_text(preset_text("embedded"))
    assert CliRunner().invoke(app, ["train", "start", "--params", str(params)]).exit_code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "models/starts").iterdir()} == {
        f"{name}.json": "null\n" for name in TRAININGS
    }
