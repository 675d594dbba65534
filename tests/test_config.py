"""params.yaml and the presets: what is accepted, what is refused and in which words; Table 2 to the letter."""

from pathlib import Path

import pytest
import yaml

from faceptor.config import load_params, load_preset, parse, preset_names, preset_path, rates
from faceptor.errors import ConfigError

ROOT = Path(__file__).parents[1]
TABLE_2 = {  # task: (n_t, alpha_t) of Faceptor-Base, of Faceptor-Full
    "landmarks_300w": ((4, 1000.0), (4, 250.0)),
    "landmarks_wflw": (None, (4, 250.0)),
    "landmarks_cofw": (None, (4, 250.0)),
    "landmarks_aflw19": (None, (4, 250.0)),
    "parsing_celebamaskhq": ((4, 100.0), (4, 100.0)),
    "parsing_lapa": (None, (4, 100.0)),
    "age_morph2": ((64, 6.0), (64, 4.0)),
    "age_utkface": (None, (16, 1.0)),
    "expression_affectnet": ((64, 4.0), (64, 6.66)),
    "expression_rafdb": ((16, 1.0), (16, 1.67)),
    "expression_ferplus": (None, (16, 1.67)),
    "attributes_celeba": ((64, 2.0), (64, 2.0)),
    "recognition_ms1mv3": ((256, 5.0), (256, 5.0)),
}


def values() -> dict:
    return yaml.safe_load(preset_path("embedded").read_text())


def changed(path: str, value) -> dict:
    tree = values()
    node = tree
    *parents, last = path.split(".")
    for key in parents:
        node = node[key]
    node[last] = value
    return tree


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name):
    assert load_preset(name)


def test_committed_parameters_are_the_embedded_preset():
    assert (ROOT / "params.yaml").read_text() == preset_path("embedded").read_text()


@pytest.mark.parametrize(("preset", "column"), [("base", 0), ("full", 1)])
def test_presets_are_table_2(preset, column):
    expected = {name: row[column] for name, row in TABLE_2.items() if row[column]}
    tasks = load_preset(preset).stage1.tasks
    assert {name: (feed.samples, feed.weight) for name, feed in tasks.items()} == expected


@pytest.mark.parametrize("preset", ["base", "full"])
def test_presets_train_as_the_paper_says(preset):
    params = load_preset(preset)
    for stage, steps in ((params.stage1, 50000), (params.stage2, 20000)):
        optimiser = stage.optimiser
        assert stage.steps == steps
        assert (optimiser.lr, optimiser.weight_decay, optimiser.warmup, optimiser.clip) == (5e-5, 0.05, 2000, 5.0)
        assert optimiser.multipliers == rates({"encoder.*": 1.0, "*": 10.0})
    assert params.stage2.trainable == ("layer_attention.{task}.*",)
    recognition = params.stage1.tasks["recognition_ms1mv3"]
    assert recognition.criterion == {"margin": 0.4, "scale": 64.0}
    assert (params.model.inputs.dense.size, params.model.inputs.face.size) == (512, 112)
    assert {name: feed.augment.policy for name, feed in params.stage1.tasks.items()}.items() >= {
        "landmarks_300w": "landmarks",
        "parsing_celebamaskhq": "parsing",
        "age_morph2": "attributes",
        "recognition_ms1mv3": "flip",
    }.items()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("stage1.stepz", 10, r"stage1.stepz: unknown key; did you mean 'steps'\?"),
        ("model.encoder.widht", 10, r"model.encoder.widht: unknown key; did you mean 'width'\?"),
        ("stage1.tasks.age_morph2.sample", 1, r"stage1.tasks.age_morph2.sample: unknown key; did you mean 'samples'\?"),
        ("stage1.steps", "many", "stage1.steps: .*integer.*found 'many'"),
        ("stage1.steps", 0, "stage1.steps: .*greater than or equal to 1, found 0"),
        ("stage1.steps", 20, r"stage1: optimiser.warmup \d+ must be below steps 20"),
        ("model.encoder.heads", 5, "model.encoder: width 96 is not a multiple of heads 5"),
        ("model.encoder.layers", [1, 2, 4, 3, 5, 6], "model.encoder: layers .* must ascend and end at depth 6"),
        ("stage2.merged", [], r"stage2.merged: expected \[stage2\]"),
        ("model.inputs.face.size", 81, "inputs.face.size 81 is not a multiple of the patch 16"),
        ("model.inputs.face.std", [0.5, 0.0, 0.5], "model.inputs.face.std.1: .*greater than 0, found 0.0"),
        ("data.validation", 1.5, "data.validation: .*less than 1, found 1.5"),
        ("data.validation", float("nan"), "data.validation: .*finite.*found nan"),
        ("evaluate.batch", "64", "evaluate.batch: .*integer"),
        ("stage1.tasks.age_morf2", {"samples": 1, "train": {"kind": "whole"}}, "'age_morf2' is unknown; expected"),
        ("transfer.matrix.mode", ["promt"], "transfer.matrix.mode: promt not in transfer.modes"),
        ("datasets.lapa.role", "joint", "transfer.tasks.parsing_lapa: datasets.lapa.role must be 'transfer'"),
        ("datasets.celeba.path", "elsewhere", "datasets.celeba.path: a generated set is written to 'celeba'"),
    ],
)
def test_errors_name_the_key(path, value, words):
    with pytest.raises(ConfigError, match=words):
        parse(changed(path, value))


def test_numbers_without_a_dot_are_numbers():
    assert parse(changed("stage1.optimiser.lr", "5e-5")).stage1.optimiser.lr == 5e-5


def test_every_error_is_listed_at_once():
    tree = changed("stage1.steps", "many")
    tree["seed"] = -1
    with pytest.raises(ConfigError, match=r"seed: .*stage1.steps: "):
        parse(tree)


def test_missing_section_and_missing_file(tmp_path):
    tree = values()
    del tree["model"]
    with pytest.raises(ConfigError, match=r"params\.yaml: model: missing"):
        parse(tree)
    with pytest.raises(ConfigError, match="not found; run from the repository root"):
        load_params(tmp_path / "params.yaml")


def test_broken_yaml_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text("a: [1,\nb: 2")
    with pytest.raises(ConfigError, match=r"params.yaml: not valid YAML: [^\n]*line 2"):
        load_params(tmp_path / "params.yaml")
