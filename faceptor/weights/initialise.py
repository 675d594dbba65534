"""What a new model begins with: published weights of a part of it, or its own initialisation.

Which of the two is `model.init`; the file is `pretrained` (see `faceptor.weights.starting`).
"""

from collections.abc import Callable
from pathlib import Path

import torch

from faceptor.config import ModelConfig
from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.weights.released import load_farl
from faceptor.weights.released.imagenet import load_backbone
from faceptor.weights.starting import part_of, starting_file

# Part of a model -> what reads its published weights.
LOADERS: dict[str, Callable] = {"encoder": load_farl, "backbone": load_backbone}


def initialise(model: FaceModel, config: ModelConfig, *, where: str = "model") -> None:
    """Load the published weights that the configuration names, or initialise for training without any; then add what
    learns with the first stage although it is no part of the plain model (`layer_attention.from_start`).

    where: what the section is called in params.yaml. Raises ConfigError or WeightsError where `init` is "released" and
    no file is named, or it is not there, or does not fit.
    """
    path = starting_file(config, where=where)
    if path is not None:
        load_part(model, config, path)
    else:
        numbers = getattr(config, "initialisation", None)
        model.initialise(**({} if numbers is None else numbers.model_dump()))
    attention = getattr(config, "layer_attention", None)
    if attention and attention.from_start:
        for task in [task for task, head in model.head.items() if head == "value"]:
            model.enable_layer_attention(task, attention.mode)


def load_part(model: FaceModel, config: ModelConfig, path: Path | str) -> None:
    """Read published weights into the part of the model that they are of."""
    part = part_of(config)
    LOADERS[part](getattr(model, part), path)


def misfit(config: ModelConfig, path: Path | str) -> str | None:
    """Why a file of published weights is none for the model of this configuration, in one line; None if it is one."""
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, [])
    try:
        load_part(model, config, path)
    except FaceptorError as error:
        return str(error)
    return None
