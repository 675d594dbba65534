"""Weights stored in fewer bits, computed with in float32.

The weights of linear maps and convolutions, nearly all of a model's numbers, are kept as bfloat16, or as int8 with a
scale for each output channel, and widened when they are used. What is stored smaller is the file; the arithmetic stays
float32, so that a graph answers alike on every runtime, and what it costs can be measured on the model itself.
"""

import copy

import torch
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.models.base import FaceModel

PRECISIONS = ("fp32", "bf16", "int8")
LARGEST_INT8 = 127
WEIGHTY = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class _Stored:
    """Mixed into the class of a module whose weight is kept as bfloat16, or as int8 and a scale for each index of its
    first axis."""

    stored: Tensor
    scale: Tensor | None

    @property
    def weight(self) -> Tensor:
        return self.stored.float() if self.scale is None else self.stored.float() * self.scale


def with_stored_weights(model: FaceModel, precision: str) -> FaceModel:
    """A copy of a model, in evaluation mode, whose weights are stored in a precision; the model stays as it is.

    Raises ConfigError for a precision that is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if precision == "fp32":
        return model
    for module in [each for each in model.modules() if isinstance(each, WEIGHTY)]:
        weight = module._parameters.pop("weight").detach()
        stored, scale = (weight.to(torch.bfloat16), None) if precision == "bf16" else rounded(weight)
        module.register_buffer("stored", stored)
        module.register_buffer("scale", scale)
        # A property of the class hides the missing parameter from whoever reads `module.weight`.
        module.__class__ = type(module.__class__.__name__, (_Stored, module.__class__), {})
    return model


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(N, ...) float -> int8 of that shape and scales (N, 1, ...): weight = int8 * scale, symmetric about zero."""
    largest = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True)
    scale = torch.where(largest > 0, largest / LARGEST_INT8, torch.ones_like(largest))
    return (weight / scale).round().clamp(-LARGEST_INT8, LARGEST_INT8).to(torch.int8), scale
