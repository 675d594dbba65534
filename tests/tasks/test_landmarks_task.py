"""Landmarks: rendering, centroid, normalisers, curves, the way to the crop and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceptor.errors import DataError
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks import landmarks as lm
from faceptor.tasks.landmarks import LandmarksPrediction
from faceptor.tasks.losses import landmarks as ll

KIND, SPEC = KINDS["landmarks"], TASKS["landmarks_300w"]


def brute_force(x: float, y: float, size: tuple[int, int], radius: float) -> np.ndarray:
    """The target by its definition, one cell at a time. x, y normalised."""
    heat = np.zeros(size, np.float64)
    for row in range(size[0]):
        for column in range(size[1]):
            r2 = (column - (x * size[1] - 0.5)) ** 2 + (row - (y * size[0] - 0.5)) ** 2
            if r2 <= radius**2:
                heat[row, column] = np.exp(-r2 * 16 / (2 * radius**2))
    return heat


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-0.3, 1.3), y=st.floats(-0.3, 1.3), radius=st.sampled_from([2.0, 3.5, 5.0]))
def test_rendering_follows_its_definition(x, y, radius):
    size = (12, 20)
    heat = ll.render_heatmaps(torch.tensor([x, y], dtype=torch.float64), size, radius=radius).numpy()
    np.testing.assert_allclose(heat, brute_force(x, y, size, radius), atol=1e-9)


def test_rendering_keeps_leading_axes_and_dtype():
    heat = ll.render_heatmaps(torch.rand(2, 3, 4, 2), (8, 16))
    assert heat.shape == (2, 3, 4, 8, 16) and heat.dtype == torch.float32


def test_everything_stays_on_the_device_of_its_input():
    points, logits = torch.rand(2, 3, 2, device="meta"), torch.rand(2, 3, 8, 8, device="meta")
    assert ll.render_heatmaps(points, (8, 8)).is_meta and ll.soft_argmax(logits).is_meta
    assert KIND.criterion(SPEC, map_size=16)(logits, {"points": points})["heatmap"].is_meta


def test_centroid_of_a_sharp_peak_is_its_cell():
    logits = torch.full((1, 16, 32), -40.0)
    logits[0, 3, 20] = 40.0
    torch.testing.assert_close(ll.soft_argmax(logits), torch.tensor([[20.5 / 32, 3.5 / 16]]))


def test_centroid_of_an_empty_map_stays_finite():
    point = ll.soft_argmax(torch.full((1, 8, 8), -1000.0))
    torch.testing.assert_close(point, torch.full((1, 2), 0.5 / 8))


def test_perfect_points_have_no_coordinate_loss_and_a_finite_gradient():
    points = torch.rand(2, 5, 2, requires_grad=True)
    loss = ll.coordinate_loss(points, points.detach())
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(points.grad).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 3.0, -1.5])
def test_impossible_targets_raise(bad):
    points = torch.rand(1, 68, 2)
    points[0, 4, 1] = bad
    with pytest.raises(DataError, match="landmarks"):
        KIND.criterion(SPEC)(torch.randn(1, 68, 8, 8), {"points": points})


def test_points_slightly_outside_the_crop_are_legal():
    points = torch.rand(1, 68, 2)
    points[0, 0] = torch.tensor([-0.2, 1.3])
    assert torch.isfinite(KIND.criterion(SPEC)(torch.randn(1, 68, 8, 8), {"points": points})["loss"])


def test_target_checks_the_sample(fake_crop):
    crop = fake_crop(64, (64, 64))
    truth = np.random.default_rng(0).uniform(0, 64, (68, 2)).astype(np.float32)
    with pytest.raises(DataError, match=r"a\.jpg.*\(67, 2\).*landmarks_300w"):
        KIND.target(SPEC, {"key": "a.jpg", "landmarks": truth[:67]}, crop)
    truth[3] = np.nan
    with pytest.raises(DataError, match=r"a\.jpg"):
        KIND.target(SPEC, {"key": "a.jpg", "landmarks": truth}, crop)


def test_round_trip_through_a_heat_map(fake_crop):
    """Target -> ideal logits -> prediction gives the landmarks back, in the image's pixels."""
    crop = fake_crop(256, (300, 400), origin=(70.0, 20.0), zoom=0.9)
    rng = np.random.default_rng(0)
    truth = rng.uniform((90, 40), (330, 280), (68, 2)).astype(np.float32)
    target = torch.tensor(KIND.target(SPEC, {"landmarks": truth}, crop)["points"])
    logits = torch.logit(ll.render_heatmaps(target, (64, 64)), eps=1e-12)
    found = KIND.decode(SPEC, logits, crop)
    np.testing.assert_allclose(found.points, truth, atol=0.1)
    assert found.points.shape == (68, 2) and ((found.scores > 0) & (found.scores <= 1)).all()


def test_map_size_is_a_number_of_the_loss():
    raw, target = torch.randn(1, 68, 16, 16), {"points": torch.rand(1, 68, 2)}
    at_32 = KIND.criterion(SPEC, map_size=32.0)(raw, target)["heatmap"]
    raised = torch.nn.functional.interpolate(raw, size=(32, 32), mode="bilinear")
    torch.testing.assert_close(at_32, KIND.criterion(SPEC)(raised, target)["heatmap"])


