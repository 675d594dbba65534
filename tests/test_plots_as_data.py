"""What the figures show, as data: every sort of plot is declared in dvc.yaml, with columns that the files have."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc_render.vega import VegaRenderer

from faceptor.config import load_preset, preset_names
from faceptor.pipeline.plots import write_plots
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.attributes import AttributesPrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.landmarks import LandmarksPrediction
from faceptor.tasks.measures import confusion_matrix
from faceptor.tasks.parsing import ParsingPrediction
from faceptor.tasks.pose import PosePrediction
from faceptor.tasks.recognition import IdentityPrediction

ROOT = Path(__file__).parents[1]
PLOTS = Path("results/evaluate/plots")
DECLARED = {
    Path(path): how for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for path, how in entry.items()
}


def answers(kind, rng, index):
    """A prediction and a sample of one face, with some mistakes."""
    points = rng.uniform(20, 80, (29, 2))
    mask = rng.integers(0, 11, (9, 9)).astype(np.uint8)
    told = {
        "landmarks": (LandmarksPrediction(points + rng.normal(0, 1, points.shape), None), {"landmarks": points}),
        "parsing": (ParsingPrediction(np.where(rng.random((9, 9)) < 0.8, mask, 0).astype(np.uint8)), {"mask": mask}),
        "age": (AgePrediction(rng.uniform(20, 40), np.ones(1)), {"age": rng.uniform(20, 40)}),
        "expression": (ClassPrediction(index % 7, rng.dirichlet(np.ones(7))), {"expression": index % 5}),
        "attributes": (AttributesPrediction(rng.random(40)), {"attributes": rng.integers(-1, 2, 40)}),
        "visibility": (AttributesPrediction(rng.random(29)), {"visibility": rng.integers(-1, 2, 29)}),
        "pose": (PosePrediction(rng.uniform(-9, 9, 3), np.zeros(2), 1.0), {"pose": rng.uniform(-9, 9, 3)}),
        "recognition": (
            IdentityPrediction(rng.standard_normal(8) + index // 2, 1.0),
            {"pair": index // 2, "same": index % 4 < 2, "subsets": ("lfw",)},
        ),
    }
    prediction, labels = told[kind]
    return prediction, {
        "key": str(index),
        "box": np.array([0, 0, 99, 99]),
        "subsets": ("hard",) * (index % 2),
        **labels,
    }


TOYS = {
    "landmarks": "landmarks_cofw", "parsing": "parsing_lapa", "age": "age_morph2", "expression": "expression_rafdb",
    "attributes": "attributes_celeba", "visibility": "visibility_cofw", "pose": "pose_300wlp",
    "recognition": "recognition_ms1mv3",
}  # fmt: skip


@pytest.fixture(params=list(TOYS))
def judged(request):
    spec, rng = TASKS[TOYS[request.param]], np.random.default_rng(3)
    metric = KINDS[spec.kind].metric(spec)
    for index in range(40):
        metric.update(*answers(request.param, rng, index))
    return spec, metric


def test_files_have_the_columns_that_dvc_is_told(judged, tmp_path):
    spec, metric = judged
    plots = KINDS[spec.kind].plots(spec, metric)
    write_plots(plots, tmp_path, spec.name)
    assert plots and len(list(tmp_path.glob("*/*.csv"))) == len(plots)
    for path in tmp_path.glob("*/*.csv"):
        how = DECLARED[PLOTS / "facexformer" / path.parent.name]
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert rows and {how["x"], how["y"]} <= set(rows[0])
        assert len(rows) <= 400 and path.stat().st_size < 20_000  # Git keeps them


def test_data_are_what_the_metric_says(judged):
    spec, metric = judged
    plots = {(plot.sort, plot.series): plot.columns for plot in KINDS[spec.kind].plots(spec, metric)}
    if confusion := plots.get(("confusion", "")):
        count = np.array(confusion["count"]).reshape(len(spec.labels), -1)
        right = "pixel_accuracy" if spec.kind == "parsing" else "accuracy"
        assert 100 * np.trace(count) / count.sum() == pytest.approx(metric.compute()[right])
        assert confusion["actual"][: len(spec.labels)] == [spec.labels[0]] * len(spec.labels)
    if spec.kind == "age":
        error = plots["error", ""]
        assert error["share"][error["error"].index(5.0)] == pytest.approx(metric.compute()["cs5"] / 100)
    if spec.kind == "landmarks":
        assert ("error", "hard") in plots and all(np.diff(plots["error", ""]["share"]) >= 0)
    if spec.kind == "recognition":
        roc = plots["roc", "lfw"]
        assert (roc["fpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 1, 1) and all(np.diff(roc["fpr"]) >= 0)


def test_every_model_of_every_preset_is_declared():
    sorts = {path.name for path in DECLARED}
    assert sorts == {"confusion", "error", "roc", "reliability", "precision"}
    models = {name for preset in preset_names() for name in load_preset(preset).evaluate.models}
    assert models <= {path.parent.name for path in DECLARED}


def test_confusions_are_drawn_from_shares():
    """The template fits what DVC fills in, and asks for no field that the files do not have."""
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    from faceptor.figures.plots import confusion_data

    columns = confusion_data(matrix, ("calm", "happy")).columns
    rows = [dict(zip(columns, row, strict=True)) | {"rev": "workspace"} for row in zip(*columns.values(), strict=True)]
    how = DECLARED[PLOTS / "stage1" / "confusion"]
    renderer = VegaRenderer(rows, "confusion", template_dir=str(ROOT / ".dvc" / "plots"), **how)
    filled = json.dumps(renderer.get_filled_template())
    assert "DVC_METRIC" not in filled and '"share": 0.5' in filled
