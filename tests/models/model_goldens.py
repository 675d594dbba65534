"""Seeded weights and inputs of the recorded model cases, and the comparison with what was recorded."""

import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "golden"
SALT = "public"


def _normal(key: str, shape) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(f"{SALT}:{key}".encode())).standard_normal(shape, dtype=np.float32)


@cache
def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The recipe's value of a tensor with this official name; computed in float32 throughout."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    key = key.replace("mask_map.1.ln.", "mask_map.1.")  # tied: the shorter name wins
    draw = _normal(key, shape)
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
    shapes = json.loads((GOLDEN / f"manifest_{manifest}.json").read_text())
    state = {}
    for key, shape in shapes.items():
        shape = tuple(size for size in shape if not isinstance(size, str))
        state[key] = torch.zeros(1, 512) if key.startswith("losses_module.") else weight(key, shape)
    return state


class ModelGolden:
    def __init__(self, case: str):
        self.about = json.loads((GOLDEN / f"{case}.json").read_text())
        self.arrays = np.load(GOLDEN / f"{case}.npz")
        self.case = case

    def images(self, size: int) -> torch.Tensor:
        name = f"{self.case}:{size}"
        return torch.from_numpy(_normal(f"input:{name}", self.about["inputs"][name]["shape"]))

    def check(self, name: str, found: torch.Tensor) -> None:
        about, expected = self.about["outputs"][name], self.arrays[name]
        found = found.detach().numpy()
        assert list(found.shape) == about["full_shape"], name
        if "full_absmax" in about:  # what the stored slice leaves out
            np.testing.assert_allclose(np.abs(found).max(), about["full_absmax"], atol=about["atol"], err_msg=name)
            np.testing.assert_allclose(found.mean(), about["full_mean"], atol=about["atol"], err_msg=name)
        if "slice" in about:
            found = found[_slices(about["slice"])]
        if "atol" in about:
            np.testing.assert_allclose(found, expected, atol=about["atol"], rtol=about["rtol"], err_msg=name)
        else:
            assert (found != expected).mean() <= 0.002, name  # near ties of an argmax may flip


def _slices(text: str) -> tuple[slice, ...]:
    parts = [part.strip() for part in text.strip("[]").split(",")]
    return tuple(slice(None, None, int(part[2:]) if part.startswith("::") else None) for part in parts)