def test_weights_of_the_two_terms():
    raw, target = torch.randn(1, 68, 16, 16), {"points": torch.rand(1, 68, 2)}
    parts = KIND.criterion(SPEC, coordinate=2.0, heatmap=0.5)(raw, target)
    torch.testing.assert_close(parts["loss"], 2 * parts["coordinate"] + 0.5 * parts["heatmap"])


# --- metric ----------------------------------------------------------------------------------------------------------


def test_normalisers_by_hand():
    truth, box = np.array([[0.0, 0], [3, 4], [3, 8]]), np.array([0.0, 0, 6, 8])
    assert lm.normaliser(((0,), (1,)), truth, None) == 5
    assert lm.normaliser(((0,), (1, 2)), truth, None) == pytest.approx(np.hypot(3, 6))
    assert lm.normaliser("diag", truth, box) == 10
    assert lm.normaliser("box", truth, box) == pytest.approx(np.sqrt(48))
    assert lm.nme(truth + np.array([3, 4]), truth, 10) == pytest.approx(0.5)
    with pytest.raises(DataError, match="box"):
        lm.normaliser("diag", truth, None, "face1")


def test_curve_by_hand():
    errors = np.array([0.01, 0.02, 0.5])
    grid, share = lm.error_curve(errors, 0.1)
    assert share[grid < 0.0099].max() == 0 and share[-1] == pytest.approx(2 / 3)
    assert lm.failure_rate(errors, 0.1) == pytest.approx(1 / 3)
    area = (0.01 / 3 + 0.08 * 2 / 3) / 0.1
    assert lm.area_under_curve(errors, 0.1, rule="trapezoid") == pytest.approx(area, abs=1e-3)
    assert lm.area_under_curve(np.zeros(3), 0.1) == pytest.approx(1)


def face(spec: TaskSpec, rng, **more) -> dict:
    points = rng.uniform(0, 100, (spec.queries, 2)).astype(np.float32)
    return {"key": "face", "landmarks": points, "box": np.array([0, 0, 60, 80.0]), **more}


def test_subsets_are_reported_beside_the_whole():
    rng = np.random.default_rng(0)
    metric = KIND.metric(SPEC)
    for subsets in [("common", "full"), ("common", "full"), ("challenge", "full")]:
        sample = face(SPEC, rng, subsets=subsets)
        shift = 1.0 if "common" in subsets else 4.0
        metric.update(LandmarksPrediction(sample["landmarks"] + shift, np.ones(68)), sample)
    result = metric.compute()
    assert result["nme_inter_ocular"] == pytest.approx(result["nme_inter_ocular_full"])
    errors = np.asarray(metric.errors["nme_inter_ocular"]) * 100
    assert result["nme_inter_ocular_common"] == pytest.approx(errors[:2].mean())
    assert result["nme_inter_ocular_challenge"] == pytest.approx(errors[2])


def test_aflw_headline_is_the_diagonal_in_percent():
    spec, rng = TASKS["landmarks_aflw19"], np.random.default_rng(0)
    metric, sample = KIND.metric(spec), face(TASKS["landmarks_aflw19"], rng)
    metric.update(LandmarksPrediction(sample["landmarks"] + [3, 4], np.ones(19)), sample)
    result = metric.compute()
    assert KIND.headline_of(spec) == "nme_diag"
    assert result["nme_diag"] == pytest.approx(5.0, rel=1e-5)  # 5 px of a 60 x 80 box's diagonal
    assert result["fr_box_7"] == pytest.approx(100 * (5 / np.sqrt(4800) > 0.0701))


def test_a_face_without_normalising_length_is_left_out_and_named():
    spec, rng = TASKS["landmarks_cofw"], np.random.default_rng(0)
    metric = KIND.metric(spec)
    good, flat = face(spec, rng, key="good"), face(spec, rng, key="flat")
    flat["landmarks"][9] = flat["landmarks"][8]
    for sample in (good, flat):
        metric.update(LandmarksPrediction(sample["landmarks"] + 1, np.ones(29)), sample)
    assert np.isfinite(metric.compute()["nme_inter_ocular"])
    assert "flat" in metric.notes()[0] and "1 faces" in metric.notes()[0]


def test_wrong_number_of_points_is_an_error():
    with pytest.raises(DataError, match="29"):
        KIND.metric(SPEC).update(
            LandmarksPrediction(np.zeros((29, 2)), np.ones(29)), face(SPEC, np.random.default_rng(0))
        )


def test_constant_baseline_is_the_mean_shape_in_the_crop(fake_crop, fake_split):
    rng = np.random.default_rng(0)
    shape = rng.uniform(10, 50, (68, 2))
    origins = [(0.0, 0.0), (30.0, 10.0), (-5.0, 20.0)]
    samples = [
        {"key": str(i), "size": (200, 200), "box": np.array([*o, *o]), "landmarks": (shape / 2 + o).astype(np.float32)}
        for i, o in enumerate(origins)
    ]

    def place(sample):
        assert "image" not in sample
        return fake_crop(64, sample["size"], origin=tuple(sample["box"][:2]), zoom=2.0)

    found = KIND.constant_baseline(SPEC, fake_split(samples), place)
    for sample in samples:  # the same shape everywhere, so the mean shape is right everywhere
        np.testing.assert_allclose(found(sample, place(sample)).points, sample["landmarks"], atol=1e-4)
