"""The model that comes with the package, in half precision, and how it is made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

import faceptor
from faceptor.cli import predict as predict_cli
from faceptor.errors import ConfigError, FaceptorError, WeightsError
from faceptor.io.files import SHIPPED, read_json
from faceptor.pipeline import experiment, shipping
from faceptor.predict.predictor import GeneratedFacesWarning
from faceptor.weights.folder import load_model, model_hash, read_description, save_model
from tests.models.toy_models import toy_model

ROOT = Path(__file__).parents[2]
HALF_PRECISION = 2**-8  # of a task's largest answer: eleven bits a weight, a dozen layers
DETAILS = ROOT / "results/evaluate/details/stage2.json"


def answers(model):
    """task -> raw answers about noise of the size of its input group."""
    torch.manual_seed(0)
    images = {task: torch.rand(2, 3, *[model.inputs[model.group[task]].size] * 2) for task in model.tasks}
    with torch.inference_mode():
        return model.forward_tasks(images)


def assert_alike(one, other):
    for task, expected in answers(other).items():
        assert (answers(one)[task] - expected).abs().max() <= HALF_PRECISION * expected.abs().max(), task


def test_it_loads_without_an_argument_and_says_what_taught_it():
    model = faceptor.load()
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 5_000_000
    with pytest.warns(GeneratedFacesWarning, match="learned from generated faces alone"):
        (face,) = faceptor.predict(model, astronaut())
    assert set(face.results) == set(model.tasks) == set(face.generated)


def test_it_answers_as_the_model_that_it_is_made_of():
    trained = ROOT / "models/stage2"
    if not trained.exists() or model_hash(trained) != read_description(SHIPPED)["provenance"]["shipped_from"]:
        pytest.skip("models/stage2 is not here, or is of another training")
    assert_alike(faceptor.load(), load_model(trained))


def test_its_card_is_of_the_committed_results():
    origin = read_description(SHIPPED)["provenance"]["shipped_from"]
    judged = read_json(DETAILS)
    assert judged["about"]["model_hash"] == origin
    card = (SHIPPED / shipping.CARD).read_text()
    assert card == shipping.card("embedded", "stage2", faceptor.load(), judged, origin=origin)
    assert "Generated faces only" in card and "MIT" in card


def test_half_precision_is_widened_where_the_description_says_so(tmp_path):
    model = toy_model()
    save_model(model, tmp_path / "whole")
    save_model(model, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    assert_alike(load_model(tmp_path / "half"), model)
    assert model_hash(tmp_path / "half") != model_hash(tmp_path / "whole")
    description = tmp_path / "half" / "model.json"
    description.write_text(description.read_text().replace('"precision": "float16"', '"precision": "float32"'))
    with pytest.raises(WeightsError, match="of another type"):
        load_model(tmp_path / "half")
    with torch.no_grad():
        model.decoder.level += 1e6
    with pytest.raises(WeightsError, match=r"decoder\.level: a weight is too large for half precision"):
        save_model(model, tmp_path / "large", half=True)
    assert not (tmp_path / "large").exists()


def test_only_an_evaluated_model_of_generated_faces_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = experiment.preset("embedded")
    model = toy_model()
    taught = {name: {"dataset": "toy", "generated": name != "age_morph2"} for name in model.tasks}
    save_model(model, "models/stage2", {"data": taught})
    with pytest.raises(ConfigError, match="photographs taught age_morph2"):
        shipping.ship(params)
    save_model(model, "models/stage2", {"data": {name: facts | {"generated": True} for name, facts in taught.items()}})
    details = Path("results/evaluate/details/stage2.json")
    details.parent.mkdir(parents=True)
    shutil.copy(DETAILS, details)
    with pytest.raises(FaceptorError, match="judges another model than models/stage2"):
        shipping.ship(params)
    details.write_text(json.dumps(read_json(details) | {"about": read_json(details)["about"] | {"model_hash": "x"}}))
    monkeypatch.setattr(shipping, "model_hash", lambda folder: "x")
    assert shipping.ship(params) == Path("faceptor/shipped/embedded")
    assert sorted(path.name for path in Path("faceptor/shipped").iterdir()) == ["embedded"]
    assert_alike(load_model("faceptor/shipped/embedded"), model)


def test_predict_takes_the_model_trained_here_and_else_the_shipped_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("photo.png")
    predict_cli.predict_command([Path("photo.png")], Path("out"), box=["5,5,30,30"], task=["age_morph2"], device="cpu")
    _, said = capsys.readouterr()
    assert f"model: {SHIPPED}, which ships with faceptor" in said and "generated faces" in said
    assert json.loads(Path("out/photo.json").read_text())["model"]["hash"] == model_hash(SHIPPED)
    save_model(toy_model(), "models/stage2")
    assert predict_cli.at_hand() == Path("models/stage2")
    assert "model: models/stage2" in capsys.readouterr().err
