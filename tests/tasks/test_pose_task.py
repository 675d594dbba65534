"""Head pose: crops that turn and mirror, both raw shapes, the metric by hand, drawing."""

import numpy as np
import pytest
import torch

from faceptor.errors import ConfigError, DataError
from faceptor.evaluation.groups import by_group
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.pose import PosePrediction, angle_errors, crop_turn, into_crop
from faceptor.tasks.rotations import degrees_of_matrix, matrix_of_degrees
from faceptor.transforms.crop import CropSpec, Jitter, PlacedCrop

KIND, SPEC = KINDS["pose"], TASKS["pose_300wlp"]
HERE = {"centre": np.zeros(2), "side": 1.0}
BOX = np.array([40.0, 30.0, 140.0, 130.0])
FACE = np.array([12.0, -35.0, 20.0])


def crop_with(rotation: float = 0.0, *, kind: str = "box", mirrored: bool = False) -> PlacedCrop:
    spec = CropSpec(kind=kind, size=64)
    crop = spec.place((200, 260), box=BOX, jitter=Jitter(shift=(0.1, -0.05), rotation=rotation, zoom=0.1))
    if not mirrored:
        return crop
    flip = np.array([[-1, 0, crop.size - 1], [0, 1, 0], [0, 0, 1.0]])
    return PlacedCrop(matrix=flip @ crop.matrix, size=crop.size, warp=0.0, image_size=crop.image_size)


def seen(rotation: np.ndarray) -> np.ndarray:
    """(3, 2) directions of the head's axes in the image, y down."""
    return rotation[:, :2] * [1, -1]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0.0, 0.3, -1.2, 3.0])
def test_axes_move_with_the_pixels_of_the_crop(turn, mirrored):
    """Points along the head's axes, moved into the crop, lie along the axes of the target."""
    crop = crop_with(turn, mirrored=mirrored)
    rotation = matrix_of_degrees(FACE)
    origin = np.array([90.0, 80.0])
    moved = crop.points(origin + 10 * seen(rotation)) - crop.points(origin)
    moved /= 10 * np.sqrt(abs(np.linalg.det(crop.matrix[:2, :2])))
    if mirrored:
        moved[0] *= -1  # the mirrored head's own x is the other ear
    target = KIND.target(SPEC, {"pose": FACE}, crop)["rotation"]
    np.testing.assert_allclose(seen(target), moved, atol=1e-5)


def test_a_frontal_face_in_a_turned_crop_rolls_by_the_turn():
    target = KIND.target(SPEC, {"pose": np.zeros(3)}, crop_with(np.deg2rad(25)))["rotation"]
    np.testing.assert_allclose(degrees_of_matrix(target), [0, 0, 25], atol=1e-4)


def test_stretch_and_shift_leave_the_pose_alone():
    for kind in ("box", "whole"):
        target = KIND.target(SPEC, {"pose": FACE}, crop_with(kind=kind))["rotation"]
        np.testing.assert_allclose(target, matrix_of_degrees(FACE), atol=1e-6)
    turn, mirrored = crop_turn(crop_with(0.4, kind="whole"))
    assert turn == pytest.approx(0.4) and not mirrored


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0.0, 0.3, -0.9])
@pytest.mark.parametrize("shape", ["angles", "matrix"])
def test_round_trip_through_target_and_answer(turn, mirrored, shape):
    crop = crop_with(turn, mirrored=mirrored)
    rotation = KIND.target(SPEC, {"pose": FACE}, crop)["rotation"]
    angles = torch.as_tensor(np.deg2rad(degrees_of_matrix(rotation)))
    raw = angles if shape == "angles" else 2.5 * torch.as_tensor(rotation)  # any length of the nine numbers will do
    found = KIND.decode(SPEC, raw.float(), crop)
    np.testing.assert_allclose(found.angles, FACE, atol=1e-3)
    np.testing.assert_allclose(found.centre, crop.points_back(np.full((1, 2), 31.5))[0])
    assert found.side == pytest.approx(64 / np.sqrt(abs(np.linalg.det(crop.matrix[:2, :2]))), rel=1e-4)


