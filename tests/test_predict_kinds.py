"""The answers of a photograph that only FaceXFormer's tasks give: pose, gender, race, age group, visibility."""

import json

import numpy as np
import pytest
import torch
from skimage import data

from faceptor.predict.overlay import _matrix, draw_pages
from faceptor.predict.predictor import predict
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.attributes import AttributesPrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.pose import PosePrediction
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.framing import Framing, place_face
from tests.models.toy_models import HALF, toy_model

BOX = (180.0, 87.0, 272.0, 178.0)
TYPES = {
    "pose_300wlp": PosePrediction,
    "gender_utkface": ClassPrediction,
    "race_fairface": ClassPrediction,
    "agegroup_utkface": ClassPrediction,
    "visibility_cofw": AttributesPrediction,
}


@pytest.fixture(scope="module")
def model():
    return toy_model(tasks=TYPES, dense=HALF | {"size": 48})


@pytest.fixture(scope="module")
def face(model):
    (face,) = predict(model, data.astronaut(), boxes=[BOX])
    return face


def test_every_task_answers_in_its_own_type(face):
    assert {name: type(answer) for name, answer in face.results.items()} == TYPES


def test_answers_are_plain_numbers_and_words(face):
    told = json.loads(json.dumps(face.to_json(), allow_nan=False))["tasks"]
    assert set(told["pose_300wlp"]) == {"unit", "pitch", "yaw", "roll"}
    assert told["gender_utkface"]["label"] in ("male", "female")
    assert tuple(told["race_fairface"]["probabilities"]) == TASKS["race_fairface"].labels
    assert told["agegroup_utkface"]["label"] in TASKS["agegroup_utkface"].labels
    assert len(told["visibility_cofw"]["probabilities"]) == 29


def test_pose_is_placed_on_its_face(face):
    pose = face.results["pose_300wlp"]
    centre = (np.asarray(BOX[:2]) + BOX[2:]) / 2
    assert np.abs(pose.centre - centre).max() < BOX[2] - BOX[0]
    assert pose.side > 0.5 * (BOX[2] - BOX[0])


@pytest.mark.parametrize("roll", [0.0, 20.0, -35.0])
def test_a_face_that_stands_upright_in_its_crop_rolls_with_the_photograph(roll):
    crop = place_face(
        CropSpec(kind="box", size=64, scale=0.8),
        Framing(-1, -1, 1, 1),
        image_size=(300, 300),
        box=np.array(BOX),
        roll=roll,
    )
    found = KINDS["pose"].decode(TASKS["pose_300wlp"], torch.zeros(3), crop)
    np.testing.assert_allclose(found.angles, [0, 0, roll], atol=1e-4)


@pytest.mark.parametrize("names", [("pose_300wlp",), ("visibility_cofw",), ("agegroup_utkface", "race_fairface")])
def test_the_panel_shows_each_of_them(model, face, names):
    photo = data.astronaut()
    (some,) = predict(model, photo, boxes=[BOX], tasks=list(names))
    (other,) = predict(model, photo, boxes=[BOX], tasks=["gender_utkface"])
    shown, without = (np.asarray(next(draw_pages(photo, [one]))) for one in (some, other))
    assert shown.shape != without.shape or (shown != without).any()
    assert next(draw_pages(photo, [face])).height >= shown.shape[0]


def test_the_axes_of_a_tile_follow_the_window(face):
    """The tile magnifies: its axes are as long as it magnifies."""
    pose = face.results["pose_300wlp"]
    moved = pose.windowed(_matrix(10.0, 20.0, 2.0), (100, 100))
    np.testing.assert_allclose(moved.centre, (pose.centre + 0.5 - [10, 20]) * 2 - 0.5)
    assert moved.side == pytest.approx(2 * pose.side) and (moved.angles == pose.angles).all()
