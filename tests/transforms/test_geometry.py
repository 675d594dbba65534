"""Matrices, tanh warp, sampling maps and resampling against recorded arrays and by their own properties."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceptor.errors import DataError
from faceptor.transforms import geometry
from tests.goldens import Golden

GOLDEN = Golden("geometry")
MATRIX = {"crop": "crop_matrix", "face": "face_align.matrix"}  # the matrix behind the recorded maps and points
WARPS = (0.0, 0.8)


def matrix_of(which):
    return GOLDEN[MATRIX[which]][0].astype(np.float64)


def boxes():
    return GOLDEN["box_y1x1y2x2"][:, [1, 0, 3, 2]]


def test_box_matrices():
    GOLDEN.check("crop_matrix", np.stack([geometry.box_matrix(b, 512) for b in boxes()]))
    corners = np.stack([geometry.box_matrix(b, 512, align_corners=True) for b in boxes()])
    GOLDEN.check("crop_matrix_align_corners", corners)


@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_fixed_transform(scale):
    matrices = [geometry.centre_matrix(512, scale) @ geometry.box_matrix(b, 512) for b in boxes()]
    GOLDEN.check(f"update_transform_matrix_scale{scale}", np.stack(matrices))


@pytest.mark.parametrize("task", ["align", "parsing"])
def test_random_transform_from_recorded_draws(task):
    matrices = []
    for box, (x, y, rotation, scale) in zip(boxes(), GOLDEN[f"random_matrix_{task}.draws"], strict=True):
        move = geometry.centre_matrix(512, scale, rotation, (x * 512, y * 512))
        matrices.append(move @ geometry.box_matrix(box, 512))
    GOLDEN.check(f"random_matrix_{task}.matrix", np.stack(matrices))


def test_face_alignment():
    GOLDEN.check("face_align.canonical_points_512", geometry.farl_points(512))
    target = geometry.farl_points(512)
    matrices = [geometry.similarity_matrix(p, target) for p in GOLDEN["face_align.points"]]
    GOLDEN.check("face_align.matrix", np.stack(matrices))


@pytest.mark.parametrize("which", MATRIX)
@pytest.mark.parametrize("factor", WARPS)
def test_maps(which, factor):
    where = geometry.sampling_map(matrix_of(which), 512, factor)
    name = f"map.{which}.wf{factor}"
    GOLDEN.check(name, where)
    GOLDEN.check(f"{name}.last_row", where[-1])
    GOLDEN.check(f"{name}.last_col", where[:, -1])
    GOLDEN.check(f"inv{name}", geometry.inverse_map(matrix_of(which), 512, factor, (300, 260)))


@pytest.mark.parametrize("which", MATRIX)
@pytest.mark.parametrize("factor", WARPS)
def test_points_there_and_back(which, factor):
    moved = geometry.forward_points(GOLDEN["points"], matrix_of(which), 512, factor)
    GOLDEN.check(f"points.{which}.wf{factor}", moved)
    back = geometry.inverse_points(moved, matrix_of(which), 512, factor)
    GOLDEN.check(f"points_inverse.{which}.wf{factor}", back)


@pytest.mark.parametrize("factor", WARPS)
def test_resampling(factor):
    where = geometry.sampling_map(GOLDEN["remap.matrix"].astype(np.float64), 96, factor)
    image = geometry.sample(GOLDEN["remap.image"], where)
    GOLDEN.check(f"remap.bilinear.wf{factor}@cv5", image)
    # The recording of OpenCV 4 rounds positions to 1/32 pixel.
    GOLDEN.check(f"remap.bilinear.wf{factor}", image, atol=2e-2)
    labels = geometry.sample(GOLDEN["remap.label"], where, nearest=True)
    GOLDEN.check(f"remap.nearest.wf{factor}", labels, differing=0.01)


def test_affine_sampling_is_textbook_bilinear():
    matrix = GOLDEN["remap.matrix"].astype(np.float64)
    image = geometry.sample_affine(GOLDEN["remap.image"], matrix, 96)
    GOLDEN.check("remap.bilinear_exact_float.wf0.0", image)
    through_map = geometry.sample(GOLDEN["remap.image"], geometry.sampling_map(matrix, 96))
    np.testing.assert_allclose(image, through_map, atol=5e-6)


# ---------------------------------------------------------------- properties


def test_box_edges_land_half_a_pixel_outside():
    matrix = geometry.box_matrix(np.array([10, 20, 50, 100]), 64)
    ends = geometry.transform(np.array([[10, 20], [50, 100]]), matrix)
    np.testing.assert_allclose(ends, [[-0.5, -0.5], [63.5, 63.5]])


def test_rotation_turns_x_towards_y_about_the_centre():
    matrix = geometry.centre_matrix(101, turn=np.pi / 2)
    np.testing.assert_allclose(geometry.transform(np.array([60.0, 50.0]), matrix), [50, 60], atol=1e-12)


finite = st.floats(-200, 200)


@given(
    points=st.lists(st.tuples(finite, finite), min_size=3, max_size=8, unique=True),
    scale=st.floats(0.2, 5),
    angle=st.floats(-3, 3),
    shift=st.tuples(finite, finite),
)
@settings(max_examples=50, deadline=None)
def test_similarity_is_recovered(points, scale, angle, shift):
    points = np.array(points)
    if np.ptp(points, axis=0).max() < 1:
        return
    truth = geometry.centre_matrix(100, scale, angle, shift)
    found = geometry.similarity_matrix(points, geometry.transform(points, truth))
    np.testing.assert_allclose(found, truth, atol=1e-6 * max(1, np.abs(truth).max()))


def test_similarity_is_least_squares_and_never_a_reflection():
    rng = np.random.default_rng(0)
    points, target = rng.normal(size=(2, 5, 2)) * 10
    target = target * [-1, 1]
    best = geometry.similarity_matrix(points, target)
    assert np.linalg.det(best[:2, :2]) >= 0

    def error(matrix):
        return ((geometry.transform(points, matrix) - target) ** 2).sum()

    for step in np.array([[1, 0, 0, 1], [0, -1, 1, 0]]).reshape(2, 2, 2) * 1e-3:
        for sign in (-1, 1):
            other = best.copy()
            other[:2, :2] += sign * step
            assert error(other) > error(best)


@given(x=st.floats(-3, 4), factor=st.floats(0.05, 1), size=st.integers(8, 512))
@settings(max_examples=200, deadline=None)
def test_warp_stays_inside_and_inverts(x, factor, size):
    warped = geometry.warp(x * size, size, factor)
    assert -1e-9 * size <= warped <= (1 + 1e-9) * size
    u, inner = 2 * x - 1, 1 - factor
    if abs(u) <= inner:
        np.testing.assert_allclose(warped, x * size, atol=1e-9 * size)
    if abs(np.tanh(max(abs(u) - inner, 0) / factor)) < geometry.ATANH_LIMIT:
        np.testing.assert_allclose(geometry.unwarp(warped, size, factor), x * size, atol=1e-8 * size)


@given(factor=st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_warp_keeps_order_and_symmetry(factor):
    x = np.linspace(-100, 200, 301)
    warped = geometry.warp(x, 100, factor)
    assert (np.diff(warped) >= -1e-9).all()
    np.testing.assert_allclose(warped + warped[::-1], 100, atol=1e-9)


def test_map_and_inverse_map_undo_each_other():
    matrix = geometry.centre_matrix(64, 0.9, 0.2) @ geometry.box_matrix(np.array([5, 5, 90, 80]), 64)
    for factor in WARPS:
        where = geometry.sampling_map(matrix, 64, factor)[8:-8, 8:-8]
        back = geometry.forward_points(where, matrix, 64, factor)
        ys, xs = np.mgrid[8:56, 8:56]
        np.testing.assert_allclose(back, np.stack([xs, ys], axis=-1), atol=1e-4)
        grid = geometry.inverse_map(matrix, 64, factor, (20, 30))
        np.testing.assert_allclose(
            grid[7, 11], geometry.forward_points(np.array([11, 7]), matrix, 64, factor), atol=1e-4
        )


def test_outside_is_zero():
    ones = np.ones((10, 12, 3), np.float32)
    where = np.array([[[-1.5, 5], [12.5, 5], [5, -2], [5, 11], [-0.5, 5], [5, 5]]], np.float32)
    np.testing.assert_allclose(geometry.sample(ones, where)[0, :, 0], [0, 0, 0, 0, 0.5, 1], atol=1e-6)


def test_arcface_template_of_both_families():
    np.testing.assert_allclose(geometry.arcface_points(224), 2 * geometry.arcface_points(112))
    np.testing.assert_allclose(geometry.arcface_points(128) - geometry.arcface_points(112), [[8, 0]] * 5)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 9, 9, 5), (np.nan, 0, 1, 1)])
def test_degenerate_box_is_refused(box):
    with pytest.raises(DataError, match="x1 < x2"):
        geometry.box_matrix(np.array(box), 64)


@pytest.mark.parametrize("points", [np.ones((5, 2)), np.full((5, 2), np.nan)])
def test_degenerate_alignment_points_are_refused(points):
    with pytest.raises(DataError, match="distinct finite points"):
        geometry.similarity_matrix(points, geometry.farl_points(64))


def test_opencv_samples_in_float():
    # 1/64 pixel lies between the steps of OpenCV 4's table.
    ramp = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    where = np.array([[[3 + 1 / 64, 4]]], np.float32)
    value = geometry.sample(ramp, where).item()
    if int(cv2.__version__.split(".")[0]) >= 5:
        assert value == pytest.approx(3 + 1 / 64, abs=1e-6)
    else:
        assert value == pytest.approx(3 + 1 / 64, abs=1 / 32)
