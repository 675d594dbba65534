"""Dense tasks through the real crops: label -> target -> ideal logits -> prediction gives the label back."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.losses.landmarks import render_heatmaps
from faceptor.transforms.crop import CropSpec

POINTS5 = np.array([[80.0, 90], [130, 88], [104, 120], [86, 150], [126, 149]])
BOX = np.array([40.0, 30, 180, 190], np.float32)
SIZE = (240, 220)


@pytest.mark.parametrize(
    "spec",
    [
        CropSpec(kind="box", size=128, scale=0.8),
        CropSpec(kind="align5", size=128, warp=0.8),
        CropSpec(kind="whole", size=128),
    ],
)
def test_landmarks(spec):
    task, kind = TASKS["landmarks_cofw"], KINDS["landmarks"]
    crop = spec.place(SIZE, box=BOX, points5=POINTS5)
    truth = np.random.default_rng(0).uniform((60, 50), (160, 170), (29, 2)).astype(np.float32)
    points = torch.tensor(kind.target(task, {"landmarks": truth}, crop)["points"])
    found = kind.decode(task, torch.logit(render_heatmaps(points, (128, 128)), eps=1e-12), crop).points
    np.testing.assert_allclose(found, truth, atol=0.15)


@pytest.mark.parametrize(
    "spec",
    [
        CropSpec(kind="box", size=256, scale=0.8),
        CropSpec(kind="align5", size=256, warp=0.8),
        CropSpec(kind="whole", size=256),
    ],
)
def test_parsing(spec):
    task, kind = TASKS["parsing_lapa"], KINDS["parsing"]
    crop = spec.place(SIZE, box=BOX, points5=POINTS5)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (rows > 60) & (rows < 160) & (columns > 60) & (columns < 160)
    mask = np.where(inside, 1 + (rows - 60) // 20 + 5 * (columns > 105), 0).astype(np.uint8)
    target = torch.tensor(kind.target(task, {"mask": mask}, crop)["mask"])
    logits = 9.0 * F.one_hot(target.long(), 11).permute(2, 0, 1)
    found = kind.decode(task, logits, crop).classes
    assert found.shape == SIZE and (found == mask).mean() > 0.97
    metric = kind.metric(task)
    metric.update(kind.decode(task, logits, crop), {"mask": mask})
    assert metric.compute()["f1_mean"] > 95
