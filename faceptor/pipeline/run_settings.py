"""What the runs of each variant depend on, as small files of hashes: results/experiments/settings/.

A run has one file of its own variant, so that no change of params.yaml but one that shapes it makes it out of date, and
`code.json`, which stands for all code that runs use: listing it at every stage would make DVC compare the same folders
for each of them, and rewrite a file of twenty thousand lines after each run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError
from faceptor.io.files import RESULTS, write_json
from faceptor.pipeline.variants import HOME, START, Plan, Variants, settings_of
from faceptor.prepared.reading import content_hashes
from faceptor.weights.starting import starting_weights

SETTINGS = RESULTS / HOME / "settings"
PIPELINE = Path("experiments/dvc.yaml")
HASH_CHARACTERS = 16


def write_settings(variants: Variants, folder: Path = SETTINGS) -> None:
    """Write a file for every variant, start-stage1.json and code.json below a folder, and nothing else; a mistake in a
    variant is a ConfigError, and nothing is written."""
    files = all_settings(variants)
    shutil.rmtree(folder, ignore_errors=True)
    for name, found in files.items():
        write_json(folder / f"{name}.json", found)


def all_settings(variants: Variants) -> dict[str, dict]:
    """Name of a file -> what stands in it."""
    plans = {f"start-{START}": variants.start(), **{name: variants.plan(name) for name in variants.section.variants}}
    return {name: digests(plan) for name, plan in plans.items()} | {"code": code_hashes()}


def digests(plan: Plan) -> dict[str, Any]:
    """Section of params.yaml -> hash of what a variant's runs read there; data set -> that of its faces; and that of
    the published weights that a training from nothing begins with."""
    found = settings_of(plan)
    if "model" in found:
        where = f"baselines.{plan.variant.trains}.model" if plan.variant.trains != START else "model"
        found["starting weights"] = starting_weights(plan.params.model, where=where)
    hashes = {name: digest(section) for name, section in found.items()}
    return hashes | {
        "data": {name: digest(content_hashes(plan.experiment.prepared(name))) for name in datasets_of(plan)}
    }


def datasets_of(plan: Plan) -> list[str]:
    """The data sets that teach, validate or test a variant."""
    experiment, params = plan.experiment, plan.params
    tasks = [*plan.tasks, *(params.stage1.tasks if plan.variant.trains == "transfer" else ())]
    own = {task: experiment.spec(task).dataset for task in tasks}
    tests = {name for task in own for name in params.evaluate.test_sets.get(task, ())}
    return sorted({*own.values(), *tests})


def code_hashes(pipeline: Path = PIPELINE) -> dict[str, str]:
    """Room or file of the package -> hash of its files, for all that the stage `settings` depends on."""
    remedy = "restore it, or run from the root of the repository"
    stages = read_yaml(pipeline, remedy=remedy)
    try:
        deps = stages["stages"]["settings"]["deps"]
    except (KeyError, TypeError):
        raise ConfigError(f"{pipeline}: expected a stage `settings` with its deps, found none; {remedy}") from None
    return {dep: _hash_of(Path(dep)) for dep in deps if dep.startswith("faceptor/")}


def _hash_of(place: Path) -> str:
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    files = [file for file in files if file.is_file() and "__pycache__" not in file.parts]
    return digest([(file.as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:HASH_CHARACTERS]
