import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import papermill
import pytest
import torch

from faceptor.analysis import crop_sensitivity as cs
from faceptor.analysis.crop_figures import sensitivity_lines
from faceptor.analysis.task_faces import TaskFaces
from faceptor.errors import ConfigError
from faceptor.tasks import kind_of, task
from faceptor.tasks.classification import ClassPrediction
from faceptor.transforms.crop import CropSpec
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


def test_faces_come_in_runs_of_neighbours_from_the_whole_split(monkeypatch):
    """So that pictures of one person stay together, which recognition needs."""
    monkeypatch.setattr(cs, "held_out_split", lambda folder: "val")
    monkeypatch.setattr(cs, "open_samples", lambda *_: list(range(1000)))
    params = SimpleNamespace(prepared=lambda dataset: dataset)
    chosen = cs.validation_samples(params, task("recognition_ms1mv3"), root=Path(), count=64)
    assert len(chosen) == 64 and chosen[0] == 0 and chosen[-1] == 999
    assert all(b - a == 1 for a, b in zip(chosen[::2], chosen[1::2], strict=True))


# --- summary ---------------------------------------------------------------------------------------------------------


def test_crossing_is_on_the_straight_line_between_measurements():
    curve = pd.Series([0.80, 0.78, 0.60], index=[0.0, 0.1, 0.2])
    assert cs.crossing(curve, 0.72) == pytest.approx(0.1 + 0.1 * 6 / 18)
    assert np.isnan(cs.crossing(curve, 0.50))
    assert np.isnan(cs.crossing(curve, float("nan")))


def curves(skills, *, constant, perfect=0.0, metric="nme_inter_ocular"):
    """A frame of one task from its skills."""
    rows = [{"axis": axis, "value": value, "skill": skill} for axis, pairs in skills.items() for value, skill in pairs]
    table = pd.DataFrame(rows).assign(task="a_task", metric=metric, higher_is_better=perfect > 0, faces=64)
    ends = {"skill_low": table["skill"] - 0.02, "skill_high": np.minimum(table["skill"] + 0.02, 1)}
    score = constant + table["skill"] * (perfect - constant)
    return table.assign(**ends, score=score, low=score - 1, high=score + 1, constant=constant)


TABLE = curves(
    {
        "margin": [(0.8, 0.70), (1.0, 0.80), (1.5, 0.75)],
        "shift": [(0.0, 0.80), (0.1, -0.20)],
        "rotation": [(0.0, 0.80), (30.0, 0.73)],
    },
    constant=20.0,
)


def test_losses_by_hand():
    row = cs.losses(TABLE).loc["a_task"]
    assert row["score"] == pytest.approx(4.0) and row["skill"] == pytest.approx(0.8)
    assert row["tighter"] == pytest.approx(1 - 0.2 * 0.08 / 0.10)  # where 0.72 is left
    assert row["shift"] == pytest.approx(0.1 * 0.08 / 1.0)
    assert np.isnan(row["looser"]) and np.isnan(row["rotation"])
    words = cs.readable(TABLE).loc["a_task"]
    assert (words["looser"], words["rotation"]) == ("beyond 1.50 x", "beyond 30°")
    told = cs.conclusions(TABLE)
    assert any("Most sensitive" in sentence for sentence in told)
    assert "Nothing of it is left at: shift 8.0%" in told[0]  # where the curve meets the constant baseline


def test_a_metric_that_a_constant_nearly_reaches_is_not_robust():
    """79.6 % against a constant 79.1 %: less than 1 % of the accuracy was lost, and nine tenths of the skill."""
    skills = {"margin": [(0.8, 0.5 / 20.9), (1.0, 5.0 / 20.9), (1.2, 5.0 / 20.9)], "shift": [(0.0, 5.0 / 20.9)] * 1,
              "rotation": [(0.0, 5.0 / 20.9)]}  # fmt: skip
    table = curves(skills, constant=79.1, perfect=100.0, metric="mean_accuracy")
    row = cs.losses(table).iloc[0]
    assert row["score"] == pytest.approx(84.1) and 0.97 < row["tighter"] < 1


