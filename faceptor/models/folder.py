"""A saved model: `weights.safetensors` and `model.json`, and nothing else is needed to use it.

model.json holds the format number, the model section it was built from (sizes, input statistics), the table of its
tasks, optional parts (Layer-Attention), the test crops of its tasks, the hash of the weights, and where it came from.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceptor.config import ModelConfig, model_config
from faceptor.errors import ConfigError, WeightsError
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.starting import ENCODER_WEIGHTS
from faceptor.tasks import TaskSpec
from faceptor.writing import whole_file

FORMAT = 1
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"


def save_model(model: FaceModel, folder: Path | str, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write a model folder; each file appears whole or not at all, and the description names the weights' hash."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    _replace(folder / WEIGHTS, lambda path: save_file(tensors, path))
    description = {
        "format": FORMAT,
        "model": model.config,
        "tasks": [spec.to_dict() for spec in model.tasks.values()],
        "structure": model.structure(),
        "crops": {task: crop for task, crop in model.crops.items() if task in model.tasks},
        "weights": _sha256(folder / WEIGHTS),
        "provenance": dict(provenance or {}),
    }
    text = json.dumps(description, indent=2, sort_keys=True) + "\n"
    _replace(folder / DESCRIPTION, lambda path: Path(path).write_text(text))
    return folder


def load_model(folder: Path | str, device: torch.device | str = "cpu") -> FaceModel:
    """The model of a folder, in evaluation mode. Raises WeightsError if anything is missing, extra or misshapen."""
    folder = Path(folder)
    description = read_description(folder)
    if _sha256(folder / WEIGHTS) != description["weights"]:
        raise WeightsError(
            f"{folder / WEIGHTS}: not the file that {DESCRIPTION} describes (hash differs); "
            "an interrupted save or an edited file, restore the folder with `dvc checkout` or train again"
        )
    with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away; leave the caller's draws alone
        model = build_model(_config(folder, description), [TaskSpec.from_dict(entry) for entry in description["tasks"]])
        model.restore_structure(description["structure"])
    model.crops, model.provenance = description["crops"], description["provenance"]
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise WeightsError(f"{folder / WEIGHTS}: not a readable safetensors file ({error}); restore it") from None
    load_strictly(model, tensors, origin=str(folder / WEIGHTS))
    return model.to(device).eval()


def model_hash(folder: Path | str) -> str:
    """Content hash (hex) of the weights as they are on disk and of all that shapes the model; not of its provenance."""
    folder = Path(folder)
    facts = {key: value for key, value in read_description(folder).items() if key != "provenance"}
    facts["weights"] = _sha256(folder / WEIGHTS)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_description(folder: Path | str) -> dict[str, Any]:
    """model.json of a model folder."""
    path = Path(folder) / DESCRIPTION
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError:
        encoder = path.with_name(ENCODER_WEIGHTS)
        if encoder.exists():
            raise WeightsError(
                f"{folder}: holds a pre-trained encoder without tasks, expected a model; train from it with "
                f"model.encoder.pretrained: {encoder}"
            ) from None
        raise WeightsError(f"{path}: not found; `dvc pull` or `dvc repro` makes model folders") from None
    except json.JSONDecodeError as error:
        raise WeightsError(f"{path}: not valid JSON ({error}); restore it") from None
    if description.get("format") != FORMAT:
        raise WeightsError(f"{path}: format expected {FORMAT}, found {description.get('format')!r}; save it anew")
    missing = {"model", "tasks", "structure", "crops", "weights", "provenance"} - set(description)
    if missing:
        raise WeightsError(f"{path}: {', '.join(sorted(missing))} missing; restore the file")
    return description


def load_strictly(model: torch.nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """load_state_dict whose complaint fits a line: names of missing, extra and misshapen tensors."""
    own = model.state_dict()
    wrong = [
        f"{name} expected {tuple(own[name].shape)}, found {tuple(tensors[name].shape)}"
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    ]
    complaints = {
        "missing": sorted(own.keys() - tensors.keys()),
        "extra": sorted(tensors.keys() - own.keys()),
        "misshapen": sorted(wrong),
    }
    if any(complaints.values()):
        parts = [f"{len(names)} {what}: {_some(names)}" for what, names in complaints.items() if names]
        raise WeightsError(
            f"{origin}: tensors do not fit the model; {'; '.join(parts)}; the weights need their own config"
        )
    model.load_state_dict(tensors)


def _config(folder: Path, description: dict) -> ModelConfig:
    try:
        return model_config(description["model"], origin=f"{folder / DESCRIPTION}: model")
    except ConfigError as error:
        raise WeightsError(f"{error}; saved by another version?") from None


def _some(names: list[str], limit: int = 4) -> str:
    return ", ".join(names[:limit]) + (f", and {len(names) - limit} more" if len(names) > limit else "")


def _replace(path: Path, write) -> None:
    with whole_file(path) as partial:
        write(partial)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found; `dvc pull` fetches the weights of model folders") from None
