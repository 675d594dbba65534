"""Which parameters learn.

Parameters are addressed by glob patterns over their names ("queries.age_morph2.*"), first match wins; a pattern that
matches nothing is an error, because a misspelt one would silently freeze or train the wrong part.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from torch import nn

from faceptor.errors import ConfigError

Parameters = Mapping[str, nn.Parameter]


def named_parameters(model: nn.Module, criteria: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters as patterns call them: the model's by their names, those of criteria as "criteria.<task>...."."""
    return dict(model.named_parameters()) | {f"criteria.{n}": p for n, p in criteria.named_parameters()}


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


def set_modes(*modules: nn.Module, around: bool = False) -> None:
    """Train mode only where something learns: frozen parts keep their statistics and drop nothing. A module without
    parameters (dropout, drop path) does as the module around it does."""
    for module in modules:
        parameters = list(module.parameters())
        module.training = any(p.requires_grad for p in parameters) if parameters else around
        set_modes(*module.children(), around=module.training)
