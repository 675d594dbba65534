"""A stage of dvc.yaml lists the code that it runs, no less and no more: rooms as folders, or files where it uses few.

Left out on both sides: `faceptor/config`, because a stage names its parameters and DVC compares these by value (so a
changed default that no params.yaml writes goes unnoticed: write it into the presets); `faceptor/errors.py` and
`faceptor/_compat.py`, which change no number; and files that are nothing but a docstring. Every verb first reads and
checks all of params.yaml; what it reads counts where a stage uses it.
"""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml

from tests import imports

ROOT = Path(__file__).parents[1]
PIPELINE = {
    name: stage.get("do", stage)
    for file in ("dvc.yaml", "experiments/dvc.yaml")
    for name, stage in yaml.safe_load((ROOT / file).read_text())["stages"].items()
}
LEFT_OUT = frozenset({"faceptor.config", "faceptor.errors", "faceptor._compat"})
# What notebooks take from `faceptor` itself.
AT_THE_TOP = {"load": "faceptor.weights.folder", "predict": "faceptor.predict.predictor"}

RUNS = {  # stage -> the function of faceptor.pipeline that its verb calls
    "synthesize": "data.synthesize_set",
    "preprocess": "data.preprocess_set",
    "starting_weights": "starting_weights.record_starting_weights",
    "train_stage1": "training.train_joint",
    "train_baseline": "training.train_joint",
    "train_stage2": "training.train_stage2",
    "merge_stage2": "training.merge_stage2",
    "evaluate": "evaluation.evaluate_model",
    "ship": "shipping.ship",
    "transfer": "transfer.transfer",
    "settings": "variants.write_settings",
    "start": "experiments.train_start",
    "run": "experiments.run_variant",
    "report_parameter_budget": "notebooks.execute",
    "report_layer_attention": "notebooks.execute",
    "report_crop_sensitivity": "notebooks.execute",
    "report_ablations": "notebooks.execute",
    "report_transfer": "notebooks.execute",
    "report_results": "notebooks.execute",
    "report_00_tour": "notebooks.execute",
    "report_data": "notebooks.execute",
    "report_failure_cases": "notebooks.execute",
    "report_robustness": "notebooks.execute",
    "report_pipeline_truth": "notebooks.execute",
    "report_benchmark": "notebooks.execute",
}
HASHES = "results/experiments/settings/code.json"
HASHED_FOR = ("settings", "start", "run")  # stages whose code the deps of `settings` are
SHOWN = frozenset({"faceptor.figures", "faceptor.pipeline.first_look"})
DRAWING = dict.fromkeys(  # the kinds of task import the first, trainings write pictures into runs/ with the second
    ("train_stage1", "train_baseline", "train_stage2", "merge_stage2", "ship", "transfer", *HASHED_FOR), SHOWN
)
DETERMINED_OTHERWISE = DRAWING | {  # stage -> code that it runs, but whose outcome another dependency holds, if any
    # faces drawn again must be those of the marker's hash, and the marker is one
    "preprocess": frozenset({"faceptor.synthesis"}),
}
# A caption, a page or a table must not train a model again. (What a kind of task writes on its own picture does: it
# stands in the file of the kind, beside the metric that chooses the step. CONTRIBUTING.md says what `dvc commit` is
# for.)
NOTHING_OF_TRAINING = (
    "faceptor/analysis", "faceptor/cli", "faceptor/doctor", "faceptor/figures", "faceptor/synthesis",
    "faceptor/pipeline/first_look.py", "faceptor/pipeline/plots.py", "faceptor/pipeline/readme.py",
    "faceptor/predict/overlay.py", "faceptor/predict/page.py", "faceptor/predict/panels.py",
)  # fmt: skip


def code_of(stage: str) -> list[str]:
    """The code among a stage's dependencies, or what the file of hashes stands for that is one."""
    deps = PIPELINE[stage]["deps"]
    if HASHES in deps:
        deps = PIPELINE["settings"]["deps"]
    return [dep for dep in deps if dep.startswith("faceptor/") and not dep.startswith("faceptor/config")]


