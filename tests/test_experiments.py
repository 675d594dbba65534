"""Variants of `experiments`: what they mean, what of params.yaml shapes them, their runs, and their stages."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from faceptor.config import preset_names, preset_text
from faceptor.config.experiments import dotted, overridden
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.lock import locked
from faceptor.pipeline import experiment_queue, experiments, repro, run_settings
from faceptor.pipeline.data import preprocess_set, synthesize_set
from faceptor.pipeline.variants import Variants, settings_of
from faceptor.training import loop
from tests.test_stages import small_params

ROOT = Path(__file__).parents[1]
TASK = "expression_rafdb"
EMBEDDED = yaml.safe_load(preset_text("embedded"))


def with_variants(scale: dict | None = None, **variants: dict) -> Variants:
    section = {"seeds": [1, 2], "scale": scale or {}, "variants": variants}
    return Variants(EMBEDDED | {"experiments": section})


def planned(variant: dict, scale: dict | None = None):
    return with_variants(scale, one=variant).plan("one")


# --- overrides --------------------------------------------------------------------------------------------------------


def test_overrides_are_dotted_or_nested_and_what_dvc_wrote_holds():
    assert dotted({"a.b": 1, "a": {"c": {"d": 2}}, "e": []}) == {"a.b": 1, "a.c.d": 2, "e": []}
    assert dotted({"a": {"b": 2}, "a.b": 1}) == dotted({"a.b": 1, "a": {"b": 2}}) == {"a.b": 2}


def test_an_override_reaches_its_place_and_no_other():
    tree = {"a": {"b": 1, "c": [{"rate": 1}, {"rate": 2}]}, "d": {"name": "x", "of_x": 3}}
    assert overridden(tree, {"a.c.1.rate": 5}) == tree | {"a": {"b": 1, "c": [{"rate": 1}, {"rate": 5}]}}
    assert overridden(tree, {"d.of_y": 4, "d.name": "y"})["d"] == {"name": "y", "of_y": 4}  # of_x had another meaning
    assert overridden(tree, {"d.name": "x"}) == tree
    with pytest.raises(ConfigError, match=r"a\.c\.2\.rate: expected a place in a list, 0 to 1, found '2'"):
        overridden(tree, {"a.c.2.rate": 5})


def test_a_variant_is_the_file_with_its_scale_and_overrides():
    plan = planned({"trains": "naive", "overrides": {"model.encoder.width": 48}}, {"stage1": {"log_every": 7}})
    assert plan.params.model.name == "naive" and plan.params.model.encoder.width == 48  # a baseline inherits it
    assert plan.params.stage1.log_every == 7
    assert planned({"tasks": ["age_morph2"]}).params.stage1.tasks.keys() == {"age_morph2"}
    assert planned({}).with_seed(5).params.seed == 5


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ({"overrides": {"stage1.stepz": 3}}, r"overrides\.stage1\.stepz: unknown key; did you mean 'steps'"),
        ({"overrides": {"stage1": {"steps": "3"}}}, r"overrides\.stage1\.steps: .*found '3'"),
        ({"overrides": {"stage1.tasks.age_morph2.criterion.margin": 1}}, r"overrides\.stage1\.tasks\.age_morph2\.crit"),
        ({"overrides": {"experiments.seeds": [1]}}, r"overrides\.experiments\.seeds: a variant has no variants"),
        ({"trains": "naif"}, r"trains: expected one of stage1, .*naive.*found 'naif'"),
        ({"trains": "stage2"}, r"start: expected stage1"),
        ({"trains": "naive", "start": "stage1"}, r"start: expected none"),
        ({"tasks": ["gender_fairface"]}, r"tasks: 'gender_fairface' is not trained"),
        ({"trains": "transfer", "start": "stage1"}, r"overrides\.transfer\.matrix\.mode: expected one mode"),
        ({"override": {}}, r"override: unknown key; did you mean 'overrides'"),
    ],
)
def test_what_is_wrong_names_the_key_of_the_variant(variant, told):
    with pytest.raises(ConfigError, match=r"params\.yaml: experiments\.variants\.one\." + told):
        planned(variant)


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ({"overrides": {"stage1.steps": 70}}, "it is already"),  # as in the scale
        ({"overrides": {"model.encoder.extras": False, "stage1.steps": 80}}, "it is already"),
        ({"overrides": {"stage2.steps": 50}}, "does not read it"),
        ({"overrides": {"stage1.tasks.age_morph2.samples": 3}, "tasks": ["expression_rafdb"]}, "does not read it"),
        ({"overrides": {"data.validation": 0.2}}, "does not read it"),  # prepared data are shared
        ({"overrides": {"seed": 7}}, "does not read it"),
        ({"start": "stage1", "overrides": {"model.encoder.width": 48}}, "trained without overrides"),
        ({"start": "stage1", "trains": "stage2", "overrides": {"stage1.steps": 80}}, "trained without overrides"),
        ({"start": "stage1", "trains": "nothing", "overrides": {"stage1.steps": 80}}, "trains nothing"),
    ],
)
def test_an_override_that_changes_nothing_is_refused(variant, told):
    with pytest.raises(ConfigError, match=rf"one\.overrides\.\S+: changes nothing, .*{told}"):
        planned(variant, {"stage1": {"steps": 70}})


def test_settings_hold_what_a_variant_reads_and_nothing_else():
    def settings(variant, scale=None):
        return settings_of(planned(variant, scale))

    second = {"start": "stage1", "trains": "stage2"}
    for other in (
        {"stage1.steps": 99},
        {"model.encoder.width": 48},
        {"transfer.steps": 99},
        {"baselines.naive.train.steps": 99},
    ):
        assert settings(second) == settings(second, other)
    for own in ({"stage2.steps": 99}, {"model.layer_attention.mode": "released"}, {"evaluate.samples": 9}):
        assert settings(second) != settings(second, own)
    assert settings({}) == settings({}, {"stage2.steps": 99})
    assert settings({}) != settings({}, {"model.encoder.width": 48})


@pytest.mark.parametrize("preset", preset_names())
def test_variants_of_every_preset_are_right(preset):
    Variants(yaml.safe_load(preset_text(preset)), preset).check()


def test_dvc_sets_a_number_of_a_variant(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(preset_text("embedded"))
    apply_overrides(path, ["+experiments.variants.mine.overrides.stage1.steps=33"])
    assert Variants(read_yaml(path)).plan("mine").params.stage1.steps == 33


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Variants on a few generated faces, with their data sets prepared."""
    values = small_params()
    values["synthesis"] = {"rafdb": {"train": 28, "test": 7}, "lfw73": {"train": 20, "test": 8}}
    values["datasets"] = {name: values["datasets"][name] for name in values["synthesis"]}
    values["stage1"]["tasks"] = {TASK: values["stage1"]["tasks"][TASK] | {"samples": 4}}
    values["stage2"]["tasks"] = {TASK: {"samples": 4}}
    values["baselines"], values["evaluate"]["models"], values["shipped"] = {}, ["stage1"], {}
    values["experiments"] = {
        "seeds": [1, 2],
        "scale": {name: {"steps": 2, "validate_every": 2} for name in ("stage1", "stage2", "transfer")},
        "variants": {
            "alone": {"overrides": {"model": {"decoder": {"depth": 1}}}},
            "second": {"start": "stage1", "trains": "stage2"},
            "judged": {"start": "stage1", "trains": "nothing"},
            "further": {"start": "stage1", "overrides": {"stage1.steps": 3}},
            "taught": {"start": "stage1", "trains": "transfer", "overrides": {"transfer.matrix.mode": ["full"]}},
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("experiments"))
        variants = Variants(values)
        for name in values["synthesis"]:
            synthesize_set(variants.experiment, name, workers=1, sheet=False)
            preprocess_set(variants.experiment, name)
        shutil.copytree(ROOT / "experiments", "experiments")
        (Path() / "faceptor").symlink_to(ROOT / "faceptor")
        yield variants


def told(name: str, seed: int = 1) -> bytes:
    return Path(f"results/experiments/runs/{name}-{seed}.json").read_bytes()


def test_a_run_is_one_small_file_the_same_each_time_and_leaves_nothing_else(toy):
    first = experiments.run_variant(toy, "alone", 1)
    bytes_of_first = told("alone")
    assert json.loads(bytes_of_first) == first | {"variant": "alone", "seed": 1, "start": "none", "trains": "stage1"}
    assert first["steps"] == 2 and first["tests"][TASK]["headline"] == "accuracy"
    assert "forgotten" not in first and "intervals" not in first["tests"][TASK]
    assert not list(Path("runs").rglob("*.pt")) and not Path("models").exists() and not Path("results/train").exists()
    experiments.run_variant(toy, "alone", 1)
    assert told("alone") == bytes_of_first
    assert experiments.run_variant(toy, "alone", 2)["tests"] != first["tests"]  # another seed


def test_a_killed_run_goes_on_and_ends_alike(toy, monkeypatch):
    experiments.run_variant(toy, "alone", 1)
    whole = told("alone")
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(experiments, "tests_on", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            experiments.run_variant(toy, "alone", 1)
    take = loop.train_step
    monkeypatch.setattr(loop, "train_step", lambda *a, **b: steps.append(1) or take(*a, **b))
    experiments.run_variant(toy, "alone", 1)
    assert not steps and told("alone") == whole  # it had been trained
    with locked(Path("runs/experiments/alone-1")), pytest.raises(FaceptorError, match="does this since"):
        experiments.run_variant(toy, "alone", 1)


def test_what_variants_share_is_trained_once(toy, monkeypatch):
    made = []
    build = experiments.joint_model
    monkeypatch.setattr(experiments, "joint_model", lambda *a, **b: made.append(a[1]) or build(*a, **b))
    found = {name: experiments.run_variant(toy, name, 1) for name in ("judged", "second", "further", "taught")}
    assert made == ["experiments/stage1-1"] and Path("models/experiments/stage1-1").is_dir()
    assert [found[name]["steps"] for name in found] == [2, 4, 5, 4]
    assert [found[name]["trainable_parameters"] > 0 for name in found] == [False, True, True, True]
    assert found["taught"]["tests"].keys() == {"attributes_lfw73"} and found["taught"]["forgotten"].keys() == {"lfw73"}

    other = Variants(toy.values | {"seed": 9, "stage1": toy.values["stage1"] | {"log_every": 2}})
    experiments.run_variant(other, "judged", 1)
    assert made == ["experiments/stage1-1"] * 2  # trained with other settings


def test_settings_change_where_what_shapes_the_runs_does(toy):
    before = run_settings.all_settings(toy)
    assert before.keys() == {*toy.section.variants, "start-stage1", "code"}
    values = toy.values | {"transfer": toy.values["transfer"] | {"log_every": 5}}
    after = run_settings.all_settings(Variants(values))
    assert [name for name in before if before[name] != after[name]] == ["taught"]
    assert set(before["taught"]["data"]) == {"rafdb", "lfw73"} and set(before["alone"]["data"]) == {"rafdb"}
    assert before["code"].keys() >= {"faceptor/models", "faceptor/pipeline/experiments.py"}


# --- stages -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """Both pipelines of the repository, with two variants and one seed, each stage a shell command."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init().close()
    (tmp_path / "experiments").mkdir()
    stages = yaml.safe_load((ROOT / "experiments/dvc.yaml").read_text())
    commands = {
        "settings": "mkdir -p results/experiments/settings results/experiments/runs && "
                    "cd results/experiments/settings && "
                    "echo 1 | tee code.json good.json bad.json start-stage1.json",
        "start": "mkdir -p models/experiments/stage1-1 && echo x > models/experiments/stage1-1/weights",
        "run": "test ${item.variant} = good && echo done > results/experiments/runs/${item.variant}-1.json",
    }  # fmt: skip
    for name, command in commands.items():
        stages["stages"][name]["cmd"] = command
    stages["stages"]["settings"] |= {"deps": [], "params": ["seed"]}
    Path("experiments/dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    Path("dvc.yaml").write_text("stages: {main: {cmd: echo main > main.txt, outs: [main.txt]}}")
    section = {"seeds": [1], "variants": {"good": {}, "bad": {}}}
    Path("params.yaml").write_text(yaml.safe_dump(EMBEDDED | {"experiments": section}))
    return tmp_path


def test_a_block_is_a_stage_and_a_failed_run_stops_no_other(pipeline, monkeypatch, capsys):
    variants = Variants.of()
    assert repro.reproduce() == ["main"] and not Path("experiments/dvc.lock").exists()
    with pytest.raises(FaceptorError, match=r"1 of 3 runs failed: bad-1: .*bad-1\.log"):
        experiment_queue.run_all(variants, ["bad", "good"], [1], jobs=2)
    assert Path("results/experiments/runs/good-1.json").read_text() == "done\n"
    told = capsys.readouterr().out
    assert "3 of 3 runs, 0 s left: " in told and "bad-1 failed after" in told
    assert experiment_queue.run_all(variants, ["good"], [1]) == []
    monkeypatch.setattr(experiment_queue, "all_settings", lambda variants: {})
    assert experiment_queue.states(variants) == {("good", 1): "done", ("bad", 1): "missing"}
    monkeypatch.setattr(experiment_queue, "all_settings", lambda variants: {"good": {"stage1": "other"}})
    assert experiment_queue.states(variants)["good", 1] == "stale"


def test_each_run_has_a_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert experiment_queue.visible_cards() == ["2", "5"]
    crew = experiment_queue.Crew(4, 3, ["2", "5"], repro.StageProcesses())
    assert [crew.cards.get() for _ in range(3)] == ["2", "5", "2"]


@pytest.mark.parametrize(("seconds", "told"), [(40, "40 s"), (540, "9 min"), (9000, "2.5 h")])
def test_a_duration_in_words(seconds, told):
    assert experiment_queue.duration(seconds) == told
