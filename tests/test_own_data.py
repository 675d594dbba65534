"""A user's own data set through every stage, without a line of code: prepare, train, evaluate, transfer, predict."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import faceptor
from faceptor.config import parse, preset_text
from faceptor.pipeline import training
from faceptor.pipeline.data import preprocess_set
from faceptor.pipeline.evaluation import evaluate_model
from faceptor.pipeline.experiment import resolve
from faceptor.pipeline.transfer import transfer
from faceptor.weights.folder import load_model
from tests import toy
from tests.datasets.test_generic_reader import POINTS, own

JOINT = {
    "landmarks_mine": {"samples": 3, "train": {"kind": "box", "scale": 0.8}, "augment": {"policy": "landmarks"}},
    "expression_mine": {"samples": 3, "train": {"kind": "whole"}, "augment": {"policy": "flip"}},
    "rating_mine": {"samples": 3, "train": {"kind": "whole"}, "criterion": {"loss": "mse"}},
}
RATINGS = {
    "trust": {"column": "trust", "range": [1, 7], "unit": "points"},
    "valence": {"column": "valence", "range": [-1, 1]},
}
LATER = {"attributes_later": {"samples": 3, "train": {"kind": "square"}, "augment": {"policy": "flip"}}}


def experiment():
    values = yaml.safe_load(preset_text("embedded"))
    options = {"description": "mine.yaml"}
    values["data"] |= {"root": ".", "validation": 0.3}
    values["synthesis"] = {}
    values["datasets"] = {
        "mine": {"reader": "generic", "path": "mine", "role": "joint", "options": options},
        "later": {"reader": "generic", "path": "mine", "role": "transfer", "options": options},
    }
    values["model"] = toy.MODEL.model_dump(mode="json") | {"init": "scratch"}
    values["stage1"]["tasks"], values["stage2"]["tasks"], values["transfer"]["tasks"] = JOINT, {}, LATER
    values["stage2"]["merged"] = []
    values["transfer"]["matrix"] = {"dataset": ["later"], "mode": ["prompt"]}
    for stage in ("stage1", "stage2", "transfer"):
        values[stage] |= {"steps": 3, "validate_every": 2, "checkpoint_every": 2, "log_every": 1}
        values[stage]["optimiser"]["warmup"] = 1
    values["evaluate"] = {"models": ["stage1"], "batch": 8}
    values["shipped"], values["experiments"] = {}, {}  # of models and baselines that are not these
    return resolve(parse({key: value for key, value in values.items() if key not in ("baselines", "ablations")}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    own(folder / "mine", ratings=RATINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = experiment()
        for name in found.params.datasets:
            preprocess_set(found, name)
        training.train_joint(found)
        yield found, folder


def test_own_landmarks_and_classes_are_trained_and_measured(trained):
    found, folder = trained
    tasks = evaluate_model(found, "stage1")["tasks"]
    landmarks = tasks["landmarks_mine"]
    assert landmarks["samples"] == 4 and landmarks["metrics"]["nme_eyes"] > 0
    assert set(landmarks["metrics"]) >= {"nme_diag", "constant_nme_eyes"}
    assert {"accuracy", "recall_calm"} <= set(tasks["expression_mine"]["metrics"])
    assert (folder / "results/evaluate/figures/stage1/landmarks_mine.png").exists()
    ratings = {"nmae", "mae_trust", "mae_valence", "pearson", "ccc_trust", "constant_nmae"}
    assert ratings <= set(tasks["rating_mine"]["metrics"])
    assert (folder / "results/evaluate/figures/stage1/rating_mine.png").exists()


def test_own_attributes_are_a_transfer(trained):
    found, _ = trained
    evaluate_model(found, "stage1")
    result = transfer(found, "later", "prompt")
    assert (
        result["tasks"]["attributes_later"]["metrics"]["mean_accuracy"] >= 0
        and result["forgotten"]["tensors_changed"] == 0
    )


def test_the_model_folder_answers_without_params_or_data(trained):
    model = load_model(Path("models/stage1"))
    (face,) = faceptor.predict(model, np.full((48, 40, 3), 127, np.uint8), boxes=[(5, 5, 35, 40)])
    answers = json.loads(json.dumps(face.to_json()))["tasks"]
    assert answers["landmarks_mine"]["labels"] == list(POINTS)
    assert answers["landmarks_mine"]["scheme"] == "Three friends"
    assert set(answers["expression_mine"]["probabilities"]) == {"calm", "cheerful", "cross"}
    trust = answers["rating_mine"]["trust"]
    assert 1 <= trust["value"] <= 7 and (trust["range"], trust["unit"]) == ([1.0, 7.0], "points")
    assert -1 <= answers["rating_mine"]["valence"]["value"] <= 1


def test_overlays_draw_own_points(trained):
    from faceptor.predict.overlay import draw_pages

    rgb = np.full((48, 40, 3), 127, np.uint8)
    faces = faceptor.predict(load_model(Path("models/stage1")), rgb, boxes=[(5, 5, 35, 40)])
    assert next(draw_pages(rgb, faces)).size[0] > 0
