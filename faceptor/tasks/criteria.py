"""What params.yaml may say of a task's criterion and augmentation, known without loading torch.

The losses are built in the modules of the kinds (`Kind.losses`); a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faceptor.config.sections import AtKey, did_you_mean

# Kind -> its losses, the default first -> the numbers that a criterion may give.
LOSSES: dict[str, dict[str, tuple[str, ...]]] = {
    "landmarks": {
        "heatmap": ("radius", "map_size", "coordinate", "heatmap"),
        "star": ("beta", "epsilon", "eigenvalue"),
        "l1": ("beta",),
    },
    "parsing": {"cross_entropy": (), "dice_ce": ("dice", "ce"), "batch_dice_ce": ("dice", "ce")},
    "age": {"dldl": ("sigma", "kl", "l1"), "l1_ce": ("ce", "l1")},
    "expression": {"cross_entropy": ()},
    "attributes": {"bce": (), "bce_mean": ()},
    "rating": {"l1": (), "mse": ()},
    "recognition": {"cosface": ("scale", "margin"), "arcface": ("scale", "margin")},
    "pose": {"geodesic": ()},
    "gender": {"cross_entropy": ()},
    "race": {"cross_entropy": ()},
    "agegroup": {"cross_entropy": (), "l1_ce": ("ce", "l1")},
    "visibility": {"bce": (), "bce_mean": ()},
}
GEOMETRIC = {"landmarks", "parsing", "pose"}  # labels that move with the pixels: only crop and mirror may displace them
LARGEST_NUMBER = 1e6


def check_criterion(kind: str, criterion: Mapping[str, Any]) -> None:
    """Raise AtKey, with the key below `criterion`, for a loss, a number or a value that the kind does not have."""
    losses = LOSSES[kind]
    name = criterion.get("loss", next(iter(losses)))
    if name not in losses:
        raise AtKey("loss", f"expected one of {', '.join(losses)}, found {name!r}")
    for key, value in criterion.items():
        if key == "loss":
            continue
        if key not in losses[name]:
            raise AtKey(key, f"unknown key; {did_you_mean(key, ('loss', *losses[name]))} (loss {name})")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_NUMBER:
            raise AtKey(key, f"expected a number from 0 to {LARGEST_NUMBER:g}, found {value!r}")
