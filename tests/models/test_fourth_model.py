"""A model from elsewhere joins with one class and one builder line; training and evaluation are the shared ones."""

from typing import Literal

import pytest
import torch
from torch import nn

from faceptor.config.sections import Section
from faceptor.evaluation.measure import measure
from faceptor.models import build
from faceptor.models.base import FaceModel
from faceptor.tasks import KINDS, TASKS, task
from faceptor.training.loop import Run, train
from faceptor.training.record import stage_facts
from tests import toy


class PixelsConfig(Section):
    name: Literal["pixels"] = "pixels"


class Pixels(FaceModel):
    """One linear map per task on 8 x 8 pixels."""

    def __init__(self, *, inputs, tasks):
        super().__init__(inputs=inputs, stride=8)
        self.linear = nn.ModuleDict()
        for spec in tasks:
            self.register_task(spec)
            outputs = {"map": spec.queries * 64, "value": spec.queries, "vector": 512}[self.head[spec.name]]
            self.linear[spec.name] = nn.Linear(3 * 64, outputs)

    def forward_rows(self, images, rows):
        pixels = nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)
        raw = {name: self.linear[name](pixels[own]) for name, own in rows.items()}
        return {n: r.unflatten(1, (-1, 8, 8)) if self.head[n] == "map" else r for n, r in raw.items()}


def build_pixels(config, tasks):
    return Pixels(inputs=build.input_groups(toy.MODEL.inputs), tasks=tasks)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setitem(build.MODELS, "pixels", build_pixels)  # the builder line
    return build.build_model(PixelsConfig(), [task(name) for name in toy.TASKS])


def test_it_trains_and_is_measured_as_the_others_are(model, tmp_path):
    criteria = nn.ModuleDict({name: KINDS[task(name).kind].criterion(task(name)) for name in toy.TASKS})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adamw = toy.OPTIMISER.model_copy(update={"muon": ()})  # the toy's Muon names parts of an encoder
    stage = toy.stage(4, optimiser=adamw)
    run = Run(tmp_path, stage_facts(stage, toy.sampling(), section="stage1"), seed=7, device=torch.device("cpu"))
    train(
        model, criteria, toy.steps(4), stage=stage, weights=toy.weights(), trainable=("*",), run=run,
        validate=toy.score,
    )  # fmt: skip
    assert not any(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    stream = toy.steps(1).streams["age_morph2"]
    result = measure(model, TASKS["age_morph2"], toy.FakeSplit(5), stream.crop, batch=4)
    assert result.samples == 12 and 0 < result.metrics["mae"] < 101
