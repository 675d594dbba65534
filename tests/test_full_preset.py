"""Faceptor-Full, thirteen data sets, end to end on a few generated faces each and a toy model."""

import json
import math
from pathlib import Path

import pytest
import yaml

from faceptor.config import parse, preset_path
from faceptor.models.folder import load_model
from faceptor.sections import unspelled
from faceptor.stages import training
from faceptor.stages.data import preprocess_set, synthesize_set
from faceptor.stages.evaluation import evaluate_model
from faceptor.stages.every import SMALL
from tests import toy


def full_at_toy_size() -> dict:
    """The preset with its feeds, weights, crops and protocols; only sizes, steps and where the faces lie differ."""
    values = yaml.safe_load(preset_path("full").read_text())
    values["datasets"] = {name: block | {"path": name} for name, block in values["datasets"].items()}
    joint = [name for name, block in values["datasets"].items() if block["role"] == "joint"]
    values["synthesis"] = {name: SMALL[unspelled(name)] for name in joint}
    values["datasets"]["ms1mv3"]["validation"] = 0.4
    values["data"] |= {"root": "data/generated", "validation": 0.2, "max_rejects": 0.01, "workers": 0}
    values["model"] = toy.MODEL.model_dump(mode="json") | {"init": "scratch"}
    for feed in values["stage1"]["tasks"].values():
        feed["samples"] = 2
    values["stage1"] |= {"steps": 3, "validate_every": 3, "validate_samples": None, "log_every": 1}
    values["stage1"]["optimiser"]["warmup"] = 1
    return values


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_thirteen_data_sets_are_drawn_read_trained_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parse(full_at_toy_size())
    assert len(params.synthesis) == len(params.stage1.tasks) == 13
    for name in params.synthesis:
        synthesize_set(params, name, workers=1)
        preprocess_set(params, name)
    training.train_joint(params)
    assert set(load_model("models/stage1").tasks) == set(params.stage1.tasks)
    losses = json.loads(Path("results/train/stage1/metrics.json").read_text())["loss"]
    assert set(params.stage1.tasks) < set(losses) and all(map(math.isfinite, losses.values()))
    evaluate_model(params, "stage1")
    written = json.loads(Path("results/evaluate/details/stage1.json").read_text())
    assert set(params.stage1.tasks) == set(written["tasks"]) and not written["failed"]
