"""What a page was made from, by content, and whether that is still so in this checkout.

Compared is what Git holds: a notebook's source and parameters, results, and the models by the hash that their committed
results name. Code is not: a changed line of it makes the stage run again, not the page wrong.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceptor.config import load_params
from faceptor.io.files import GONE, MODELS, RESULTS, content_hash, read_json
from faceptor.pipeline.notebooks import READ, notebook_inputs, read_notebook, section_of
from faceptor.weights.description import DESCRIPTION, model_hash

SECTION = "params.yaml: notebooks."


def values_hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def source_hash(notebook: Any) -> str:
    """Hash of a notebook's cells, the same for its source and for the executed copy."""
    own = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", ())]
    return values_hash([(cell.id, cell.cell_type, cell.source) for cell in own])


def parameters_of(executed: Any) -> dict[str, Any]:
    """The values that papermill set in an executed notebook."""
    cells = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", ())]
    statements = [node for cell in cells for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in statements}


def hash_in_git(root: Path, path: str) -> str:
    """Hash of what Git holds of an input; "" for a model of which it holds nothing, `GONE` for what is missing."""
    if path.startswith(SECTION):
        return values_hash(notebook_parameters(root, path.removeprefix(SECTION)))
    if path.startswith(f"{MODELS}/"):
        return committed_model(root, path)
    if path.endswith(".ipynb"):
        return source_hash(read_notebook(root / path)) if (root / path).is_file() else GONE
    return content_hash(root / path)


def committed_model(root: Path, path: str) -> str:
    """The hash of a model by its committed evaluation."""
    details = root / RESULTS / "evaluate" / "details" / f"{Path(path).name}.json"
    return read_json(details)["about"]["model_hash"] if details.is_file() else ""


def notebook_parameters(root: Path, section_name: str) -> dict[str, Any]:
    """A section of `notebooks`, whole; {} where there is none."""
    section = getattr(load_params(root / "params.yaml").notebooks, section_name, None)
    return section.model_dump(mode="json") if section else {}


def made_from(root: Path, name: str, executed: Any) -> dict[str, str]:
    """Input -> hash, of an executed notebook: its own source and parameters, and what it read.

    What is no longer as it was read has the hash of then.
    """
    found = {f"notebooks/{name}.ipynb": source_hash(executed)}
    if notebook_parameters(root, section_of(name)):
        found[f"{SECTION}{section_of(name)}"] = values_hash(parameters_of(executed))
    read = executed.metadata.get(READ, {})
    for path in notebook_inputs(root, name):
        then = read.get(path)
        found[path] = _here(root, path) if then in (None, content_hash(root / path)) else then
    return found


def _here(root: Path, path: str) -> str:
    """Hash of an input; of a model that is in this checkout, its own."""
    is_model = path.startswith(f"{MODELS}/") and (root / path / DESCRIPTION).is_file()
    return model_hash(root / path) if is_model else hash_in_git(root, path)


def changes(root: Path, made: Mapping[str, str]) -> list[str]:
    """Inputs that are no longer what a page was made from."""
    return [path for path, was in made.items() if (now := hash_in_git(root, path)) and was and now != was]
