"""Which parameters learn, how fast: trainable patterns, learning-rate groups, the schedule.

Parameters are addressed by glob patterns over their names ("queries.age_morph2.*"), first match wins; a
pattern that matches nothing is an error, because a misspelt one would silently freeze or train the wrong part.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from faceptor._compat import ensure_torchvision
from faceptor.config import Optimiser
from faceptor.errors import ConfigError

ensure_torchvision()  # timm imports it
from timm.optim.muon import get_lr_scale, zeropower_via_newtonschulz  # noqa: E402

Parameters = Mapping[str, nn.Parameter]


def schedule(
    step: int,
    *,
    lr: float,
    start_lr: float,
    final_lr: float,
    warmup: int,
    steps: int,
    milestones: Sequence[float] = (),
    decay: float = 0.1,
) -> float:
    """Linear from start_lr to lr over `warmup` steps, then half a cosine down to final_lr (Faceptor, section 4.1).

    With milestones (shares of the run) the rate drops by `decay` at each of them instead (FaceXFormer, section 4).
    """
    if step < warmup:
        return start_lr + (step / warmup) * (lr - start_lr)
    if milestones:
        return lr * decay ** sum(step >= share * steps for share in milestones)
    progress = (step - warmup) / (steps - warmup)
    return final_lr + (lr - final_lr) * (1 + math.cos(math.pi * progress)) / 2


def rate_at(step: int, optimiser: Optimiser, steps: int) -> float:
    """Base learning rate while step `step` (0-based) is computed; groups multiply it.

    The released code moves its scheduler after the optimiser, so step i runs at the scheduled rate of i - 1.
    """
    return schedule(
        max(step - 1, 0),
        lr=optimiser.lr,
        start_lr=optimiser.start_lr,
        final_lr=optimiser.final_lr,
        warmup=optimiser.warmup,
        steps=steps,
        milestones=optimiser.milestones,
        decay=optimiser.decay,
    )


def match(name: str, patterns: Iterable[str]) -> str | None:
    """The first pattern that the name matches, or None."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def set_trainable(parameters: Parameters, patterns: Iterable[str], *, what: str) -> list[str]:
    """Let exactly the matching parameters learn; return their names.

    Parameters marked `frozen` (published but unused ones) never learn.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            parts = sorted({name.split(".")[0] for name in parameters})
            raise ConfigError(f"{what}: pattern {pattern!r} matches no parameter; parts are {', '.join(parts)}")
    chosen = []
    for name, parameter in parameters.items():
        learns = match(name, patterns) is not None and not getattr(parameter, "frozen", False)
        parameter.requires_grad_(learns)
        if learns:
            chosen.append(name)
    if not chosen:
        raise ConfigError(f"{what}: {patterns} leaves nothing to train")
    return chosen


def build_optimisers(parameters: Parameters, optimiser: Optimiser) -> dict[str, torch.optim.Optimizer]:
    """AdamW over everything that learns but what `optimiser.muon` takes; one group per pattern, weight decay on every
    parameter (paper section 4.1).

    Muon (Jordan 2024) is for matrices and kernels between features: vectors and whatever its patterns
    leave stay with AdamW. A Muon pattern without a matrix or kernel is an error.
    """
    learning = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    multipliers, muon = ({each.match: each.rate for each in rates} for rates in (optimiser.multipliers, optimiser.muon))
    matrices = {n: p for n, p in learning.items() if p.ndim > 1 and match(n, muon) is not None}
    others = {name: parameter for name, parameter in learning.items() if name not in matrices}
    for pattern in muon:
        if not any(parameter.ndim > 1 and fnmatchcase(name, pattern) for name, parameter in parameters.items()):
            raise ConfigError(f"optimiser.muon: pattern {pattern!r} matches no matrix; vectors use AdamW")

    common = {"lr": optimiser.start_lr, "weight_decay": optimiser.weight_decay}
    optimisers: dict[str, torch.optim.Optimizer] = {}
    if others:
        groups = _groups(others, multipliers)
        optimisers["adamw"] = torch.optim.AdamW(groups, betas=optimiser.betas, **common)
    if matrices:
        groups = _groups(matrices, muon)
        optimisers["muon"] = Muon(groups, momentum=optimiser.momentum, adjust_lr_fn="match_rms_adamw", **common)
    return optimisers


class Muon(torch.optim.Muon):
    """torch.optim.Muon for convolutions, too: a kernel (out, in, ...) learns as the matrix (out, in * ...)."""

    def __init__(self, groups: list[dict], **settings):
        self.kernels: list[nn.Parameter] = []
        groups = [group | {"params": [self.matrix(parameter) for parameter in group["params"]]} for group in groups]
        super().__init__(groups, **settings)

    def matrix(self, parameter: nn.Parameter) -> nn.Parameter:
        """The parameter itself, or a matrix that shares its numbers and, after every backward pass, its gradient."""
        if parameter.ndim == 2:
            return parameter
        matrix = nn.Parameter(parameter.detach().flatten(1))
        if matrix.data_ptr() != parameter.data_ptr():
            raise ConfigError("optimiser.muon: a kernel is not contiguous in memory; leave it to AdamW")
        parameter.register_post_accumulate_grad_hook(lambda p: setattr(matrix, "grad", p.grad.flatten(1)))
        self.kernels.append(parameter)
        return matrix

    @torch.no_grad()
    def step(self) -> None:
        """As torch.optim.Muon steps, but on a CPU the matrices are orthogonalised in float32: many have no instructions
        for bfloat16 and take five times as long in it."""
        for group in self.param_groups:
            for matrix in (each for each in group["params"] if each.grad is not None):
                momentum = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                direction = zeropower_via_newtonschulz(
                    matrix.grad.lerp(momentum, group["momentum"]),
                    steps=group["ns_steps"],
                    coefficients=[group["ns_coefficients"]],
                    eps=group["eps"],
                    dtype=torch.float32 if matrix.device.type == "cpu" else torch.bfloat16,
                )
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                scale = get_lr_scale(matrix.shape, group["adjust_lr_fn"])
                matrix.add_(direction.to(matrix.dtype), alpha=-group["lr"] * scale)

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for kernel in self.kernels:
            kernel.grad = None


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
        group["lr"] = rate * group["multiplier"]
