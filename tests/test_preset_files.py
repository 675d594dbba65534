"""Presets by `extends`: what is merged, replaced, dropped; and that `params use` writes complete files."""

import pytest
import yaml
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.config import load_params, load_preset, preset_files, preset_names, preset_path, preset_text
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError

WHOLE = """# The whole.
seed: 1 # of training

# What is trained.
stage1:
  tasks: # samples and weight
    age: {samples: 4, train: {kind: box, scale: 0.8}, test: {kind: whole}}
    pose:
      samples: 8
      # cut so
      train: {kind: whole, antialias: true}
      augment:
        policy: flip
        options: {shift: 0.1, zoom: 0.2}
    race: {samples: 2}
  select: [age, pose]
  steps: 100 # an epoch
  clip: 5.0
"""
PART = """# Other words.
extends: whole
departures:
- {topic: time, keys: [stage1.steps], why: minutes}

stage1:
  tasks:
    without: [race]
    pose: {train: {kind: arcface}}
    gender: {samples: 3}
    age:
      without: [test]
      samples: 5
  select: [pose]
  steps: 10
  clip:
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(preset_files, "PRESETS", tmp_path)
    preset_files.preset_text.cache_clear()
    (tmp_path / "whole.yaml").write_text(WHOLE)
    (tmp_path / "part.yaml").write_text(PART)
    yield tmp_path
    preset_files.preset_text.cache_clear()


def test_a_section_is_merged_a_statement_replaced_and_order_kept(folder):
    stage = preset_files.preset_values("part")["stage1"]
    assert list(stage["tasks"]) == ["age", "pose", "gender"]
    assert stage["tasks"]["age"] == {"samples": 5, "train": {"kind": "box", "scale": 0.8}}
    assert stage["tasks"]["pose"]["train"] == {"kind": "arcface"}  # a crop is one statement
    assert stage["tasks"]["pose"]["augment"]["options"] == {"shift": 0.1, "zoom": 0.2}
    assert stage["select"] == ["pose"] and stage["clip"] is None  # null is a value


def test_comments_stay_with_what_they_are_about(folder):
    text = preset_text("part")
    assert text.startswith("# Other words.\nseed: 1 # of training\n\n# What is trained.\nstage1:\n")
    assert "      # cut so\n      train: {kind: arcface}\n" in text
    assert "  steps: 10\n" in text  # another number is no epoch
    assert "samples and weight" not in text  # said of a list of tasks from which some are gone
    assert preset_text("whole") == WHOLE.replace(" [age, pose]", "\n  - age\n  - pose")  # DVC's form of a list


def test_dropping_what_is_not_there_is_refused(folder):
    (folder / "part.yaml").write_text("extends: whole\nstage1: {tasks: {without: [raec]}}\n")
    with pytest.raises(ConfigError, match=r"part.yaml: stage1.tasks.without: 'raec' .* of age, pose, race"):
        preset_text("part")
    (folder / "part.yaml").write_text("extends: hwole\n")
    with pytest.raises(ConfigError, match="'hwole': unknown, expected one of part, whole"):
        preset_text("part")


@pytest.mark.parametrize("preset", preset_names())
def test_use_writes_the_whole_file(preset, tmp_path):
    file = tmp_path / "params.yaml"
    assert CliRunner().invoke(app, ["params", "use", preset, "--params", str(file)]).exit_code == 0
    values = yaml.safe_load(file.read_text())
    assert values.keys() == yaml.safe_load(preset_path("base").read_text()).keys()
    assert read_yaml(file) == preset_files.preset_values(preset)
    assert load_params(file) == load_preset(preset)
    header = file.read_text().split("seed:")[0]
    assert header.startswith("# ") and preset_path(preset).read_text().startswith(header)