def test_angles_are_taken_as_given_where_the_crop_stands_upright():
    raw = torch.deg2rad(torch.tensor([10.0, 97.0, -190.0]))
    np.testing.assert_allclose(KIND.decode(SPEC, raw, crop_with()).angles, [10, 97, 170], atol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (3, 3)])
def test_loss_is_the_angle_for_either_shape(shape):
    truth = torch.as_tensor(matrix_of_degrees([[5, 10, 0], [0, 0, 0]])).float()
    turned = truth @ torch.as_tensor(matrix_of_degrees([[0, 0, 40], [0, 0, 20]])).float()
    raw = turned if shape == (3, 3) else torch.deg2rad(torch.as_tensor(degrees_of_matrix(turned.numpy()))).float()
    loss = KIND.criterion(SPEC)(raw, {"rotation": truth})["loss"]
    assert np.rad2deg(loss.item()) == pytest.approx(30, abs=1e-3)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
def test_a_perfect_answer_has_a_finite_gradient(shape):
    truth = torch.as_tensor(matrix_of_degrees(np.zeros((2, 3)))).float()
    raw = (truth.clone() if len(shape) == 3 else torch.zeros(shape)).requires_grad_()
    loss = KIND.criterion(SPEC)(raw, {"rotation": truth})["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6) and torch.isfinite(raw.grad).all()


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3)])
def test_descent_finds_the_pose(shape):
    torch.manual_seed(0)
    truth = torch.as_tensor(matrix_of_degrees(np.random.default_rng(0).uniform(-70, 70, (4, 3)))).float()
    raw = (0.1 * torch.randn(shape)).requires_grad_()
    criterion, optimiser = KIND.criterion(SPEC), torch.optim.Adam([raw], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        loss = criterion(raw, {"rotation": truth})["loss"]
        loss.backward()
        optimiser.step()
    assert np.rad2deg(loss.item()) < 5


def test_labels_are_checked():
    crop = crop_with()
    with pytest.raises(DataError, match=r"a\.jpg: pose.*degrees"):
        KIND.target(SPEC, {"key": "a.jpg", "pose": np.array([0, 0, 181.0])}, crop)
    with pytest.raises(DataError, match=r"a\.jpg: pose"):
        KIND.target(SPEC, {"key": "a.jpg", "pose": np.array([0, np.nan, 0])}, crop)
    with pytest.raises(DataError, match=r"a\.jpg: pose has shape \(4,\)"):
        KIND.target(SPEC, {"key": "a.jpg", "pose": np.zeros(4)}, crop)
    with pytest.raises(DataError, match="rotation"):
        KIND.criterion(SPEC)(torch.zeros(1, 3), {"rotation": torch.full((1, 3, 3), 45.0)})


# --- metric ----------------------------------------------------------------------------------------------------------


def measured(pairs, subsets=()):
    metric = KIND.metric(SPEC)
    for index, (found, truth) in enumerate(pairs):
        named = subsets[index] if subsets else ()
        sample = {"key": str(index), "pose": np.asarray(truth, np.float32), "subsets": named}
        metric.update(PosePrediction(np.asarray(found, float), **HERE), sample)
    return metric


def test_errors_by_hand():
    result = measured([([1, 2, 3], [0, 0, 0]), ([-3, 0, 0], [0, 4, -6])]).compute()
    assert result["mae_pitch"] == pytest.approx(2) and result["mae_yaw"] == pytest.approx(3)
    assert result["mae_roll"] == pytest.approx(4.5) and result["mae"] == pytest.approx(9.5 / 3)


def test_geodesic_error_by_hand():
    result = measured([([0, 0, 30], [0, 0, 0]), ([0, 0, 0], [10, 0, 0])]).compute()
    assert result["geodesic"] == pytest.approx(20)


def test_errors_go_the_short_way_round():
    np.testing.assert_allclose(angle_errors(np.array([[179.0, 0, -179]]), np.array([[-179.0, 0, 179]])), [[2, 0, 2]])


def test_either_triple_of_a_rotation_counts():
    truth = np.array([[10.0, 95.0, -5.0]])
    found = degrees_of_matrix(matrix_of_degrees(truth))  # a model that answers matrices can only say yaw 85
    assert found[0, 1] == pytest.approx(85)
    np.testing.assert_allclose(angle_errors(found, truth), 0, atol=1e-9)


def test_faces_turned_too_far_are_left_out_and_counted():
    metric = measured([([0, 0, 0], [0, 99, 0]), ([0, 0, 0], [0, -99.5, 0]), ([0, 0, 0], [120, 0, 0])])
    assert metric.compute()["mae"] == pytest.approx(33)
    assert metric.notes()[0].startswith("2 faces")
    with pytest.raises(DataError, match="99 degrees"):
        measured([([0, 0, 0], [0, 120, 0])]).compute()


def test_faces_turned_too_far_are_in_no_group_and_change_no_interval_of_one():
    pairs = [([0, 0, 0], [30 + index, 0, 0]) for index in range(40)]
    labels = [{"gender": index % 2} for index in range(40)]
    metric, far = measured(pairs), measured([*pairs, ([0, 0, 0], [0, 120, 0])])
    names = {"gender": ("male", "female")}
    (whole,), (told,) = by_group(metric, labels, names, seed=1), by_group(far, [*labels, {"gender": 0}], names, seed=1)
    for one, other in zip(whole.groups, told.groups, strict=True):
        assert (one.faces, one.value, one.few) == (other.faces, other.value, False)
        np.testing.assert_allclose(one.interval, other.interval, atol=0.5)


def test_subsets_are_reported_beside_the_whole():
    pairs = [([3, 0, 0], [0, 0, 0]), ([9, 0, 0], [0, 0, 0])]
    result = measured(pairs, [("AFLW2000",), ("BIWI",)]).compute()
    assert result["mae_AFLW2000"] == pytest.approx(1) and result["mae_pitch_BIWI"] == pytest.approx(9)
    assert result["mae"] == pytest.approx(2)


def test_constant_baseline_is_the_median_of_each_angle(fake_split):
    train = fake_split([{"pose": np.array(angles, np.float32)} for angles in ([0, 5, 9], [1, 6, 90], [8, 7, -80])])
    crop = crop_with(0.5)
    found = KIND.constant_baseline(SPEC, train)({}, crop)
    np.testing.assert_allclose(found.angles, [1, 6, 9])
    np.testing.assert_allclose(found.centre, crop.points_back(np.full((1, 2), 31.5))[0])


# --- report ----------------------------------------------------------------------------------------------------------


def test_axes_are_drawn_where_they_point():
    canvas = np.zeros((80, 80, 3), np.uint8)
    prediction = PosePrediction(np.array([0.0, 60.0, 0.0]), centre=np.array([40.0, 40.0]), side=80.0)
    drawn = KIND.draw(SPEC, canvas, prediction).any(-1)
    assert drawn[38:43, 20:40].any() and drawn[50:64, 38:43].any()  # nose to the image's left, chin below
    assert not drawn[:30].any()  # nothing points up


def test_words_and_json():
    prediction = PosePrediction(np.array([1.2, -20.0, 0.4]), **HERE)
    assert KIND.describe(SPEC, prediction) == ["pitch +1°", "yaw -20°", "roll +0°"]
    assert prediction.to_json(SPEC) == {"unit": "degrees", "pitch": 1.2, "yaw": -20.0, "roll": 0.4}


def test_unknown_loss_is_an_error():
    with pytest.raises(ConfigError, match=r"tasks.pose_300wlp.criterion.loss: expected one of geodesic, found 'l2'"):
        KIND.criterion(SPEC, loss="l2")


def test_into_crop_of_an_unturned_crop_is_the_identity():
    np.testing.assert_allclose(into_crop(matrix_of_degrees(FACE), crop_with()), matrix_of_degrees(FACE), atol=1e-9)
