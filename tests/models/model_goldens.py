"""Seeded weights and inputs of the recorded model cases."""

import json
from functools import cache

import numpy as np
import torch

from tests.goldens import FOLDER, Golden, seeded


@cache
def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The recipe's value of a tensor with this official name; computed in float32 throughout."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    key = key.replace("mask_map.1.ln.", "mask_map.1.")  # tied: the shorter name wins
    draw = seeded(key).standard_normal(shape, dtype=np.float32)
    if key.endswith("running_mean"):
        value = np.float32(0.1) * draw
    elif key.endswith("running_var"):
        value = 1 + np.float32(0.1) * np.abs(draw)
    elif len(shape) >= 2:
        value = draw / np.float32(np.sqrt(np.float64(np.prod(shape[1:]))))
    elif key.endswith("weight"):
        value = 1 + np.float32(0.1) * draw
    else:
        value = np.float32(0.02) * draw
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def released_state(manifest: str) -> dict[str, torch.Tensor]:
    """An official state dict by the recipe; the training-only classifier is left at its name but tiny."""
    shapes = json.loads((FOLDER / f"manifest_{manifest}.json").read_text())
    state = {}
    for key, shape in shapes.items():
        shape = tuple(size for size in shape if not isinstance(size, str))
        state[key] = torch.zeros(1, 512) if key.startswith("losses_module.") else weight(key, shape)
    return state


class ModelGolden(Golden):
    def images(self, size: int) -> torch.Tensor:
        return torch.from_numpy(self.normal(f"{self.case}:{size}"))
