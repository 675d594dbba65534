"""`faceptor export`: a model as a file for another runtime, checked against the model, and a JSON file beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceptor.deploy.contract import FORMAT, inputs_of, origin_of, tasks_of
from faceptor.deploy.formats import RUNNERS, SUFFIXES, WRITERS
from faceptor.deploy.graph import Graph
from faceptor.deploy.stored import with_stored_weights
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.regular import sha256_of
from faceptor.io.writing import whole_file, write_whole
from faceptor.models.base import FaceModel
from faceptor.weights.folder import load_model

BATCHES = (1, 3)  # numbers of images that the check asks about; the graph was made with two
TOLERANCE = 1e-3  # of the largest answer of a task, or of 1 where that is smaller
LARGEST_FILE = 16 << 30  # bytes

Answers = Mapping[str, np.ndarray]


def export_model(
    folder: Path | str, out: Path, *, to: str = "onnx", tasks: Sequence[str] | None = None, precision: str = "fp32"
) -> dict[str, Any]:
    """Write the model of a folder to `out` and what it means beside it (`beside`); returns that.

    to: "onnx" or "torch"; tasks: None is all; precision: how weights are stored, see `faceptor.deploy.stored`. The file
    is run by its own runtime at `BATCHES`; where it answers otherwise than the model with these weights, FaceptorError,
    and what was at `out` stays as it was.
    """
    if to not in WRITERS:
        raise ConfigError(f"--to {to!r}: expected one of {', '.join(WRITERS)}")
    if out.suffix != SUFFIXES[to]:
        raise ConfigError(f"--out {out}: expected a name in {SUFFIXES[to]} for --to {to}")
    model = load_model(folder)
    names = model.choose_tasks(tasks)
    out.parent.mkdir(parents=True, exist_ok=True)
    stored, graph = with_stored_weights(model, precision), Graph(with_stored_weights(model, precision), names)
    asked = {count: answers(stored, graph, count) for count in BATCHES}
    with whole_file(out) as partial:
        facts = WRITERS[to](graph, partial)
        parity = compared(partial, to, graph, asked, named=str(out))
        digest = sha256_of(partial, largest=LARGEST_FILE)
    shapes = {task: values.shape[1:] for task, values in asked[1].items()}
    size = out.stat().st_size
    contract = {
        "format": FORMAT,
        "file": {"name": out.name, "kind": to, "bytes": size, "sha256": digest, "weights": precision} | facts,
        "model": origin_of(folder, model, names),
        "inputs": inputs_of(graph),
        "tasks": tasks_of(model, graph, shapes),
        "parity": parity,
    }
    write_contract(out, contract)
    return contract


def beside(out: Path) -> Path:
    """The JSON file of an exported file."""
    return out.with_suffix(".json")


def write_contract(out: Path, contract: Mapping[str, Any]) -> None:
    write_whole(beside(out), json.dumps(contract, indent=2, allow_nan=False) + "\n")


@torch.no_grad()
def answers(model: FaceModel, graph: Graph, count: int) -> dict[str, np.ndarray]:
    """What a model says about `count` images for each input of a graph, by its own way."""
    found: dict[str, np.ndarray] = {}
    for tasks, images in zip(graph.groups.values(), graph.examples(count), strict=True):
        found |= {task: values.float().numpy() for task, values in model(images, tasks=tasks).items()}
    return found


def compared(
    file: Path, kind: str, graph: Graph, asked: Mapping[int, Answers], *, named: str, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """The largest difference of each task between a file and what was `asked` (number of images -> answers).

    FaceptorError for the first task that differs by more than the tolerance.
    """
    largest = dict.fromkeys(graph.outputs, 0.0)
    for count, expected in asked.items():
        found = dict(zip(graph.outputs, RUNNERS[kind](file, graph.examples(count)), strict=True))
        for task, values in expected.items():
            difference = _difference(found[task], values)
            allowed = tolerance * max(1.0, float(np.abs(values).max()))
            if not difference <= allowed:
                raise FaceptorError(
                    f"{named}: {task}: the file's answers differ from the model's by {difference:.3g} at batch "
                    f"{count}, expected at most {allowed:.3g}; nothing was written, please report it"
                )
            largest[task] = max(largest[task], difference)
    return {"batches": list(asked), "tolerance": tolerance, "largest_difference": largest}


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
