"""The examples of docs/extending.md do what the page says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from faceptor.config import parse, preset_text
from faceptor.datasets import READERS
from faceptor.models.build import input_groups
from faceptor.pipeline.experiment import resolve
from faceptor.prepared.prepare import prepare
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.age import AgePrediction
from tests import toy
from tests.datasets import published as pub
from tests.test_data_readme import merged

TEXT = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()
YAML = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.fixture(scope="module")
def page():
    """What the examples define, by name."""
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    return names


def test_a_data_set_is_prepared(page, tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "smiles", page["Smiles"])
    rows = ["a.jpg train 30", "b.jpg train 31.5", "c.jpg test 32", "d.png train 33"]
    pub.put(tmp_path / "smiles/labels.txt", "\n".join(rows) + "\n")
    for name in "abc":
        pub.put(tmp_path / f"smiles/{name}.jpg", pub.jpg())
    card = prepare("smiles", tmp_path / "smiles", tmp_path / "out", validation=0.0, seed=1, max_rejects=0.5)
    assert card["counts"] == {"train": 2, "test": 1} and card["rejects"]["count"] == 1


def test_the_blocks_for_params_yaml_are_configurations(page, monkeypatch):
    monkeypatch.setitem(READERS, "smiles", page["Smiles"])
    monkeypatch.setitem(TASKS, "age_smiles", page["row"])
    joint, transfer = (resolve(parse(merged(yaml.safe_load(preset_text("embedded")), block))) for block in YAML)
    assert joint.settings("age_smiles").samples == 8 and joint.spec("age_smiles") == page["row"]
    assert "age_smiles" in transfer.params.transfer.tasks and "smiles" in transfer.params.transfer.matrix.dataset


def test_a_column_checks_what_is_stored(page):
    smile = page["smile"]
    smile.check(None, 0.5, 60, 50)
    with pytest.raises(page["BadSample"], match="from 0 to 1"):
        smile.check(None, 1.5, 60, 50)


def test_a_kind_has_a_loss_and_an_answer(page, monkeypatch):
    monkeypatch.setitem(KINDS, "glasses", page["Glasses"]())
    spec = TaskSpec("glasses_mine", "glasses", "mine", ("none", "clear", "dark"))
    kind = KINDS["glasses"]
    target = {name: torch.tensor(label[None]) for name, label in kind.target(spec, {"glasses": 2}, None).items()}
    right, wrong = (kind.criterion(spec)(torch.tensor([raw]), target)["loss"] for raw in ([0.0, 0, 9], [9.0, 0, 0]))
    assert right < wrong
    assert kind.describe(spec, kind.decode(spec, torch.tensor([0.0, 0, 9]), None)) == ["dark 100 %"]


def test_a_metric_comes_with_its_interval(page):
    metric = page["StrictAgeMetric"](TASKS["age_morph2"])
    for off in (0, 0.5, 2, 30):
        metric.update(AgePrediction(40.0, np.full(101, 1 / 101)), {"age": 40.0 + off})
    low, high = metric.intervals(seed=0)["cs1"]
    assert metric.compute()["cs1"] == 50 and low < 50 < high


def test_a_model_answers_every_head(page):
    model = page["Pixels"](inputs=input_groups(toy.MODEL.inputs), tasks=[TASKS[name] for name in toy.TASKS])
    raw = model(torch.rand(2, 3, 32, 32))
    shapes = {spec.kind: tuple(raw[name].shape[1:]) for name, spec in model.tasks.items()}
    ends = {"map": (8, 8), "value": (), "vector": ()}
    assert shapes == {s.kind: (s.queries or 512, *ends[model.head[name]]) for name, s in model.tasks.items()}
