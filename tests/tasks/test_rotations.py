"""Rotations: the convention, the way between angles and matrices, and gradients where formulas are singular."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceptor.tasks import rotations as rot
from faceptor.tasks.losses import rotations as losses

ANGLES = st.tuples(st.floats(-180, 179), st.floats(-89, 89), st.floats(-180, 179))


def axis_turn(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation about one axis, from its definition."""
    a, b = [i for i in range(3) if i != axis]
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)) * (-1 if axis == 1 else 1)
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


def random_rotations(count: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rot.matrix_of_degrees(rng.uniform(-180, 180, (count, 3))))


@settings(max_examples=60, deadline=None)
@given(ANGLES)
def test_the_matrix_is_the_product_of_its_three_turns(angles):
    pitch, yaw, roll = angles
    product = axis_turn(2, roll) @ axis_turn(1, yaw) @ axis_turn(0, pitch)
    np.testing.assert_allclose(rot.matrix_of_degrees(angles), product, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(ANGLES)
def test_angles_come_back_from_the_matrix(angles):
    found = rot.degrees_of_matrix(rot.matrix_of_degrees(angles))
    np.testing.assert_allclose(rot.wrapped(found - angles), 0, atol=1e-6)
    assert abs(found[1]) <= 90


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_sideways_the_matrix_comes_back_with_roll_zero(yaw):
    matrix = rot.matrix_of_degrees([20, yaw, 35])
    found = rot.degrees_of_matrix(matrix)
    assert found[2] == 0
    np.testing.assert_allclose(rot.matrix_of_degrees(found), matrix, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(ANGLES)
def test_the_other_triple_is_the_same_rotation(angles):
    other = rot.other_angles(angles)
    np.testing.assert_allclose(rot.matrix_of_degrees(other), rot.matrix_of_degrees(angles), atol=1e-12)
    np.testing.assert_allclose(rot.wrapped(rot.other_angles(other) - angles), 0, atol=1e-9)


def test_where_the_axes_point():
    """Rows: the head's x, its up, its nose; x to the image's right, y up, z to the viewer."""
    np.testing.assert_allclose(rot.matrix_of_degrees([0, 0, 0]), np.eye(3), atol=1e-15)
    assert rot.matrix_of_degrees([0, 30, 0])[2, 0] == pytest.approx(-0.5)  # yaw > 0: the nose to the image's left
    assert rot.matrix_of_degrees([30, 0, 0])[2, 1] == pytest.approx(0.5)  # pitch > 0: the nose up
    assert rot.matrix_of_degrees([0, 0, 30])[0, 1] == pytest.approx(-0.5)  # roll > 0: the image-right ear down


def test_mirroring_negates_yaw_and_roll():
    angles = np.array([12.0, -34.0, 56.0])
    mirrored = rot.MIRROR @ rot.matrix_of_degrees(angles) @ rot.MIRROR
    np.testing.assert_allclose(rot.degrees_of_matrix(mirrored), angles * [1, -1, -1], atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 1.0, 60.0, 179.0, 179.99, 180.0])
def test_geodesic_is_the_angle_of_the_turn(degrees):
    for base in random_rotations(3).numpy():
        turned = base @ rot.about_view_axis(np.deg2rad(degrees))
        found = losses.geodesic(torch.as_tensor(base), torch.as_tensor(turned))
        assert np.rad2deg(found.item()) == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 180.0, 179.9999])
def test_gradient_of_the_geodesic_is_finite_at_its_ends(degrees):
    angles = torch.zeros(1, 3, requires_grad=True)
    truth = torch.as_tensor(rot.matrix_of_degrees([[0, 0, degrees]])).float()
    losses.geodesic(losses.matrix_of(angles), truth).sum().backward()
    assert torch.isfinite(angles.grad).all() and angles.grad.norm() <= 1.001


def test_gradient_of_the_geodesic():
    other = random_rotations(4, seed=1)
    angles = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: losses.geodesic(losses.matrix_of(given), other), angles)


def test_nearest_rotation_of_a_rotation_is_itself():
    matrices = random_rotations(20)
    torch.testing.assert_close(losses.nearest_rotation(matrices), matrices)
    torch.testing.assert_close(losses.nearest_rotation(3 * matrices), matrices)


def test_nearest_rotation_is_proper_and_the_nearest():
    rng = np.random.default_rng(2)
    given = torch.as_tensor(rng.normal(size=(50, 3, 3)))  # half of them mirror
    found = losses.nearest_rotation(given)
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(50, dtype=torch.float64))
    distance = (found - given).flatten(1).norm(dim=1)
    others = random_rotations(500, seed=3)
    assert (distance[:, None] <= (others[None] - given[:, None]).flatten(2).norm(dim=2) + 1e-9).all()


def test_gradient_of_the_projection():
    given = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.nearest_rotation, given)


def test_gradient_of_the_projection_is_finite_at_rotations_and_at_zero():
    for start in (random_rotations(4).float(), torch.zeros(1, 3, 3)):
        given = start.clone().requires_grad_()
        (losses.nearest_rotation(given) * torch.randn(3, 3)).sum().backward()
        assert torch.isfinite(given.grad).all()
