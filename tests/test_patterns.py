"""Patterns over parameter names: each names something, in every preset, before anything is trained."""

import pytest
import yaml
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.config import parse, preset_names, preset_text
from faceptor.errors import ConfigError
from faceptor.pipeline.experiment import preset, resolve
from faceptor.pipeline.patterns import check_joint, check_patterns, check_stage2, check_transfer


@pytest.mark.parametrize("name", preset_names())
def test_every_pattern_of_every_preset_names_something(name):
    check_patterns(preset(name))


def embedded(path: str, value):
    tree = yaml.safe_load(preset_text("embedded"))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    node = tree
    for key in parents:
        node = node[key]
    node[last] = value
    return resolve(parse(tree))


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        ("stage1.optimiser.multipliers.0.match", "querys.*", lambda found: check_joint(found, "stage1")),
        ("stage1.optimiser.multipliers.1.match", "queries.age*", lambda found: check_joint(found, "stage1")),
        ("stage1.optimiser.muon.0.match", "encoder.block.*", lambda found: check_joint(found, "stage1")),
        ("stage1.trainable.0", "encodr.*", lambda found: check_joint(found, "stage1")),
        ("baselines.naive.train.optimiser.multipliers.0.match", "head.*", lambda found: check_joint(found, "naive")),
        ("stage2.trainable.0", "layer_attention.{task}.x*", lambda found: check_stage2(found, ["age_morph2"])),
        ("transfer.modes.prompt.trainable.0", "query.*", lambda found: check_transfer(found, ["parsing_lapa"])),
        ("transfer.optimiser.muon.0.match", "encoder.x*", lambda found: check_transfer(found, ["parsing_lapa"])),
    ],
)  # fmt: skip
def test_a_pattern_that_names_nothing_is_told_by_its_key(path, value, check):
    found = embedded(path, value)
    with pytest.raises(ConfigError, match=path):
        check(found)


def test_a_parameter_without_a_rate_is_told():
    found = embedded("stage1.optimiser.multipliers", [{"match": "encoder.*", "rate": 1.0}])
    with pytest.raises(ConfigError, match=r"stage1\.optimiser\.multipliers: no pattern matches"):
        check_joint(found, "stage1")


@pytest.mark.parametrize("verb", [("params", "check"), ("train", "stage1"), ("repro",)], ids=" ".join)
def test_verbs_tell_it_before_they_begin(verb, tmp_path, monkeypatch):
    text = preset_text("embedded")
    assert "match: queries.*" in text
    (tmp_path / "params.yaml").write_text(text.replace("match: queries.*", "match: querys.*", 1))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, verb)
    assert result.exit_code and "stage1.optimiser.multipliers.0.match" in str(result.output) + str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
