"""The device that a stage runs on."""

import torch

from faceptor.errors import ConfigError


def pick_device(name: str = "auto") -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: not usable here ({str(error).splitlines()[0]})") from None
