"""`faceptor doctor model`: what a folder says of itself is what prediction does."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.datasets import READERS
from faceptor.doctor.model import examine_model
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.framing import Framing, crop_of, describe_crop, place_face
from faceptor.weights.folder import load_model, model_hash, save_model
from tests import toy

FRAMING = [-0.7, -0.9, 0.7, 0.5]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, _ = toy.model_and_criteria()
    own = CropSpec(kind="box", size=32, scale=0.9).to_dict()
    whole = CropSpec(kind="whole", size=32).to_dict()
    model.crops = {"landmarks_300w": own | {"framing": FRAMING}, "age_morph2": whole}
    path = tmp_path_factory.mktemp("models") / "toy"
    return save_model(model, path, provenance={"stage": "toy", "seed": 3, "start": "abc"})


def test_every_task_says_how_a_face_becomes_its_input(folder):
    facts = examine_model(folder)
    assert list(facts["tasks"]) == list(toy.TASKS)
    landmarks, age, expression = (facts["tasks"][name] for name in toy.TASKS)
    assert (landmarks["framing"], landmarks["framing_from"]) == (FRAMING, "measured on training pictures")
    assert landmarks["crop"] == CropSpec(kind="box", size=32, scale=0.9).to_dict()
    assert age["framing_from"] == "known of the published pictures"
    assert (age["crop_from"], expression["crop_from"]) == ("model folder", "assumed")


def test_what_is_printed_is_what_is_cut(folder):
    """The stated framing, applied to a face box, is the part of the photograph that prediction crops; and back."""
    entry = examine_model(folder)["tasks"]["landmarks_300w"]
    box, model = np.array([30.0, 40.0, 130.0, 140.0]), load_model(folder)
    crop = place_face(*crop_of(model, "landmarks_300w"), image_size=(300, 200), box=box)
    side, low = entry["crop"]["size"], -0.5
    corners = np.array([[low, low], [side - 0.5, side - 0.5]])
    expected = 80 + 100 * np.reshape(entry["framing"], (2, 2)) + [[0, 10], [0, 10]]
    np.testing.assert_allclose(crop.points_back(corners), expected, atol=1e-9)
    np.testing.assert_allclose(crop.points(crop.points_back(corners)), corners, atol=1e-9)


def test_hash_inputs_licence_and_origin(folder):
    facts = examine_model(folder)
    assert facts["hash"] == model_hash(folder)
    assert facts["provenance"] == {"stage": "toy", "seed": 3, "start": "abc"}
    assert facts["inputs"]["face"]["size"] == 32 and facts["inputs"]["face"]["mean"] == [0.5] * 3
    assert sorted(task for group in facts["inputs"].values() for task in group["tasks"]) == sorted(toy.TASKS)
    assert facts["licence"]["data"] == {name: READERS[name].licence for name in ("300w", "morph2", "rafdb")}
    assert facts["licence"]["stated"] is None


def test_terms_of_data_sets_apply_unless_every_task_was_taught_by_generated_faces(folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "model")
    path = folder / "model.json"
    description = json.loads(path.read_text())
    faces = {spec["name"]: {"generated": True} for spec in description["tasks"]}
    for taught, generated in ((faces, True), (dict(list(faces.items())[1:]), False), ({}, False)):
        path.write_text(json.dumps(description | {"provenance": {"data": taught}}))
        licence = examine_model(folder)["licence"]
        assert licence["generated"] is generated and bool(licence["data"]) is not generated


@pytest.mark.parametrize(
    ("framing", "spec", "words"),
    [
        ([-0.625, -0.625, 0.625, 0.625], CropSpec(kind="box", size=512, scale=0.8), "1.25 x the face box -> 512 x 512"),
        ([-0.5, -0.8, 0.5, 0.4], CropSpec(kind="whole", size=112),
         "1.00 by 1.20 x the face box, centred 0.20 up -> 112 x 112, height squeezed by 1.20"),
        ([-0.4, -0.5, 0.6, 0.5], CropSpec(kind="align5", size=512, warp=0.8),
         "1.00 x the face box, centred 0.10 right -> 512 x 512, tanh warp 0.8"),
    ],
)  # fmt: skip
def test_a_crop_in_words(framing, spec, words):
    assert describe_crop(spec, Framing(*framing)) == words


def test_the_command_prints_text_or_json(folder):
    said = CliRunner().invoke(app, ["doctor", "model", str(folder)])
    assert said.exit_code == 0, said.output
    assert model_hash(folder) in said.output and "centred 0.20 up" in said.output
    facts = json.loads(CliRunner().invoke(app, ["doctor", "model", str(folder), "--json"]).output)
    assert facts == json.loads(json.dumps(examine_model(folder)))


def test_a_folder_without_model_is_one_line(tmp_path):
    from faceptor.errors import WeightsError

    with pytest.raises(WeightsError, match="not found"):
        examine_model(tmp_path)