def test_without_skill_there_is_nothing_to_lose():
    table = curves({axis: [(cs.NEUTRAL[axis], -0.1), (1.5, -0.5)] for axis in cs.AXES}, constant=20.0)
    assert cs.losses(table)[list(cs.DISPLACEMENTS)].isna().all(axis=None)
    assert "nothing to lose" in cs.conclusions(table)[0]
    assert set(cs.readable(table).iloc[0][list(cs.DISPLACEMENTS)]) == {"no skill to lose"}


def told_right(right, wrong=0):
    spec, probabilities = task("expression_rafdb"), np.eye(7)
    samples = [SAMPLE | {"key": f"face {i}", "expression": i % 2} for i in range(right + wrong)]
    answers = [ClassPrediction((i % 2 + (i >= right)) % 7, probabilities[i % 2]) for i in range(right + wrong)]
    faces = TaskFaces(None, spec, samples, SPEC, lambda *_: ClassPrediction(0, probabilities[0]), {})
    return cs.scored(faces.judged(answers))


def test_bands_end_at_perfection_and_are_wide_on_few_faces():
    for right, wrong in ((6, 0), (6, 2), (64, 0)):
        row = told_right(right, wrong)
        assert row["low"] < row["score"] <= row["high"] <= 100
        assert row["skill_low"] < row["skill"] <= row["skill_high"] <= 1
    few, many = told_right(6), told_right(64)
    assert few["score"] == many["score"] == 100 == few["high"]
    assert few["low"] < 70 < 90 < many["low"] < 100 and few["skill_low"] < many["skill_low"] < 1


@pytest.mark.parametrize("wrong", [{"margin": [0.0]}, {"shift": [-0.1]}, {"rotation": ["ten"]}, {"margin": []}])
def test_displacements_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"notebooks\.crop_sensitivity\."):
        cs.checked({"margin": [1.2], "shift": [0.1], "rotation": [5], **wrong})


# --- a model ---------------------------------------------------------------------------------------------------------


class Training(toy.FakeSplit):
    """As a prepared split gives single labels and columns."""

    def sample(self, index, **_):
        return self.samples[index]

    def column(self, name):
        return np.array([sample[name] for sample in self.samples])


@pytest.fixture(scope="module")
def table():
    model, _ = toy.model_and_criteria()
    model.eval()
    samples = list(toy.FakeSplit(0).samples)
    values = {"margin": [0.8, 1.25], "shift": [0.1], "rotation": [20]}
    model.crops = {name: CropSpec(kind="box", size=32, scale=0.8).to_dict() for name in toy.TASKS}
    train = Training(1)
    tables = [cs.measure_task(model, name, samples, values, train=train, batch=5) for name in toy.TASKS]
    return model, samples, pd.concat(tables, ignore_index=True)


def test_every_task_is_measured_along_every_axis(table):
    found = table[2]
    assert set(found["task"]) == set(toy.TASKS)
    for _, part in found.groupby("task"):
        counts = part.groupby("axis")["value"].apply(list).to_dict()
        assert counts == {"margin": [0.8, 1.0, 1.25], "rotation": [0.0, 20.0], "shift": [0.0, 0.1]}
        neutral = part[part["value"] == part["axis"].map(cs.NEUTRAL)]
        assert len(neutral) == len(cs.AXES) and neutral["score"].nunique() == 1
    assert np.isfinite(found[list(cs.MEASURED)]).all(axis=None)
    assert (found["skill_high"] <= 1).all() and (found["skill_low"] < found["skill_high"]).all()


def test_answers_keep_the_order_of_the_faces_whatever_their_direction(table):
    model, samples, _ = table
    spec, crop = model.require_task("age_morph2"), CropSpec(kind="box", size=32, scale=0.8)
    together = cs.predictions(TaskFaces(model, spec, samples, crop, None, {}), "shift", 0.1, batch=4)
    for index in (0, 3, 11):
        place = cs.displaced(crop, "shift", 0.1, index * 3 % cs.DIRECTIONS)
        image = place.place_sample(samples[index]).image(samples[index]["image"])
        with torch.inference_mode():
            raw = model(torch.from_numpy(image).permute(2, 0, 1)[None].float(), tasks=["age_morph2"])["age_morph2"][0]
        assert together[index].years == pytest.approx(kind_of(spec).decode(spec, raw, None).years, abs=1e-3)


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
