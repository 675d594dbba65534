"""What of a model belongs to its tasks, and the hash of the rest, on which tasks can be installed.

A *base* is a model without any task: encoder, decoders, output modules. Two models with equal bases give a task the
same answers, whatever other tasks they have.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from faceptor.errors import ConfigError
from faceptor.models.base import FaceModel

STARTS_FROM = ("init", "initialisation", "pretrained", "drop_path", "drop_path_axis", "dropout")  # shapes no answer


def own_tensors(model: FaceModel, task: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors that a model has because of a task, under the names they have where it is the only one, and the
    `structure` of such a model. ConfigError for a model whose tasks answer one another."""
    alone = only(model, [task])
    shared = shared_tensors(model)
    own = {name: tensor for name, tensor in alone.state_dict().items() if name not in shared}
    return own, alone.structure()


def shared_tensors(model: FaceModel) -> dict[str, Tensor]:
    """The tensors of a model that belong to no task. ConfigError as of `own_tensors`."""
    return only(model, []).state_dict()


def only(model: FaceModel, tasks: list[str]) -> FaceModel:
    """A copy of a model, with the same numbers, that has these tasks alone."""
    if not model.isolated:
        raise ConfigError(
            f"{type(model).__name__}: its tasks attend to one another, so that none can be taken out or added without "
            "changing the others' answers; task packs are for Faceptor and Naive Faceptor"
        )
    copied = copy.deepcopy(model)
    for task in [each for each in copied.tasks if each not in tasks]:
        copied.remove_task(task)
    return copied


def base_hash(model: FaceModel) -> str:
    """SHA-256 (hex) of all that a model's tasks share: sizes, input statistics, names and contents of tensors."""
    digest = hashlib.sha256(json.dumps(_shaping(model.config), sort_keys=True).encode())
    for name, tensor in sorted(shared_tensors(model).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(as_bytes(tensor))
    return digest.hexdigest()


def as_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def same(one: Tensor, other: Tensor) -> bool:
    """Equal to the bit."""
    return one.dtype == other.dtype and one.shape == other.shape and as_bytes(one) == as_bytes(other)


def _shaping(section: Any) -> Any:
    """A model section without what only a training asks for."""
    if isinstance(section, Mapping):
        return {key: _shaping(value) for key, value in section.items() if key not in STARTS_FROM}
    return section
