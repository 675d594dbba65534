"""params.yaml and the presets: what is accepted, what is refused and in which words; Table 2 to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from faceptor.config import load_params, load_preset, parse, preset_names, preset_text, rates
from faceptor.errors import ConfigError
from faceptor.pipeline.experiment import resolve

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
    return yaml.safe_load(preset_text("embedded"))


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
    assert (ROOT / "params.yaml").read_text() == preset_text("embedded")


@pytest.mark.parametrize(("preset", "column"), [("base", 0), ("full", 1)])
def test_presets_are_table_2(preset, column):
    expected = {name: row[column] for name, row in TABLE_2.items() if row[column]}
    tasks = load_preset(preset).stage1.tasks
    assert {name: (settings.samples, settings.weight) for name, settings in tasks.items()} == expected


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
    assert {name: settings.augment.policy for name, settings in params.stage1.tasks.items()}.items() >= {
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
        ("model.inputs.face.std", [0.5, 0.0, 0.5], "model.inputs.face.std.1: .*found 0.0"),
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
        resolve(parse(changed(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("stage1.optimiser.lr", "5e-5"), ("stage1.optimiser.lr", True), ("stage1.steps", 800.0), ("stage1.steps", True),
        ("stage1.steps", 2**40), ("seed", 2**64), ("seed", True), ("data.seed", -1), ("data.workers", "4"),
        ("synthesis.lapa.test", "100"), ("model.skips", "yes"), ("model.encoder.class_token", 1),
        ("stage1.tasks.age_morph2.train.antialias", "on"), ("model.encoder.width", 2**20),
        ("model.encoder.grid", 10**6),
        ("baselines.facexformer.model.backbone.options.stem_width", 10**9),
    ],
)  # fmt: skip
def test_values_are_of_their_type_and_size(path, value):
    with pytest.raises(ConfigError, match=path.replace(".options.stem_width", ".options")):
        parse(changed(path, value))


WRITTEN = preset_text("embedded")
STEPS = re.search(r"^  steps: \d+\n", WRITTEN, re.MULTILINE).group()  # the first one: stage1's


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        (STEPS, STEPS + "  precision: float32\n", r"line \d+: .*precision.*first in line \d+"),
        (STEPS, STEPS.replace(": ", ": 0"), r"line \d+: .*0\d+.*[1-9]\d+"),
        (STEPS, "  steps: 1:30\n", r"stage1\.steps: .*'1:30'"),
        (STEPS, f"  steps: {'9' * 50}\n", r"line \d+"),
        (STEPS, STEPS.replace(": ", ": &n "), r"line \d+: anchor &n"),
        (STEPS, "  steps: *n\n", r"line \d+: alias \*n"),
        (STEPS, "  <<: {steps: 60}\n", r"line \d+: merge key"),
        (STEPS, STEPS.replace(": ", ": !!int "), r"line \d+: tag"),
        ("  skips: true", "  skips: yes", r"model\.skips: .*boolean"),
        ("  _300w: {train", "  300w: {train", r"synthesis\.300w: .*write synthesis\._300w"),
    ],
)
def test_what_could_be_taken_as_something_else_is_refused(tmp_path, line, instead, words):
    assert line in WRITTEN
    (tmp_path / "params.yaml").write_text(WRITTEN.replace(line, instead, 1))
    with pytest.raises(ConfigError, match=rf"^[^\n]*params\.yaml: {words}[^\n]*$"):
        load_params(tmp_path / "params.yaml")


def test_a_number_without_a_dot_is_a_number(tmp_path):
    (tmp_path / "params.yaml").write_text(WRITTEN.replace("    lr: 7.0e-4\n", "    lr: 7e-4\n"))
    assert load_params(tmp_path / "params.yaml") == load_preset("embedded")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WRITTEN.encode("utf-16"), "UTF-8, found UTF-16"), (WRITTEN.encode("utf-16-le"), "UTF-8"),
        ("seed: 1 # Größe".encode("latin-1"), "line 1: expected text in UTF-8, found .*Latin-1"),
        (b"[" * 50_000, "32 deep"), (b"- " * 50_000, "deep"), (b"{a: " * 50_000, "deep"), (b"a" * 2_000_000, "at most"),
        (b"a: \x01", "not valid YAML"), (b"--- 1\n--- 2\n", "line 2: .*second"), (b"? [a]\n: 1\n", "line 1"),
        (b"", "expected sections"), (b"%YAML 1.1\n---\na: 1\n", "line 1: directives"),
        (b"a: 0_1\n", "line 1: 0_1 is another number"),
    ],
    ids=range(13),
)  # fmt: skip
def test_files_that_are_no_parameters_are_told_in_one_line(tmp_path, content, words):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^[^\n]*params\.yaml: [^\n]*{words}[^\n]*$"):
        load_params(tmp_path / "params.yaml")


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "zero"):
        with pytest.raises(ConfigError, match=f"{path}: .*expected a file"):
            load_params(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbf" + WRITTEN.encode())
    assert load_params(tmp_path / "params.yaml") == load_preset("embedded")


def test_what_a_baseline_does_not_say_is_as_in_the_model_and_stage_1():
    tree = values()
    tree["model"]["encoder"] |= {"width": 60, "drop_path": 0.3}
    tree["stage1"] |= {"log_every": 7}
    tree["stage1"]["optimiser"] |= {"clip": 3.0}
    tree["stage1"]["tasks"]["age_morph2"] |= {"samples": 9, "train": {"kind": "square", "scale": 1.2}}
    tree["baselines"]["naive"]["train"]["optimiser"]["clip"] = "none"
    tree["baselines"]["naive"]["train"]["tasks"]["age_morph2"] |= {"weight": 2.5, "train": {"kind": "whole"}}
    params = parse(tree)
    naive, other = (params.variant(name) for name in ("naive", "facexformer"))
    assert naive.model.encoder == params.model.encoder and naive.model.inputs == params.model.inputs
    assert naive.stage1.log_every == other.stage1.log_every == 7
    assert naive.stage1.optimiser.clip is None and other.stage1.optimiser.clip == 3.0
    age = naive.stage1.tasks["age_morph2"]
    assert (age.samples, age.weight, age.train.kind, age.train.scale) == (9, 2.5, "whole", 1.0)
    assert age.augment == params.stage1.tasks["age_morph2"].augment
    assert set(naive.stage1.tasks) == set(params.stage1.tasks) != set(other.stage1.tasks)
    assert other.model.embedding == params.model.embedding and other.model.decoder.width == 128


def test_a_baseline_without_tasks_trains_those_of_stage_1():
    tree = values()
    del tree["baselines"]["naive"]["train"]["tasks"]
    params = parse(tree)
    assert params.baselines["naive"].train.tasks == params.stage1.tasks


def test_what_a_baseline_inherits_is_told_once_where_it_is_written():
    tree = changed("stage1.steps", "many")
    tree["baselines"]["naive"]["train"]["steps"] = None
    tree["model"]["encoder"]["heads"] = 5
    with pytest.raises(ConfigError) as caught:
        parse(tree)
    assert str(caught.value).count("steps") == str(caught.value).count("heads") == 1
    with pytest.raises(ConfigError, match=r"baselines\.naive\.train\.log_every: "):
        parse(changed("baselines.naive.train.log_every", 0))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("stage1.tasks.age_morph2.augment.options.rotatoin", 0.1, r"unknown key; did you mean 'rotation'"),
        ("stage1.tasks.age_morph2.augment.options.rotation", "far", "expected a number"),
        ("stage1.tasks.landmarks_300w.augment.options.occlusion", 1.5, "expected a number"),
        ("transfer.tasks.parsing_lapa.augment.options.zooom", 0.1, "unknown key"),
        ("baselines.facexformer.train.tasks.pose_300wlp.augment", {"policy": "flip", "options": {"x": 1}}, ""),
        ("stage1.tasks.landmarks_300w.augment", {"policy": "attributes"}, "RandAugment"),
        ("stage1.tasks.age_morph2.train.scale", 1e9, "less than or equal to 100"),
        ("transfer.tasks.parsing_lapa.train.kind", "align6", "box"),
        ("stage1.tasks.parsing_celebamaskhq.criterion.loss", "dice", "expected one of .*batch_dice_ce"),
        ("stage1.tasks.recognition_ms1mv3.criterion.margn", 0.3, "did you mean 'margin'"),
        ("stage1.tasks.recognition_ms1mv3.criterion.margin", "0.3", "expected a number"),
        ("stage1.tasks.recognition_ms1mv3.criterion.margin", True, "expected a number"),
        ("stage1.tasks.landmarks_300w.criterion.heatmap", -1, "expected a number"),
        ("transfer.tasks.attributes_lfw73.criterion", {"beta": 1.0}, "unknown key"),
        ("baselines.facexformer.train.tasks.age_morph2.criterion.loss", "dldi", "expected one of dldl"),
        ("transfer.tasks.parsing_lapo", {"samples": 1, "train": {"kind": "whole"}}, "unknown"),
        ("evaluate.test_sets.pose_300wpl", "aflw2000", "unknown"),
        ("datasets.morf2", {"path": "x", "role": "joint"}, "no such data set"),
        ("datasets.morph2.options.protocl", "x", "unknown option"),
        ("datasets.ms1mv3.verification", ["lfw", "cpf_fp"], "cpf_fp"),
        ("baselines.merge", {"model": {"name": "faceptor"}}, "another name"),
        ("baselines.2nd", {"model": {"name": "naive"}}, "_2nd"),
        ("transfer.modes.q\u00e9", {"trainable": ["*"], "lr": 1.0}, "another name"),
        ("transfer.start", "stage3", "stage1"),
        ("transfer.optimiser.lr", 1e-3, "no effect"),
        ("transfer.trainable", ["*"], "no effect"),
        ("transfer.modes.prompt.trainable", ["queries.{tsak}.*"], "{task}"),
        ("stage1.trainable", [], "at least 1"),
        ("stage1.optimiser.multipliers", {"*": 1.0}, "expected a list"),
        ("stage1.optimiser.muon", [{"match": "a", "rate": 1}, {"match": "a", "rate": 2}], "twice"),
        ("notebooks.crop_sensitivity.model", "stage3", "stage1"),
        ("notebooks.crop_sensitivity.shift", [0.1], "did you mean 'shifts'"),
        ("notebooks.layer_attention.faces", "many", "integer"),
        ("stage1.select", [["age_morph2"]], ".0: Input should be a valid string"),
        ("notebooks.crop_sensitivity.rotations", [10, 200], ".1: expected degrees, more than 0 and at most 180"),
        ("data.follow_links", "yes", ": Input should be a valid boolean"),
        ("data.follow_links", ["$NO_SUCH_VARIABLE/faces"], ".0: the environment has no variable"),
        ("notebooks.parameter_budget.max_tasks", 0, "greater"),
    ],
)
def test_a_mistake_is_told_at_its_key_when_the_file_is_read(path, value, words):
    with pytest.raises(ConfigError, match=rf"params\.yaml: {path}.*{words}"):
        resolve(parse(changed(path, value)))


def test_the_file_is_read_without_torch():
    code = "import sys; from faceptor.pipeline import experiment; experiment.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_generated_data_and_training_have_seeds_of_their_own():
    tree = changed("data.seed", 5)
    assert (parse(tree).data.seed, parse(tree).seed) == (5, 1)


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
    with pytest.raises(ConfigError, match=r"params.yaml: not valid YAML: [^\n]*line 1"):
        load_params(tmp_path / "params.yaml")
