"""A saved model: `weights.safetensors` and `model.json`, and nothing else is needed to use it.

model.json holds the format number, the model section it was built from (sizes, input statistics), the table of its
tasks, optional parts (Layer-Attention), the test crops of its tasks, the hash of the weights, and where it came from;
`precision: float16` where the weights are stored in half precision. A small model that learned from generated faces
comes with the package: `SHIPPED`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from faceptor.config import ModelConfig
from faceptor.errors import FaceptorError, WeightsError
from faceptor.io.files import SHIPPED
from faceptor.io.regular import size_text
from faceptor.io.words import one_line
from faceptor.io.writing import whole_file
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.tasks import TaskSpec
from faceptor.weights.description import (
    DESCRIPTION,
    FORMAT,
    WEIGHTS,
    config_in,
    crops_in,
    model_hash,
    plain,
    read_description,
    tasks_in,
    weights_hash,
)
from faceptor.weights.loading import Facts, built_with, check_finite, check_fit, plan

__all__ = ["DESCRIPTION", "SHIPPED", "WEIGHTS", "load_model", "model_hash", "read_description", "save_model"]

HALF = "float16"
COUNTS = re.compile("depth|blocks|layers")  # in the keys that say how often a model repeats something
# What format 1 called parts of FaceXFormer's decoder.
NAMES_IN_FORMAT_1 = {
    "self_attention": "confer",
    "self_norm": "confer_norm",
    "token_to_image": "look",
    "token_to_image_norm": "look_norm",
    "image_to_token": "answer",
    "image_to_token_norm": "answer_norm",
    "final_attention": "read",
    "final_norm": "read_norm",
}
LARGEST_BUFFER_BYTES = 1 << 30  # of a model's tables that are computed and not in its weights file


def save_model(
    model: FaceModel, folder: Path | str, provenance: Mapping[str, Any] | None = None, *, half: bool = False
) -> Path:
    """Write a model folder; the description names the weights' hash.

    half: in half precision, which takes half the room; `load_model` widens it again. Both files are written beside
    their places and then put there, so that a failure leaves the old folder as it was. Raises WriteError where there is
    no room or no permission, WeightsError where a weight is too large for half precision.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / DESCRIPTION) as description, whole_file(folder / WEIGHTS) as weights:
        save_file(tensors, weights)
        facts = {
            "format": FORMAT,
            "model": model.config,
            "tasks": [spec.to_dict() for spec in model.tasks.values()],
            "structure": model.structure(),
            "crops": {task: crop for task, crop in model.crops.items() if task in model.tasks},
            "weights": weights_hash(weights),
            "provenance": dict(provenance or {}),
        } | ({"precision": HALF} if half else {})
        description.write_text(json.dumps(plain(facts), indent=2, sort_keys=True, allow_nan=False) + "\n")
    return folder


def load_model(folder: Path | str = SHIPPED, device: torch.device | str = "cpu") -> FaceModel:
    """The model of a folder, in evaluation mode; none named: the one that comes with the package.

    The model's numbers are float32, also where the file has them in half precision.

    Raises WeightsError, in one line, if anything is missing, extra, misshapen, of another type or not finite, before
    memory is taken for what the weights file does not hold.
    """
    folder = Path(folder)
    description = read_description(folder)
    described, weights = folder / DESCRIPTION, folder / WEIGHTS
    if weights_hash(weights) != description["weights"]:
        raise WeightsError(
            f"{weights}: not the file that {DESCRIPTION} describes (hash differs); "
            "an interrupted save or an edited file, restore the folder with `dvc checkout` or train again"
        )
    config, specs = config_in(described, description["model"]), tasks_in(described, description["tasks"])
    crops = crops_in(described, description["crops"])
    shapes = _shapes(weights)
    _check_counts(described, description["model"], len(shapes))

    def make() -> FaceModel:
        return _build(described, config, specs, description["structure"])

    planned = plan(make)
    in_file = _names_in_file(planned, description)
    own = {in_file[name]: Facts(tuple(tensor.shape)) for name, tensor in planned.state_dict().items()}
    check_fit(own, shapes, origin=str(weights))
    _check_buffers(planned, origin=weights)
    stored = load_file(weights)
    tensors = {name: stored[in_file[name]] for name in in_file}
    if description.get("precision") == HALF:
        tensors = {name: each.float() if each.dtype is torch.float16 else each for name, each in tensors.items()}
    model = built_with(make, tensors, origin=str(weights))
    model.crops, model.provenance = crops, description["provenance"]
    check_finite(tensors, origin=str(weights), remedy="train again, or restore the folder")
    return model.to(device)


def _halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise WeightsError(f"{name}: a weight is too large for half precision; save the model in float32")
    return half


def _names_in_file(model: FaceModel, description: Mapping[str, Any]) -> dict[str, str]:
    """What the weights file of a description's format calls each tensor of a model."""
    old = NAMES_IN_FORMAT_1 if description["format"] == 1 and description["model"].get("name") == "facexformer" else {}
    return {name: ".".join(old.get(part, part) for part in name.split(".")) for name in model.state_dict()}


def _shapes(path: Path) -> dict[str, Facts]:
    """Shapes of a file's tensors, from its head alone."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: Facts(tuple(file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({one_line(error)}); restore it") from None


def _check_counts(path: Path, section: Any, tensors: int, key: str = "model") -> None:
    """Raise where the description wants more blocks than the weights file has tensors."""
    items = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    for name, value in items:
        inner = f"{key}.{name}" if isinstance(name, str) else key
        if isinstance(value, dict | list):
            _check_counts(path, value, tensors, inner)
        elif isinstance(value, int | float) and COUNTS.search(inner.rpartition(".")[2]) and value > tensors:
            raise WeightsError(f"{path}: {inner}: {value}, but the weights have {tensors} tensors; restore the file")


def _check_buffers(plan: FaceModel, *, origin: Path) -> None:
    computed = sum(buffer.nbytes for buffer in plan.buffers())
    if computed > origin.stat().st_size + LARGEST_BUFFER_BYTES:
        raise WeightsError(
            f"{origin.with_name(DESCRIPTION)}: model: its tables alone would take {size_text(computed)}, far more than "
            f"the weights' {size_text(origin.stat().st_size)}; restore the file"
        )


def _build(path: Path, config: ModelConfig, specs: list[TaskSpec], structure: Mapping[str, Any]) -> FaceModel:
    try:
        model = build_model(config, specs)
        model.apply_structure(structure)
    except Exception as error:  # a description can ask for anything, and so fail in any way
        reason = error if isinstance(error, FaceptorError) else f"{type(error).__name__}: {one_line(error)}"
        raise WeightsError(f"{path}: no model that can be built ({reason}); restore the file") from None
    return model
