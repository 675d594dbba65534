"""How fast parameters learn: the schedule, learning-rate groups, AdamW and Muon."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from unittest.mock import patch

import torch
from torch import nn

from faceptor._compat import ensure_torchvision
from faceptor.config import Optimiser
from faceptor.errors import ConfigError
from faceptor.training.trainable import Parameters, match

ensure_torchvision()  # timm imports it
from timm.optim import muon as timm_muon  # noqa: E402
from timm.optim.muon import zeropower_via_newtonschulz  # noqa: E402

ADAMW_EPS = 1e-8  # added to the root of the second moment; torch's default


def schedule(step: int, settings: Optimiser, steps: int) -> float:
    """Linear from start_lr to lr over `warmup` steps, then half a cosine down to final_lr (Faceptor, section 4.1).

    With milestones (shares of the run) the rate drops by `decay` at each of them instead (FaceXFormer, section 4).
    """
    lr, start_lr, final_lr, warmup = settings.lr, settings.start_lr, settings.final_lr, settings.warmup
    if step < warmup:
        return start_lr + (step / warmup) * (lr - start_lr)
    if settings.milestones:
        return lr * settings.decay ** sum(step >= share * steps for share in settings.milestones)
    progress = (step - warmup) / (steps - warmup)
    return final_lr + (lr - final_lr) * (1 + math.cos(math.pi * progress)) / 2


def rate_at(step: int, settings: Optimiser, steps: int) -> float:
    """Base learning rate while step `step` (0-based) is computed; groups multiply it.

    The released code moves its scheduler after the optimiser, so step i runs at the scheduled rate of i - 1.
    """
    return schedule(max(step - 1, 0), settings, steps)


def build_optimiser(parameters: Parameters, settings: Optimiser) -> torch.optim.Optimizer:
    """AdamW over everything that learns but what `settings.muon` takes; one group per pattern, weight decay on every
    parameter (Faceptor, section 4.1). On a GPU AdamW is fused: one kernel for many tensors.

    Muon (Jordan 2024) is for matrices, and for kernels (out, in, ...), which learn as matrices (out, in * ...): vectors
    and whatever its patterns leave stay with AdamW. A Muon pattern without a matrix or kernel is an error.
    """
    learning = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    multipliers, muon = ({each.match: each.rate for each in rates} for rates in (settings.multipliers, settings.muon))
    for pattern in muon:
        if not any(parameter.ndim > 1 and fnmatchcase(name, pattern) for name, parameter in parameters.items()):
            raise ConfigError(f"optimiser.muon: pattern {pattern!r} matches no matrix; vectors use AdamW")
    matrices = {n: p for n, p in learning.items() if p.ndim > 1 and match(n, muon) is not None}
    others = _groups({n: p for n, p in learning.items() if n not in matrices}, multipliers)

    common = {"lr": settings.start_lr, "weight_decay": settings.weight_decay, "betas": settings.betas}
    if not matrices:
        fused = all(parameter.is_cuda for parameter in learning.values())  # on a CPU it rounds otherwise
        return torch.optim.AdamW(others, fused=fused or None, **common)
    adamw = {"use_fallback": True, "nesterov": False, "eps": ADAMW_EPS}  # with `nesterov`, timm falls back on NAdamW
    groups = [group | adamw for group in others] + [group | {"use_muon": True} for group in _groups(matrices, muon)]
    return Muon(groups, momentum=settings.momentum, nesterov=True, ns_coefficients="original", **common)


class Muon(timm_muon.Muon):
    """timm's Muon, which orthogonalises in bfloat16: on a CPU, in float32. Many CPUs have no instructions for bfloat16
    and take up to seventeen times as long in it."""

    def step(self, closure=None):
        """As timm's."""
        with patch.object(timm_muon, "zeropower_via_newtonschulz", _orthogonalised):
            return super().step(closure)


def _orthogonalised(matrix: torch.Tensor, *arguments, **settings) -> torch.Tensor:
    dtype = torch.float32 if matrix.device.type == "cpu" else torch.bfloat16
    return zeropower_via_newtonschulz(matrix, *arguments, dtype=dtype, **settings)


def _groups(parameters: Parameters, rates: Mapping[str, float]) -> list[dict]:
    """One group per pattern of `rates`, in the order in which the parameters meet them."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        pattern = match(name, rates)
        if pattern is None:
            raise ConfigError(f"optimiser.multipliers: no pattern matches {name}; add '*' as the last one")
        groups.setdefault(pattern, []).append(parameter)
    return [{"params": members, "name": pattern, "multiplier": rates[pattern]} for pattern, members in groups.items()]


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        lr = group["lr"]
        if isinstance(lr, torch.Tensor) and lr.is_cuda:  # a recorded step reads it there
            lr.fill_(rate * group["multiplier"])
        else:
            group["lr"] = rate * group["multiplier"]
