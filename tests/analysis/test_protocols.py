"""`faceptor params diff`: the table of departures cannot state what a preset does not do."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from faceptor.analysis import protocols
from faceptor.cli import app
from faceptor.config import load_preset, parse, preset_names, preset_text
from faceptor.datasets import reader_class
from faceptor.tasks import task
from faceptor.transforms.augment import make_policy

PRESETS = preset_names()
PAPER_ROWS = [row for row in protocols.facts()["departures"] if "paper" in row]
KINDS = {"departs", "silent", "reading"}


def run(*arguments):
    result = CliRunner().invoke(app, ["params", "diff", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_preset_has_its_paper():
    assert set(protocols.facts()["presets"]) == set(PRESETS)
    for preset in PRESETS:
        assert len(protocols.printed(preset)) > 10 and len(protocols.departures(preset)) > 10


@pytest.mark.parametrize("preset", PRESETS)
def test_every_printed_value_is_held_or_stands_in_the_table_with_a_reason(preset):
    told = {key for row in protocols.departures(preset) for key in row.ours if "no reason" not in row.why}
    missing = set(protocols.not_as_printed(preset)) | set(protocols.copied_differences(preset))
    assert missing <= told


@pytest.mark.parametrize("preset", PRESETS)
def test_printed_keys_are_keys(preset):
    """A printed value whose key is misspelt would be told as a departure, with "-" for what the preset has."""
    told = {key: value for row in protocols.departures(preset) for key, value in row.ours.items()}
    absent = {key for key, value in told.items() if value == protocols.ABSENT}
    assert absent <= set(protocols.copied_differences(preset))


@pytest.mark.parametrize("preset", PRESETS)
def test_no_row_is_stale(preset):
    """Every pattern of the facts meets a key, every departure differs from what is printed, every row is complete."""
    values = protocols.flat(load_preset(preset))
    elsewhere = protocols.not_as_printed(preset) | protocols.copied_differences(preset)
    shown = {row.topic for row in protocols.departures(preset)}
    for entry in protocols.recorded(preset):
        assert entry["topic"] in shown and entry["kind"] in KINDS and entry["why"]
        assert ("keys" in entry) != ("ours" in entry)
        for pattern in entry.get("keys", ()):
            assert protocols.matching(pattern, {**values, **elsewhere}), (entry["topic"], pattern)
        if entry["kind"] == "departs" and "keys" in entry and "paper" not in entry:
            keys = [key for pattern in entry["keys"] for key in protocols.matching(pattern, {**values, **elsewhere})]
            assert set(keys) & set(elsewhere), entry["topic"]


def test_table_2_is_what_readers_and_presets_hold():
    otherwise = protocols.facts()["other_counts"]
    for name, (images, *_) in protocols.facts()["table_2"].items():
        assert reader_class(task(name).dataset).published["train"] == otherwise.get(name, images)
        assert name not in otherwise or f"{images:,}" in " ".join(row["paper"] for row in PAPER_ROWS)
    for preset, count in (("base", 7), ("full", 13)):
        assert len(load_preset(preset).stage1.tasks) == count
        assert not {key for key in protocols.not_as_printed(preset) if key.startswith("stage1.tasks.")}


def test_a_changed_number_is_told_with_what_the_paper_prints():
    values = yaml.safe_load(preset_text("base"))
    values["stage1"]["tasks"]["age_morph2"]["weight"] = 7.0
    values["stage1"]["steps"] = 60000
    changed = parse(values)
    told = {key: row for row in protocols.departures("base", changed) for key in row.ours}
    for key, value, printed in (("stage1.steps", 60000, "50000"), ("stage1.tasks.age_morph2.weight", 7.0, "6.0")):
        assert told[key].ours[key] == value and printed in told[key].paper
    assert set(protocols.differences(changed, load_preset("base"))) == {
        "stage1.steps",
        "stage1.tasks.age_morph2.weight",
    }
    assert protocols.nearest(changed) == "base"


def test_step_of_facexformer_is_the_printed_batch():
    stage = load_preset("facexformer").stage1
    assert sum(each.samples for each in stage.tasks.values()) == 8 * 48
    assert stage.steps == 12 * -(-5179510 // 48)
    assert [round(share * 12, 3) for share in stage.optimiser.milestones] == [6, 10]


def test_defaults_of_facexformers_policy_are_those_printed_for_age():
    printed = {"shift": 0.01, "zoom": 0.1, "flip": 0.5, "gray": 0.1, "blur": 0.1, "gamma": 0.1}
    numbers = make_policy("facexformer").to_dict()
    assert {key: numbers[key] for key in printed} == printed
    assert numbers["rotation"] == pytest.approx(18 / 57.29578, abs=1e-3)


def test_diff_of_a_file(tmp_path):
    steps = load_preset("embedded").stage1.steps
    text = preset_text("embedded").replace(f"steps: {steps}", f"steps: {steps + 1}")
    (tmp_path / "params.yaml").write_text(text)
    found = json.loads(run("--json", "--params", tmp_path / "params.yaml"))
    assert found["preset"] == "embedded"
    assert {"key": "stage1.steps", "params": steps + 1, "preset": steps} in found["differences"]
    told = run("embedded", "--params", tmp_path / "params.yaml")
    assert f"stage1.steps: {steps + 1} (preset embedded: {steps})" in told


def test_same_file_has_no_difference(tmp_path):
    (tmp_path / "params.yaml").write_text(preset_text("base"))
    assert json.loads(run("base", "--json", "--params", tmp_path / "params.yaml"))["differences"] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_paper_table_as_text_and_json(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a named preset needs no params.yaml
    rows = json.loads(run(preset, "--paper", "--json"))["rows"]
    text = run(preset, "--paper")
    assert all(row["topic"].split()[0] in text for row in rows) and "values that the paper prints" in text
