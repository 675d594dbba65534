"""What is new has one home: a toy of each, in its own file, is known everywhere once its line is there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import yaml
from PIL import ImageColor
from torch import nn

import faceptor
from faceptor.analysis import budget
from faceptor.config import model as sections
from faceptor.config import parse
from faceptor.config.sections import Section
from faceptor.errors import ConfigError, WeightsError
from faceptor.evaluation.measure import measure
from faceptor.models import build
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.pipeline.experiment import resolve
from faceptor.predict.overlay import draw_pages
from faceptor.predict.panels import COLOURS
from faceptor.predict.predictor import predict
from faceptor.tasks import KINDS, TASKS, task
from faceptor.tasks.base import Options
from faceptor.training.batches import ImageCache, Steps, TaskStream, ready
from faceptor.training.loop import Run, train
from faceptor.training.record import stage_facts
from faceptor.transforms.augment import make_policy
from faceptor.transforms.crop import CropSpec
from faceptor.weights.folder import load_model, save_model
from faceptor.weights.initialise import initialise
from tests import toy, toy_dataset
from tests.datasets import published as pub
from tests.datasets.test_generic_reader import own
from tests.tasks.test_custom_tasks import embedded
from tests.toy_kind import PINK, Youth

CROP = CropSpec(kind="box", size=32, scale=0.8)


# --- a kind of task and its metric -----------------------------------------------------------------------------------


@pytest.fixture
def kind(monkeypatch):
    monkeypatch.setitem(KINDS, "youth", Youth())  # its line in the table of kinds
    return KINDS["youth"]


@pytest.fixture
def params(kind, tmp_path):
    """params.yaml with a user's own data set, and the task that it makes."""
    own(tmp_path / "mine")
    block = {"reader": "generic", "path": "mine", "role": "joint", "options": {"description": "mine.yaml"}}
    values = embedded(mine=block)
    values["data"]["root"] = str(tmp_path)
    values["stage1"]["tasks"]["youth_mine"] = {
        "samples": 3, "train": {"kind": "box"}, "criterion": {"loss": "logistic", "weight": 2.0}
    }  # fmt: skip
    return values


@pytest.fixture
def spec(params):
    return resolve(parse(params)).spec("youth_mine")


@pytest.fixture
def model(spec):
    torch.manual_seed(0)
    return build_model(toy.MODEL, [spec])


def test_a_kind_is_known_to_params_yaml(params, spec):
    assert (spec.name, spec.labels) == ("youth_mine", ("young",))
    wrong = yaml.safe_load(yaml.safe_dump(params))
    wrong["stage1"]["tasks"]["youth_mine"]["criterion"] = {"wieght": 2.0}
    with pytest.raises(ConfigError, match=r"youth_mine\.criterion\.wieght: .*did you mean 'weight'"):
        resolve(parse(wrong))


def test_a_kind_says_what_its_options_may_be_before_a_training_and_on_loading(
    kind, params, model, monkeypatch, tmp_path
):
    folder = save_model(model, tmp_path / "model")
    assert load_model(folder).tasks == model.tasks
    monkeypatch.setattr(Youth, "options", Options)
    with pytest.raises(ConfigError, match="youth_mine: options: until: unknown key"):
        resolve(parse(params))
    with pytest.raises(WeightsError, match="until: unknown key"):
        load_model(folder)


def test_a_kind_is_trained(kind, spec, model):
    stream = TaskStream(
        spec=spec, split=toy.FakeSplit(0), crop=CROP, policy=make_policy("flip"), samples=6, seed=7,
        cache=ImageCache(2**20),
    )  # fmt: skip
    batch = ready(Steps({spec.name: stream}, steps=1)[0])[spec.name]
    plain, weighted = kind.criterion(spec), kind.criterion(spec, loss="logistic", weight=2.0)
    raw = model(batch["image"], tasks=[spec.name])[spec.name]
    loss = weighted(raw, batch)["loss"]
    assert loss.item() == pytest.approx(2 * plain(raw, batch)["loss"].item())
    loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "queries" in name)


def test_a_kind_and_its_metric_are_measured_with_intervals(kind, spec, model):
    baseline = kind.constant_baseline(spec, toy.FakeSplit(1))
    found = measure(model, spec, toy.FakeSplit(5), CROP, batch=4, baseline=baseline)
    assert set(found.metrics) == {"right", "brier", "constant_right"} and found.headline == "right"
    intervals = found.intervals(seed=0)
    assert set(intervals) == {"right", "brier", "constant_right", "skill"}
    assert intervals["brier"].low <= found.metrics["brier"] <= intervals["brier"].high
    assert np.isfinite(intervals["brier"]).all()


@pytest.mark.parametrize("drawn", [True, False])
def test_a_kind_is_predicted_drawn_and_told(kind, spec, model, monkeypatch, drawn):
    monkeypatch.setattr(Youth, "drawn", drawn)
    photo = np.full((120, 140, 3), 90, np.uint8)
    (face,) = predict(model, photo, boxes=[(40, 30, 90, 80)])
    assert json.loads(json.dumps(face.to_json()))["tasks"]["youth_mine"]["young"] == pytest.approx(0.5, abs=0.5)
    picture = np.asarray(next(draw_pages(photo, [face])))
    pink, bar = ((picture == colour).all(-1).any() for colour in (PINK, ImageColor.getrgb(COLOURS["unsure"])))
    assert (pink, bar) == (drawn, not drawn)


# --- a model: its file (here, to the next line), its section of params.yaml, its line in the builder ------------------


class InitialisationConfig(Section):
    bias: float = 0.5


class PixelsConfig(Section):
    name: Literal["pixels"] = "pixels"
    side: int = 8
    initialisation: InitialisationConfig = InitialisationConfig()


