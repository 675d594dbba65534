"""Parsing: size of the loss, F1 from one confusion matrix, absent classes, the majority map."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.color import rgb2lab

from faceptor.errors import DataError
from faceptor.figures.drawing import blend_classes, class_colours
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.measures import confusion_matrix, f1_per_class
from faceptor.tasks.parsing import ParsingPrediction
from faceptor.transforms.crop import CropSpec, Jitter

KIND = KINDS["parsing"]
SPEC = TaskSpec("parsing_toy", "parsing", "toy", ("background", "skin", "hair", "hat"), {"background": 0})


def test_loss_is_taken_at_the_size_of_the_mask():
    raw, mask = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 32, 32), dtype=torch.uint8)
    raised = F.interpolate(raw, size=(32, 32), mode="bilinear", align_corners=False)
    expected = F.cross_entropy(raised, mask.long())
    torch.testing.assert_close(KIND.criterion(SPEC)(raw, {"mask": mask})["loss"], expected)


def test_unknown_class_is_an_error(fake_crop):
    mask = np.full((8, 8), 4, np.uint8)
    with pytest.raises(DataError, match=r"img.*\[0, 3\].*4"):
        KIND.target(SPEC, {"key": "img", "mask": mask}, fake_crop(8, (8, 8)))
    with pytest.raises(DataError, match="mask"):
        KIND.criterion(SPEC)(torch.randn(1, 4, 8, 8), {"mask": torch.tensor(mask)[None]})


def test_confusion_and_f1_by_hand():
    truth, found = np.array([[0, 0, 1], [1, 1, 2]]), np.array([[0, 1, 1], [1, 2, 2]])
    confusion = confusion_matrix(truth, found, 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(f1_per_class(confusion)[:3], [2 / 3, 4 / 6, 2 / 3])
    assert np.isnan(f1_per_class(confusion)[3])


def test_mean_is_over_the_foreground_that_occurs():
    metric = KIND.metric(SPEC)
    truth, found = np.array([[0, 0, 1], [1, 1, 2]]), np.array([[0, 1, 1], [1, 2, 2]])
    metric.update(ParsingPrediction(found[:1]), {"mask": truth[:1]})
    metric.update(ParsingPrediction(found[1:]), {"mask": truth[1:]})
    result = metric.compute()
    assert result["f1_mean"] == pytest.approx(100 * 2 / 3)
    assert result["pixel_accuracy"] == pytest.approx(100 * 4 / 6)
    assert "f1_hat" not in result and "hat" in metric.notes()[0]


def test_class_that_is_only_predicted_counts_as_zero():
    metric = KIND.metric(SPEC)
    metric.update(ParsingPrediction(np.array([[1, 3]])), {"mask": np.array([[1, 1]])})
    assert metric.compute()["f1_hat"] == 0 and metric.compute()["f1_mean"] == pytest.approx(100 * (2 / 3) / 2)


def test_background_alone_is_an_error():
    metric = KIND.metric(SPEC)
    metric.update(ParsingPrediction(np.zeros((2, 2), np.uint8)), {"mask": np.zeros((2, 2), np.uint8)})
    with pytest.raises(DataError, match="toy"):
        metric.compute()


def test_other_size_is_an_error():
    with pytest.raises(DataError, match="shape"):
        KIND.metric(SPEC).update(ParsingPrediction(np.zeros((2, 2), np.uint8)), {"mask": np.zeros((3, 2), np.uint8)})


IGNORING = replace(SPEC, options={"background": 0, "ignore": 255, "scheme": {"flip_permutation": [0, 2, 1, 3]}})


@pytest.mark.parametrize("loss", KIND.losses)
def test_pixels_without_a_class_do_not_count_in_a_loss(loss):
    raw = torch.randn(2, 4, 4, 4, requires_grad=True)
    mask = torch.randint(0, 4, (2, 4, 4), dtype=torch.uint8)
    criterion = KIND.criterion(IGNORING, loss=loss)
    whole = criterion(raw, {"mask": mask})["loss"]
    torch.testing.assert_close(whole, KIND.criterion(SPEC, loss=loss)(raw, {"mask": mask})["loss"])
    upper, known = raw[:, :, :2], mask.clone()
    known[:, 2:] = 255
    found = criterion(raw, {"mask": known})["loss"]
    torch.testing.assert_close(found, criterion(upper, {"mask": mask[:, :2]})["loss"])
    (slope,) = torch.autograd.grad(found, raw)
    assert (slope[:, :, 2:] == 0).all() and (slope[:, :, :2] != 0).any()
    none = criterion(raw, {"mask": torch.full_like(mask, 255)})["loss"]
    assert none == 0 and torch.isfinite(torch.autograd.grad(none, raw)[0]).all()


def test_pixels_without_a_class_do_not_count_in_metric_and_baseline(fake_crop, fake_split):
    truth, found = np.array([[0, 0, 1], [1, 255, 255]], np.uint8), np.array([[0, 1, 1], [1, 3, 2]], np.uint8)
    judge, plain = (KIND.metric(spec) for spec in (IGNORING, SPEC))
    judge.update(ParsingPrediction(found), {"mask": truth})
    plain.update(ParsingPrediction(found.ravel()[:4][None]), {"mask": truth.ravel()[:4][None]})
    assert judge.compute() == plain.compute()
    crop = fake_crop(8, (8, 8))
    masks = np.full((3, 8, 8), 255, np.uint8)
    masks[0, :, :4] = 2
    train = fake_split([{"key": str(i), "size": (8, 8), "mask": mask} for i, mask in enumerate(masks)])
    constant = KIND.constant_baseline(IGNORING, train, lambda sample: crop, grid=8)({}, crop).classes
    assert (constant[:, :4] == 2).all() and (constant[:, 4:] == 0).all()


def test_pixels_without_a_class_stay_so_through_crop_warp_and_mirror():
    mask = np.full((40, 40), 255, np.uint8)
    mask[10:30, 10:30] = 1
    box = np.array([0, 0, 40, 40], np.float32)
    crop = CropSpec(kind="box", size=32, warp=0.8).place((40, 40), box=box, jitter=Jitter(rotation=0.4))
    target = KIND.target(IGNORING, {"mask": mask}, crop)["mask"]
    assert set(np.unique(target)) == {0, 1, 255}  # 0: beyond the picture, as in the other sets
    mirrored = KIND.mirrored(IGNORING, {"mask": target})["mask"]
    np.testing.assert_array_equal(mirrored == 255, target[:, ::-1] == 255)
    np.testing.assert_array_equal(mirrored == 2, target[:, ::-1] == 1)
    with pytest.raises(DataError, match="4 classes"):
        KIND.target(IGNORING, {"key": "img", "mask": np.where(mask == 1, 4, mask)}, crop)
    canvas = np.full((40, 40, 3), 100, np.uint8)
    assert (blend_classes(canvas, mask, 4)[mask == 255] == 100).all()


def test_round_trip_through_the_crop(fake_crop):
    crop = fake_crop(16, (16, 16))
    mask = np.random.default_rng(0).integers(0, 4, (16, 16)).astype(np.uint8)
    logits = 9 * F.one_hot(torch.tensor(KIND.target(SPEC, {"mask": mask}, crop)["mask"]).long(), 4).permute(2, 0, 1)
    found = KIND.decode(SPEC, logits.float(), crop).classes
    assert found.dtype == np.uint8 and (found == mask).all()


def test_json_runs_rebuild_the_map():
    classes = np.random.default_rng(0).integers(0, 4, (5, 7)).astype(np.uint8)
    report = ParsingPrediction(classes).to_json(SPEC)
    values, lengths = np.asarray(report["runs"]).T
    assert (np.repeat(values, lengths).reshape(report["size"]) == classes).all()
    assert sum(report["share"].values()) == pytest.approx(1)


def test_constant_baseline_is_the_majority_of_each_pixel(fake_crop, fake_split):
    crop = fake_crop(8, (8, 8))
    masks = np.stack([np.zeros((8, 8)), np.zeros((8, 8)), np.ones((8, 8))]).astype(np.uint8)
    masks[:2, :4] = 2  # two of three: hair above, background below
    train = fake_split([{"key": str(i), "size": (8, 8), "mask": mask} for i, mask in enumerate(masks)])
    found = KIND.constant_baseline(SPEC, train, lambda sample: crop, grid=8)({}, crop).classes
    assert (found[:4] == 2).all() and (found[4:] == 0).all()


@pytest.mark.parametrize("count", [11, 19])
def test_colours_are_distinct(count):
    colours = class_colours(count)
    apart = np.abs(colours[:, None].astype(int) - colours[None]).sum(-1) + 1000 * np.eye(count)
    assert len(colours) == count and colours[0].sum() == 0 and apart.min() > 40
    seen = rgb2lab(colours)  # distances as an eye sees them; 2 is just noticeable
    assert (np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1000 * np.eye(count)).min() > 20


def test_blending_leaves_the_background_alone():
    canvas, classes = np.full((2, 2, 3), 100, np.uint8), np.array([[0, 1], [2, 0]])
    blended = blend_classes(canvas, classes, 4)
    assert (blended[classes == 0] == 100).all() and (blended[classes > 0] != 100).any()


def test_real_tasks_have_black_background_first():
    for name in ("parsing_celebamaskhq", "parsing_lapa"):
        assert TASKS[name].labels[TASKS[name].options["background"]] == "background"
