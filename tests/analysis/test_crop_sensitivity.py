import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest
import torch

from faceptor.analysis import crop_sensitivity as cs
from faceptor.analysis.crop_figures import sensitivity_lines
from faceptor.data.crop import CropSpec
from faceptor.errors import ConfigError
from faceptor.tasks import kind_of, task
from faceptor.tasks.age import AgePrediction
from tests import toy

ROOT = Path(__file__).parents[2]
SPEC = CropSpec(kind="box", size=64, scale=0.8)
BOX = np.array([20.0, 30.0, 60.0, 70.0])
SAMPLE = {"size": (100, 90), "box": BOX}


def seen(axis, value, direction=0, spec=SPEC):
    """Corners (4, 2) of the picture's part that a displaced crop shows."""
    crop = cs.displaced(spec, axis, value, direction).place_sample(SAMPLE)
    low, high = -0.5, crop.size - 0.5
    return crop.points_back(np.array([[low, low], [high, low], [low, high], [high, high]], np.float64))


@pytest.mark.parametrize("axis", cs.AXES)
def test_a_neutral_displacement_is_none(axis):
    plain = SPEC.place_sample(SAMPLE)
    for direction in range(cs.DIRECTIONS):
        crop = cs.displaced(SPEC, axis, cs.NEUTRAL[axis], direction).place_sample(SAMPLE)
        np.testing.assert_allclose(crop.matrix, plain.matrix, atol=1e-12)


@pytest.mark.parametrize("margin", [0.5, 1.25, 2.0])
def test_a_margin_scales_what_is_seen_about_its_middle(margin):
    plain, wide = seen("margin", 1.0), seen("margin", margin)
    np.testing.assert_allclose(wide - plain.mean(0), margin * (plain - plain.mean(0)), atol=1e-9)


@pytest.mark.parametrize("direction", range(cs.DIRECTIONS))
def test_a_shift_moves_by_a_part_of_the_side_in_its_direction(direction):
    side = 40 / 0.8
    moved = seen("shift", 0.1, direction) - seen("shift", 0.0)
    angle = direction * np.pi / 4
    # The picture's content moves one way in the crop, so the crop moves the other way over the picture.
    expected = -0.1 * side * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(moved, np.tile(expected, (4, 1)), atol=1e-9)


def test_turns_go_to_both_sides_and_keep_the_middle():
    plain, turned, back = seen("rotation", 0.0), seen("rotation", 30.0, 0), seen("rotation", 30.0, 1)
    np.testing.assert_allclose(turned.mean(0), plain.mean(0), atol=1e-9)
    edge, turned_edge, back_edge = (corners[1] - corners[0] for corners in (plain, turned, back))
    angles = [np.degrees(np.arctan2(edge[0] * e[1] - edge[1] * e[0], edge @ e)) for e in (turned_edge, back_edge)]
    np.testing.assert_allclose(np.abs(angles), 30.0)
    assert angles[0] == pytest.approx(-angles[1])


# --- faces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "count"), [(5, 64), (64, 64), (100, 64), (1000, 64), (1000, 60), (70, 65)])
def test_faces_are_runs_spread_over_the_split(size, count):
    chosen = cs.spread(size, count)
    assert len(chosen) == min(size, count) == len(set(chosen))
    assert chosen == sorted(chosen) and chosen[0] == 0 and chosen[-1] < size
    if size > 4 * count:
        for place in range(0, count, cs.RUN):
            assert chosen[place : place + 4] == list(range(chosen[place], chosen[place] + 4))
        assert chosen[-1] > size * 0.9


# --- summary ---------------------------------------------------------------------------------------------------------


def test_crossing_is_on_the_straight_line_between_measurements():
    curve = pd.Series([80.0, 78.0, 60.0], index=[0.0, 0.1, 0.2])
    assert cs.crossing(curve, 72.0, True) == pytest.approx(0.1 + 0.1 * 6 / 18)
    assert np.isnan(cs.crossing(curve, 50.0, True))
    rising = pd.Series([2.0, 3.0], index=[0.0, 10.0])
    assert cs.crossing(rising, 2.2, False) == pytest.approx(2.0)


def curves(scores, *, task="landmarks_300w", metric="nme", better=False):
    rows = [{"axis": axis, "value": value, "score": score} for axis, pairs in scores.items() for value, score in pairs]
    facts = {"task": task, "metric": metric, "higher_is_better": better, "faces": 64, "error": 0.1, "constant": 20.0}
    return pd.DataFrame(rows).assign(**facts)


TABLE = curves(
    {
        "margin": [(0.8, 6.0), (1.0, 5.0), (1.5, 5.25)],
        "shift": [(0.0, 5.0), (0.1, 10.0)],
        "rotation": [(0.0, 5.0), (30.0, 5.4)],
    }
)


