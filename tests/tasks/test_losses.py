"""Losses that are chosen by name: their formulas by hand, their gradients, and what the choice accepts."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from faceptor.config import TaskSettings, preset_names
from faceptor.errors import ConfigError
from faceptor.pipeline.experiment import preset as resolved_preset
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.losses import landmarks as ll
from faceptor.tasks.losses.age import log_distribution
from faceptor.tasks.losses.parsing import batch_dice, generalised_dice

POINTS = TaskSpec("landmarks_toy", "landmarks", "toy", ("a", "b", "c"), {"scheme": "300W"})
PARSING = TaskSpec("parsing_toy", "parsing", "toy", ("background", "skin", "hair", "hat"), {"background": 0})


# --- the choice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(TASKS))
def test_unknown_losses_numbers_and_values_are_errors(name):
    spec = TASKS[name]
    kind = KINDS[spec.kind]
    with pytest.raises(ConfigError, match=f"tasks.{name}.criterion.loss: expected one of .*, found 'huber'") as error:
        kind.criterion(spec, classes=5, loss="huber")
    assert all(loss in str(error.value) for loss in kind.losses)
    for loss, numbers in kind.losses.items():
        with pytest.raises(ConfigError, match=rf"criterion.zzz: unknown key; .* \(loss {loss}\)") as error:
            kind.criterion(spec, classes=5, loss=loss, zzz=1.0)
        assert all(number in str(error.value) for number in numbers)
        for number in numbers:
            with pytest.raises(ConfigError, match=rf"{name}.criterion.{number}: expected a number .*, found 'big'"):
                kind.criterion(spec, classes=5, loss=loss, **{number: "big"})


def test_the_first_loss_is_the_default():
    raw, target = torch.randn(2, 101), {"age": torch.tensor([20.0, 40.0])}
    kind, spec = KINDS["age"], TASKS["age_morph2"]
    assert kind.criterion(spec)(raw, target)["loss"] == kind.criterion(spec, loss="dldl")(raw, target)["loss"]
    assert kind.criterion(spec, loss="l1_ce")(raw, target)["loss"] != kind.criterion(spec)(raw, target)["loss"]


def test_the_choice_comes_from_the_parameters():
    settings = TaskSettings(
        samples=1, train={"kind": "arcface"}, criterion={"loss": "arcface", "margin": 3e-1, "scale": 32}
    )
    criterion = KINDS["recognition"].criterion(TASKS["recognition_ms1mv3"], classes=5, **settings.criterion)
    assert (type(criterion).__name__, criterion.margin, criterion.scale) == ("ArcFace", 0.3, 32)


@pytest.mark.parametrize("preset", preset_names())
def test_presets_choose_losses_and_policies_that_exist(preset):
    experiment = resolved_preset(preset)
    for name in experiment.params.stage1.tasks | experiment.params.transfer.tasks:
        spec, policy = experiment.spec(name), experiment.policy(name)
        kind = KINDS[spec.kind]
        kind.criterion(spec, classes=5, **experiment.settings(name).criterion)
        assert not (kind.labels_move and policy.displaces)


@pytest.mark.parametrize("value", [[1], None, float("nan"), "inf", {"margin": 1}])
def test_settings_are_numbers_or_names(value):
    with pytest.raises(ValidationError, match="expected a"):
        TaskSettings(samples=1, train={"kind": "whole"}, criterion={"margin": value})


# --- parsing: dice ---------------------------------------------------------------------------------------------------


def test_generalised_dice_by_hand():
    mask = torch.tensor([[[0, 0, 0, 1]]])
    p = torch.tensor([[0.9, 0.8, 0.6, 0.3], [0.1, 0.2, 0.4, 0.7]])[None, :, None]
    weights = [1 / 9, 1.0]
    overlap = weights[0] * 2.3 + weights[1] * 0.7
    total = weights[0] * (3 + 2.6) + weights[1] * (1 + 1.4)
    assert generalised_dice(p, mask).item() == pytest.approx(1 - 2 * overlap / total)


def test_dice_of_right_and_wrong_maps():
    mask = torch.tensor([[[0, 1], [2, 2]]])
    right = F.one_hot(mask, 4).permute(0, 3, 1, 2).float()
    assert generalised_dice(right, mask).item() == pytest.approx(0, abs=1e-6)
    assert generalised_dice(right.roll(1, dims=1), mask).item() == pytest.approx(1)


def test_batch_dice_is_one_minus_the_mean_f1_of_the_batch():
    mask = torch.tensor([[[0, 1], [2, 2]], [[0, 0], [0, 0]]])
    wrong = mask.clone()
    wrong[0, 0, 0], wrong[1, 0, 0] = 1, 2
    p = F.one_hot(wrong, 4).permute(0, 3, 1, 2).float()
    f1 = [2 * 3 / (5 + 3), 2 * 1 / (1 + 2), 2 * 2 / (2 + 3)]  # by hand; class 3 is nowhere
    assert batch_dice(p, mask).item() == pytest.approx(1 - sum(f1) / 3)
    assert batch_dice(F.one_hot(mask, 4).permute(0, 3, 1, 2).float(), mask).item() == pytest.approx(0)


def test_painting_an_absent_class_costs():
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    mask[0, :2] = 1
    right = F.one_hot(mask, 4).permute(0, 3, 1, 2).float()
    hat = right.clone()
    hat[0, :, 0, 0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert generalised_dice(hat, mask) > generalised_dice(right, mask) + 0.01


def test_dice_ce_is_the_mean_of_the_two_at_the_size_of_the_mask():
    raw, mask = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 32, 32))
    raised = F.interpolate(raw, size=(32, 32), mode="bilinear", align_corners=False)
    parts = KINDS["parsing"].criterion(PARSING, loss="dice_ce")(raw, {"mask": mask.to(torch.uint8)})
    dice = generalised_dice(raised.softmax(1), mask).mean()
    torch.testing.assert_close(parts["loss"], (dice + F.cross_entropy(raised, mask)) / 2)
    torch.testing.assert_close(parts["dice"], dice)


# --- landmarks: coordinates ------------------------------------------------------------------------------------------


def test_coordinates_span_the_crop():
    raw = torch.tensor([[[-1.0, 1.0], [0.0, 0.5], [-1 / 7, 0.0]]])
    torch.testing.assert_close(ll.points_of(raw), torch.tensor([[[0.0, 1.0], [0.5, 0.75], [3 / 7, 0.5]]]))


def test_coordinates_decode_to_pixels(fake_crop):
    side = 224
    raw = torch.tensor([[-0.5, 0.25], [0.0, 0.0], [0.9, -0.9]])
    crop = fake_crop(side, (500, 500), origin=(50.0, 20.0), zoom=0.5)
    found = KINDS["landmarks"].decode(POINTS, raw, crop)
    pixels = ((raw.numpy() + 1) * side - 1) / 2
    np.testing.assert_allclose(found.points, crop.points_back(pixels), atol=1e-3)
    assert found.scores is None and found.to_json(POINTS)["scores"] is None
    assert KINDS["landmarks"].describe(POINTS, found) == ["3 landmarks"]


def test_losses_of_coordinates_by_hand():
    raw, target = torch.zeros(1, 3, 2), {"points": torch.tensor([[[0.5, 0.5], [0.8, 0.9], [0.5, 0.6]]])}
    kind = KINDS["landmarks"]
    assert kind.criterion(POINTS, loss="l1")(raw, target)["loss"].item() == pytest.approx((0.3 + 0.4 + 0.1) / 6)
    smooth = (0.3 - 0.1 + 0.4 - 0.1 + 0.5 * 0.1**2 / 0.2) / 6
    assert kind.criterion(POINTS, loss="l1", beta=0.2)(raw, target)["loss"].item() == pytest.approx(smooth)
    parts = kind.criterion(POINTS, coordinate=2.0)(raw, target)  # the default without its heat-map term
    assert parts["loss"].item() == pytest.approx(2 * (0.5 + 0.1) / 3) and set(parts) == {"loss", "coordinate"}
    with pytest.raises(ConfigError, match=r"star needs heat maps.*loss: l1"):
        kind.criterion(POINTS, loss="star")(raw, target)


def test_l1_of_heat_maps_is_that_of_their_centroids():
    raw, target = torch.randn(2, 3, 8, 8), {"points": torch.rand(2, 3, 2)}
    found = KINDS["landmarks"].criterion(POINTS, loss="l1")(raw, target)["loss"]
    torch.testing.assert_close(found, (ll.soft_argmax(raw) - target["points"]).abs().mean())


# --- landmarks: STAR -------------------------------------------------------------------------------------------------


def blob(size: int, centre: tuple[float, float], spread: tuple[float, float], degrees: float) -> torch.Tensor:
    """(size, size) logits whose sigmoid is a Gaussian; centre, spread normalised; its long axis turned x towards y."""
    turn = math.radians(degrees)
    grid = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    x, y = grid[None, :] - centre[0], grid[:, None] - centre[1]
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    heat = 0.5 * torch.exp(-((along / spread[0]) ** 2 + (across / spread[1]) ** 2) / 2)
    return torch.logit(heat.clamp(min=1e-12))


def test_moments_of_a_gaussian():
    logits = blob(96, (0.45, 0.55), (0.08, 0.03), 30)
    mean, xx, xy, yy = ll.moments(logits)
    torch.testing.assert_close(mean, torch.tensor([0.45, 0.55], dtype=torch.float64), atol=1e-4, rtol=0)
    turn = torch.tensor([[math.cos(math.pi / 6), -0.5], [0.5, math.cos(math.pi / 6)]], dtype=torch.float64)
    expected = turn @ torch.diag(torch.tensor([0.08**2, 0.03**2], dtype=torch.float64)) @ turn.T
    found = torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-2)


def test_covariance_is_the_unbiased_one():
    logits = torch.randn(5, 7, dtype=torch.float64)
    p = logits.sigmoid() / logits.sigmoid().sum()
    x, y = (torch.arange(7) + 0.5) / 7, (torch.arange(5) + 0.5) / 5
    cells = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None])).flatten(1).double()
    weights = p.flatten().numpy()
    _, xx, xy, yy = ll.moments(logits)
    expected = np.cov(cells.numpy(), aweights=weights)  # divides by 1 - sum p^2
    np.testing.assert_allclose([[xx, xy], [xy, yy]], expected, rtol=1e-6)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, -50.0])
def test_star_is_its_formula(degrees):
    """Against an eigendecomposition by numpy."""
    logits = blob(48, (0.4, 0.6), (0.09, 0.04), degrees)
    truth = torch.tensor([0.47, 0.63], dtype=torch.float64)
    mean, xx, xy, yy = (value.numpy() for value in ll.moments(logits))
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    parts = np.abs(vectors.T @ (truth.numpy() - mean))
    beta, epsilon, weight = 0.01, 1e-5, 1.0
    distance = np.where(parts < beta, 0.5 * parts**2 / beta, parts - beta / 2)
    expected = (distance / np.sqrt(values + epsilon)).sum() + weight * values.sum()
    criterion = KINDS["landmarks"].criterion(POINTS, loss="star")
    found = criterion(logits[None, None], {"points": truth[None, None]})["loss"]
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_errors_along_the_blur_cost_less():
    criterion = KINDS["landmarks"].criterion(POINTS, loss="star")
    logits = blob(64, (0.5, 0.5), (0.1, 0.03), 0)[None, None]
    along, across = ({"points": torch.tensor([[point]])} for point in ([0.55, 0.5], [0.5, 0.55]))
    assert criterion(logits, along)["star"] < 0.5 * criterion(logits, across)["star"]
    wider = blob(64, (0.5, 0.5), (0.1, 0.06), 0)[None, None]
    assert criterion(wider, along)["eigenvalue"] > criterion(logits, along)["eigenvalue"]


@pytest.mark.parametrize("logits", ["round", "flat", "empty", "one cell"])
def test_star_has_a_finite_gradient_where_axes_are_undefined(logits):
    raw = {
        "round": blob(32, (0.5, 0.5), (0.1, 0.1), 0).float(),
        "flat": torch.zeros(32, 32),
        "empty": torch.full((32, 32), -200.0),
        "one cell": torch.full((32, 32), -100.0).index_put((torch.tensor(9), torch.tensor(9)), torch.tensor(100.0)),
    }[logits][None, None].clone().requires_grad_()  # fmt: skip
    loss = KINDS["landmarks"].criterion(POINTS, loss="star")(raw, {"points": torch.full((1, 1, 2), 0.3)})["loss"]
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(raw.grad).all()


def test_descent_on_star_finds_the_point():
    raw = (0.1 * torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))).requires_grad_()
    target, criterion = {"points": torch.tensor([[[0.3, 0.7]]])}, KINDS["landmarks"].criterion(POINTS, loss="star")
    optimiser = torch.optim.Adam([raw], lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        criterion(raw, target)["loss"].backward()
        optimiser.step()
    assert (ll.soft_argmax(raw)[0, 0] - target["points"][0, 0]).abs().max() < 0.01


# --- age, attributes, recognition ------------------------------------------------------------------------------------


def test_l1_ce_is_the_mean_of_the_two():
    raw, age = torch.randn(3, 101), torch.tensor([20.0, 40.4, 99.6])
    parts = KINDS["age"].criterion(TASKS["age_utkface"], loss="l1_ce")(raw, {"age": age})
    p = log_distribution(raw).exp()
    l1 = ((p * torch.arange(101)).sum(1) - age).abs().mean()
    ce = -p[torch.arange(3), [20, 40, 100]].log().mean()
    torch.testing.assert_close(parts["loss"], (l1 + ce) / 2)


def test_l1_ce_of_groups_is_the_mean_of_the_two():
    spec, raw, label = TASKS["agegroup_utkface"], torch.randn(3, 8), torch.tensor([0, 7, 3])
    parts = KINDS["agegroup"].criterion(spec, loss="l1_ce")(raw, {"agegroup": label})
    l1 = ((raw.softmax(1) * torch.arange(8)).sum(1) - label).abs().mean()
    torch.testing.assert_close(parts["loss"], (l1 + F.cross_entropy(raw, label)) / 2)


def test_bce_mean_averages_over_known_attributes():
    spec = TaskSpec("attributes_toy", "attributes", "toy", ("a", "b", "c"))
    raw = torch.zeros(3, 3)
    known = {"attributes": torch.tensor([[1, -1, 0], [-1, -1, 0], [-1, -1, -1]], dtype=torch.int8)}
    loss = KINDS["attributes"].criterion(spec, loss="bce_mean")(raw, known)["loss"]
    assert loss.item() == pytest.approx(2 / 3 * math.log(2))


def arcface(cosine: float, *, margin: float = 0.5, scale: float = 1.0) -> torch.Tensor:
    """Its loss for one embedding at that cosine from its class, at a right angle to the other."""
    criterion = KINDS["recognition"].criterion(
        TASKS["recognition_ms1mv3"], classes=2, loss="arcface", margin=margin, scale=scale, embedding=3
    )
    criterion.classifier.data = torch.eye(3)[:2]
    raw = 7 * torch.tensor([[cosine, 0.0, math.sqrt(1 - cosine**2)]])
    return criterion(raw, {"identity": torch.tensor([0])})["loss"]


@pytest.mark.parametrize("degrees", [10.0, 60.0, 120.0, 150.0])
def test_arcface_adds_to_the_angle(degrees):
    angle = math.radians(degrees)
    expected = F.cross_entropy(torch.tensor([[math.cos(angle + 0.5), 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(arcface(math.cos(angle)), expected)


def test_arcface_keeps_falling_beyond_the_turning_point():
    losses = [arcface(math.cos(math.radians(degrees))).item() for degrees in range(0, 181, 5)]
    assert all(later > earlier for earlier, later in pairwise(losses))


@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_arcface_has_a_finite_gradient_at_the_class_centre(cosine):
    criterion = KINDS["recognition"].criterion(TASKS["recognition_ms1mv3"], classes=2, loss="arcface", embedding=3)
    criterion.classifier.data = torch.eye(3)[:2]
    raw = torch.tensor([[cosine, 0.0, 0.0]], requires_grad=True)
    criterion(raw, {"identity": torch.tensor([0])})["loss"].backward()
    assert torch.isfinite(raw.grad).all() and torch.isfinite(criterion.classifier.grad).all()