class Pixels(FaceModel):
    """One linear map per task on side x side pixels."""

    def __init__(self, *, side, inputs, tasks):
        super().__init__(inputs=inputs, stride=8)
        self.side = side
        self.linear = nn.ModuleDict()
        for spec in tasks:
            self.register_task(spec)
            outputs = {"map": spec.queries * side**2, "value": spec.queries, "vector": 512}[self.head[spec.name]]
            self.linear[spec.name] = nn.Linear(3 * side**2, outputs)

    def forward_rows(self, images, rows):
        pixels = nn.functional.adaptive_avg_pool2d(images, self.side).flatten(1)
        raw = {name: self.linear[name](pixels[own]) for name, own in rows.items()}
        maps = {name: values for name, values in raw.items() if self.head[name] == "map"}
        return raw | {name: values.unflatten(1, (-1, self.side, self.side)) for name, values in maps.items()}

    @torch.no_grad()
    def initialise(self, *, bias):
        for linear in self.linear.values():
            linear.bias.fill_(bias)


def build_pixels(config, tasks):
    return Pixels(side=config.side, inputs=build.input_groups(toy.MODEL.inputs), tasks=tasks)


@pytest.fixture
def pixels(monkeypatch):
    monkeypatch.setitem(sections.MODELS, "pixels", PixelsConfig)
    monkeypatch.setitem(build.MODELS, "pixels", build_pixels)
    return build.build_model(PixelsConfig(), [task(name) for name in toy.TASKS])


def test_a_model_is_initialised_trained_measured_saved_and_counted(pixels, tmp_path):
    initialise(pixels, PixelsConfig())
    assert all((linear.bias == 0.5).all() for linear in pixels.linear.values())

    criteria = nn.ModuleDict({name: KINDS[task(name).kind].criterion(task(name)) for name in toy.TASKS})
    before = {name: value.clone() for name, value in pixels.state_dict().items()}
    adamw = toy.OPTIMISER.model_copy(update={"muon": ()})  # the toy's Muon names parts of an encoder
    stage = toy.stage(4, optimiser=adamw)
    record = stage_facts(stage, toy.sampling(), section="stage1")
    train(
        pixels, criteria, toy.steps(4), stage=stage, weights=toy.weights(), trainable=("*",),
        run=Run(tmp_path / "run", record, seed=7, device=torch.device("cpu")), validate=toy.score,
    )  # fmt: skip
    trained = pixels.state_dict()
    assert not any(torch.equal(value, before[name]) for name, value in trained.items())

    stream = toy.steps(1).streams["age_morph2"]
    result = measure(pixels, TASKS["age_morph2"], toy.FakeSplit(5), stream.crop, batch=4)
    assert result.samples == 12 and 0 < result.metrics["mae"] < 101

    loaded = load_model(save_model(pixels, tmp_path / "model"))
    assert isinstance(loaded, Pixels) and loaded.tasks == pixels.tasks
    assert all(torch.equal(value, trained[name]) for name, value in loaded.state_dict().items())

    parts = budget.parts(loaded)
    assert parts.keys() == {"linear"} and parts["linear"].keys() == set(toy.TASKS)
    assert sum(parts["linear"].values()) == sum(value.numel() for value in trained.values())


# --- a data set and a label column ------------------------------------------------------------------------------------

ROW = """
    Column(
        name="freckles",
        holds="how many",
        dtype=np.int16,
        check=lambda reader, value, height, width: _check_freckles(value),
        statistic=Statistic(
            lambda values: tallies.Tally(sums=np.array([values.sum(), len(values)], np.float64)),
            lambda tally, names: {"mean": tally.sums[0] / tally.sums[1]},
        ),
        own=Own(own_columns.Cell, lambda reader, row, labels: int(row[reader.description.freckles])),
    ),
)


def _check_freckles(value):
    if value > 999:
        raise BadSample("too many freckles")


COLUMNS:"""


@pytest.fixture(scope="module")
def with_a_row_more(tmp_path_factory):
    """What two data sets become in a copy of the package with a row in the table of columns and a reader of its own."""
    home = tmp_path_factory.mktemp("one_home")
    package = Path(faceptor.__file__).parent
    shutil.copytree(package, home / "faceptor", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(toy_dataset.__file__, home / "faceptor/datasets/readers/spots.py")
    for file, old, new in (
        ("columns.py", "\n)\nCOLUMNS:", ROW),
        ("__init__.py", "\n\nREADERS:", "\nfrom faceptor.datasets.readers.spots import Spots\n\nREADERS:"),
        ("__init__.py", "W300VW),", "W300VW, Spots),"),
    ):
        path = home / "faceptor/datasets" / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
    rows = [("a.jpg", "train", 3), ("b.jpg", "train", 0), ("c.jpg", "train", 12), ("d.jpg", "train", 2000)]
    for name in ("spots", "mine"):
        for file, *_ in rows:
            pub.put(home / f"{name}/{file}", pub.jpg())
    pub.put(home / "spots/list.txt", "".join(f"{file} {part} {count}\n" for file, part, count in rows))
    pub.put(home / "mine/labels.csv", "file,part,spots\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    script = Path(__file__).with_name("toy_column_run.py")
    result = subprocess.run(
        [sys.executable, script, home], env=os.environ | {"PYTHONPATH": str(home)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("source", ["published", "own"])
def test_a_data_set_is_its_file_and_a_label_column_its_row(with_a_row_more, source):
    found = with_a_row_more[source]
    assert found["stored"] == ["int16", [3, 0, 12]] and found["sample"] == 0
    assert found["card"] == {"freckles": {"mean": 5.0}} and found["reasons"] == {"too many freckles": 1}
    assert found["batch"] == [0, 1, 1]