@cache
def run_by(stage: str) -> set[str]:
    """The files below the root that a stage runs."""
    entry = [f"faceptor.pipeline.{RUNS[stage]}"]
    if RUNS[stage] == "notebooks.execute":
        notebook = nbformat.read(ROOT / PIPELINE[stage]["deps"][0], 4)
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        entry += set(imports.imported(ast.parse(source)).values()) - {"faceptor"}
        entry += [module for name, module in AT_THE_TOP.items() if f"faceptor.{name}(" in source]
    but = LEFT_OUT | DETERMINED_OTHERWISE.get(stage, frozenset())
    modules = imports.run_by(entry, but=but)
    code = [module for module in modules if len(imports.tree_of(module).body) > 1]
    return {str(imports.path_of(module).relative_to(ROOT)) for module in code}


def covers(dependency: str, file: str) -> bool:
    return f"{file}/".startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", PIPELINE)
def test_what_a_stage_runs_is_listed(stage):
    missing = {file for file in run_by(stage) if not any(covers(dependency, file) for dependency in code_of(stage))}
    assert not missing


@pytest.mark.parametrize("stage", PIPELINE)
def test_what_is_listed_is_run(stage):
    files = set().union(*map(run_by, HASHED_FOR)) if stage in HASHED_FOR else run_by(stage)
    assert not [each for each in code_of(stage) if not any(covers(each, file) for file in files)]


@pytest.mark.parametrize("stage", [name for name in PIPELINE if name.startswith("train_") or name in ("start", "run")])
def test_what_is_shown_trains_nothing(stage):
    assert not [(each, file) for each in code_of(stage) for file in NOTHING_OF_TRAINING if covers(each, file)]


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_verb_calls_the_function(stage):
    verb = re.match(r"python -m faceptor (\w+)", PIPELINE[stage]["cmd"])[1]
    code = (ROOT / f"faceptor/cli/{verb}.py").read_text()
    assert re.search(rf"\b{RUNS[stage].split('.')[1]}\b", code)


def test_reading_finds_every_way_to_import(tmp_path, monkeypatch):
    files = {
        "__init__": "", "pipeline/__init__": "",
        "pipeline/stages": "from faceptor.b import late\nfrom faceptor.a import f\nimport faceptor.c as c\n"
        "from faceptor.pipeline.meaning import Meaning\nSIZE = c.size\ndef one():\n    return f() + SIZE\n"
        "def two():\n    from faceptor.d import g\ndef three(meaning: Meaning):\n    return meaning.crop()\n",
        "pipeline/meaning": "from faceptor.e import T\nfrom faceptor.f import g, h\nfrom faceptor.b import late\n"
        "class Meaning:\n    size: T\n    def crop(self):\n        return self.cut()\n    def cut(self):\n"
        "        return g()\n    def other(self):\n        return late()\n",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from faceptor.e import T\n",
        "b": "", "c": "TABLE = {'x': 'faceptor.room.deep'}\n", "d": "", "e": "", "room/__init__": "import faceptor.f\n",
        "room/deep": "", "f": "",
    }  # fmt: skip
    for name, text in files.items():
        file = tmp_path / "faceptor" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(imports, "ROOT", tmp_path)
    cached = (imports.path_of, imports.tree_of, imports.imports)
    for each in cached:
        each.cache_clear()
    try:
        ours = "faceptor.pipeline.stages"
        found = imports.run_by([f"{ours}.one"])
        assert found == {ours, *(f"faceptor.{name}" for name in ("a", "c", "f", "room", "room.deep"))}
        assert imports.run_by([f"{ours}.two"]) == {ours, "faceptor.d"}
        assert imports.run_by([f"{ours}.three"]) == {ours, "faceptor.pipeline.meaning", "faceptor.f"}
        assert imports.run_by([f"{ours}.one"], but=frozenset({"faceptor.c"})) == {ours, "faceptor.a"}
    finally:
        for each in cached:
            each.cache_clear()