def test_losses_of_an_error_metric_by_hand():
    row = cs.losses(TABLE).loc["landmarks_300w"]
    assert row["score"] == 5.0
    assert row["tighter"] == pytest.approx(0.9)  # 5.5, half way from 5 to 6
    assert row["shift"] == pytest.approx(0.01)
    assert np.isnan(row["looser"]) and np.isnan(row["rotation"])
    words = cs.readable(TABLE).loc["landmarks_300w"]
    assert (words["looser"], words["rotation"]) == ("beyond 1.50 x", "beyond 30°")
    assert any("Most sensitive" in sentence for sentence in cs.conclusions(TABLE))


def test_losses_of_an_accuracy_look_downwards():
    table = curves(
        {"margin": [(0.5, 100.0), (1.0, 80.0), (2.0, 64.0)], "shift": [(0.0, 80.0), (0.2, 80.0)],
         "rotation": [(0.0, 80.0), (10.0, 70.0)]}, better=True,
    )  # fmt: skip
    row = cs.losses(table).iloc[0]
    assert np.isnan(row["tighter"]) and np.isnan(row["shift"])
    assert row["looser"] == pytest.approx(1.5)
    assert row["rotation"] == pytest.approx(8.0)


def test_the_error_of_a_mean_is_that_of_its_blocks():
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 60, 8 * cs.RUN)
    answers = [AgePrediction(float(age + miss), np.full(101, 1 / 101, np.float32))
               for age, miss in zip(truth, rng.uniform(0, 9, len(truth)), strict=True)]  # fmt: skip
    samples = [{"key": str(i), "age": float(age)} for i, age in enumerate(truth)]
    misses = np.array([a.years - s["age"] for a, s in zip(answers, samples, strict=True)]).reshape(8, cs.RUN).mean(1)
    found = cs.error(task("age_morph2"), answers, samples)
    assert found == pytest.approx(misses.std(ddof=1) / np.sqrt(8), rel=1e-6)
    assert np.isnan(cs.error(task("age_morph2"), answers[:4], samples[:4]))


@pytest.mark.parametrize("wrong", [{"margin": [0.0]}, {"shift": [-0.1]}, {"rotation": ["ten"]}, {"margin": []}])
def test_displacements_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"notebooks\.crop_sensitivity\."):
        cs.checked({"margin": [1.2], "shift": [0.1], "rotation": [5], **wrong})


# --- a model ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    model, _ = toy.model_and_criteria()
    model.eval()
    samples = list(toy.FakeSplit(0).samples)
    values = {"margin": [0.8, 1.25], "shift": [0.1], "rotation": [20]}
    model.crops = {name: CropSpec(kind="box", size=32).to_dict() for name in toy.TASKS}
    tables = [cs.measure_task(model, name, samples, values, batch=5).assign(constant=0.0) for name in toy.TASKS]
    return model, samples, pd.concat(tables, ignore_index=True)


def test_every_task_is_measured_along_every_axis(table):
    found = table[2]
    assert set(found["task"]) == set(toy.TASKS)
    for _, part in found.groupby("task"):
        counts = part.groupby("axis")["value"].apply(list).to_dict()
        assert counts == {"margin": [0.8, 1.0, 1.25], "rotation": [0.0, 20.0], "shift": [0.0, 0.1]}
        neutral = part[part["value"] == part["axis"].map(cs.NEUTRAL)]
        assert len(neutral) == len(cs.AXES) and neutral["score"].nunique() == 1
    assert np.isfinite(found["score"]).all()


def test_answers_keep_the_order_of_the_faces_whatever_their_direction(table):
    model, samples, _ = table
    spec, crop = model.require_task("age_morph2"), CropSpec(kind="box", size=32)
    together = cs.predictions(model, spec, samples, crop, "shift", 0.1, batch=4)
    for index in (0, 3, 11):
        place = cs.displaced(crop, "shift", 0.1, index * 3 % cs.DIRECTIONS)
        image = place.place_sample(samples[index]).image(samples[index]["image"])
        with torch.inference_mode():
            raw = model(torch.from_numpy(image).permute(2, 0, 1)[None].float(), tasks=["age_morph2"])["age_morph2"][0]
        assert together[index].years == pytest.approx(kind_of(spec).restore(spec, raw, None).years, abs=1e-3)


def test_the_figure_has_a_row_per_task(table):
    figure = sensitivity_lines(table[2])
    assert len(figure.axes) == len(toy.TASKS) * len(cs.AXES)


def test_the_notebook_hands_its_parameters_on():
    path = ROOT / "notebooks/crop_sensitivity.ipynb"
    declared = set(papermill.inspect_notebook(str(path)))
    wanted = set(inspect.signature(cs.measure_tasks).parameters) - {"model", "params", "root"}
    assert declared == wanted | {"model"}
    cells = json.loads(path.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
