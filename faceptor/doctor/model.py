"""What a model folder holds: its tasks, how a face in a photograph becomes the input of each, licence and origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faceptor.datasets import READERS
from faceptor.models.base import FaceModel
from faceptor.transforms.framing import crop_of, describe_crop
from faceptor.weights.folder import WEIGHTS, load_model, model_hash, read_description


def examine_model(folder: Path | str) -> dict[str, Any]:
    """Plain facts, fit for JSON. The weights are loaded, so that what this prints is known to work."""
    folder = Path(folder)
    model, description = load_model(folder), read_description(folder)
    return {
        "folder": str(folder),
        "hash": model_hash(folder),
        "weights": {"sha256": description["weights"], "bytes": (folder / WEIGHTS).stat().st_size},
        "model": description["model"]["name"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "inputs": _inputs(model),
        "tasks": {name: _task(model, name) for name in model.tasks},
        "structure": description["structure"],
        "provenance": description["provenance"],
        "licence": licence_of(model, description["provenance"]),
    }


def _inputs(model: FaceModel) -> dict[str, dict]:
    """Input groups: the side they were trained at, and the mean and standard deviation of [0, 1] RGB."""
    return {
        name: {
            "size": group.size,
            "mean": list(group.statistics[0]),
            "std": list(group.statistics[1]),
            "tasks": [task for task, its in model.group.items() if its == name],
        }
        for name, group in model.inputs.items()
    }


def _task(model: FaceModel, name: str) -> dict[str, Any]:
    spec, stored = model.tasks[name], model.crops.get(name) or {}
    crop, framing = crop_of(model, name)
    return {
        "kind": spec.kind,
        "dataset": spec.dataset,
        "labels": len(spec.labels),
        "inputs": model.group[name],
        "crop": crop.to_dict(),
        "crop_from": "model folder" if stored else "assumed",
        "framing": framing.to_list(),
        "framing_from": "measured on training pictures" if "framing" in stored else "known of the published pictures",
        "words": describe_crop(crop, framing),
    }


def licence_of(model: FaceModel, provenance: dict) -> dict[str, Any]:
    """What is stated about the weights, and the terms of the data sets behind its tasks; none where every face that
    taught it was generated."""
    taught = provenance.get("data") or {}
    generated = bool(taught) and all(taught.get(name, {}).get("generated") for name in model.tasks)
    sets = () if generated else dict.fromkeys(spec.dataset for spec in model.tasks.values())
    return {
        "stated": provenance.get("licence"),
        "generated": generated,
        "data": {name: READERS[name].licence for name in sets if name in READERS},
    }
