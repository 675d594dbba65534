"""Which parameters learn, how fast: trainable patterns, learning-rate groups, the schedule.

Parameters are addressed by glob patterns over their names ("queries.age_morph2.*"), first match wins; a
pattern that matches nothing is an error, because a misspelt one would silently freeze or train the wrong part.
"""

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import nn

from faceptor.config import Optimiser
from faceptor.errors import ConfigError

Parameters = Mapping[str, nn.Parameter]


def schedule(step: int, *, lr: float, start_lr: float, final_lr: float, warmup: int, steps: int) -> float:
    """Linear from start_lr to lr over `warmup` steps, then half a cosine down to final_lr (paper section 4.1)."""
    if step < warmup:
        return start_lr + (step / warmup) * (lr - start_lr)
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


def build_optimiser(parameters: Parameters, optimiser: Optimiser) -> torch.optim.AdamW:
    """AdamW with one group per multiplier pattern; weight decay on every parameter (paper section 4.1)."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if not parameter.requires_grad:
            continue
        pattern = match(name, optimiser.multipliers)
        if pattern is None:
            raise ConfigError(f"optimiser.multipliers: no pattern matches {name}; add '*' as the last one")
        groups.setdefault(pattern, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "name": pattern, "multiplier": optimiser.multipliers[pattern]}
            for pattern, members in groups.items()
        ],
        lr=optimiser.start_lr,
        weight_decay=optimiser.weight_decay,
        betas=optimiser.betas,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["multiplier"]
