"""The device that a stage runs on."""

import os

import torch

from faceptor.errors import ConfigError
from faceptor.io.processes import LOCAL_RANK, started_by_torchrun


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: a GPU if there is one. Of several processes of a machine, each has a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and started_by_torchrun():
        name = f"cuda:{os.environ[LOCAL_RANK]}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: not usable here ({str(error).splitlines()[0]})") from None
