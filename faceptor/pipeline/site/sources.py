"""What a page was made from, by content, and whether that is still so in this checkout.

Compared is what Git holds: a notebook's source and parameters, results, and the models by the hash that their committed
results name. Code is not: a changed line of it makes the stage run again, not the page wrong.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from faceptor.config import load_params
from faceptor.config.yaml12 import read_yaml
from faceptor.io.files import MODELS, RESULTS, read_json
from faceptor.weights.description import DESCRIPTION, model_hash

INPUTS = ("results/", "models/", "experiments/", "faceptor/shipped/")  # of a stage's dependencies, what a page names
REFERENCE = re.compile(r"\$\{([^}]+)\}")
SECTION = "params.yaml: notebooks."
GONE = "gone"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def values_hash(values: Any) -> str:
    return sha256(json.dumps(values, sort_keys=True, default=str).encode())


def source_hash(notebook: Any) -> str:
    """Hash of a notebook's cells, the same for its source and for the executed copy."""
    injected = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    return values_hash([(cell.id, cell.cell_type, cell.source) for cell in injected])


def parameters_of(executed: Any) -> dict[str, Any]:
    """The values that papermill set in an executed notebook."""
    cells = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", ())]
    statements = [node for cell in cells for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in statements}


def content_hash(root: Path, path: str) -> str:
    """Hash of what Git holds of an input; "" for a model of which it holds nothing, `GONE` for what is missing."""
    if path.startswith(SECTION):
        return values_hash(notebook_parameters(root, path.removeprefix(SECTION)))
    file = root / path
    if path.startswith(f"{MODELS}/"):
        return committed_model(root, path)
    if path.endswith(".ipynb"):
        return source_hash(nbformat.read(file, 4)) if file.is_file() else GONE
    if file.is_dir():
        inside = sorted(each for each in file.rglob("*") if each.is_file())
        return values_hash([(each.relative_to(file).as_posix(), sha256(each.read_bytes())) for each in inside])
    return sha256(file.read_bytes()) if file.is_file() else GONE


def committed_model(root: Path, path: str) -> str:
    """The hash of a model by its committed evaluation."""
    details = root / RESULTS / "evaluate" / "details" / f"{Path(path).name}.json"
    return read_json(details)["about"]["model_hash"] if details.is_file() else ""


def notebook_parameters(root: Path, name: str) -> dict[str, Any]:
    """The section of a notebook, whole; {} where it has none."""
    section = getattr(load_params(root / "params.yaml").notebooks, name, None)
    return section.model_dump(mode="json") if section else {}


def notebook_stages(root: Path) -> list[str]:
    """Notebooks that are stages, in the order of dvc.yaml."""
    stages = read_yaml(root / "dvc.yaml")["stages"]
    return [name.removeprefix("report_") for name in stages if name.startswith("report_")]


def notebook_inputs(root: Path, name: str) -> list[str]:
    """What the stage of a notebook depends on, without code and data, as params.yaml fills it in."""
    stage, values = read_yaml(root / "dvc.yaml")["stages"][f"report_{name}"], read_yaml(root / "params.yaml")
    for item in _items(stage, values):
        deps = [_filled(dep, values | item) for dep in stage.get("do", stage)["deps"]]
        return [dep for dep in deps if dep.startswith(INPUTS)]
    return []  # a stage for nothing under these parameters


def _items(stage: Mapping, values: Mapping) -> Iterator[dict]:
    if "foreach" not in stage:
        yield {}
        return
    found = _looked_up(REFERENCE.fullmatch(stage["foreach"])[1], values)
    yield from (
        ({"key": k, "item": v} for k, v in found.items())
        if isinstance(found, dict)
        else ({"item": item} for item in found)
    )


def _filled(text: str, values: Mapping) -> str:
    return REFERENCE.sub(lambda found: str(_looked_up(found[1], values)), text)


def _looked_up(dotted: str, values: Any) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values


def made_from(root: Path, name: str, executed: Any) -> dict[str, str]:
    """Input -> hash, of an executed notebook: its own source and parameters, and the rest as it is here."""
    found = {f"notebooks/{name}.ipynb": source_hash(executed)}
    if notebook_parameters(root, name):
        found[f"{SECTION}{name}"] = values_hash(parameters_of(executed))
    return found | {path: _here(root, path) for path in notebook_inputs(root, name)}


def _here(root: Path, path: str) -> str:
    """Hash of an input; of a model that is in this checkout, its own."""
    is_model = path.startswith(f"{MODELS}/") and (root / path / DESCRIPTION).is_file()
    return model_hash(root / path) if is_model else content_hash(root, path)


def changes(root: Path, made: Mapping[str, str]) -> list[str]:
    """Inputs that are no longer what a page was made from."""
    return [path for path, was in made.items() if (now := content_hash(root, path)) and was and now != was]
