"""The optimiser section of a stage."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from faceptor.config.sections import NonNegative, OrNone, Positive, Section, Share, Whole


class Rate(Section):
    """How fast the parameters learn whose names match a pattern, as a multiple of the optimiser's `lr`."""

    match: Annotated[str, Field(min_length=1)]  # a glob pattern over parameter names, e.g. "encoder.*"
    rate: NonNegative


def rates(multiples: Mapping[str, float]) -> tuple[Rate, ...]:
    """Pattern -> multiple of `lr`, as the optimiser's list: the first pattern that a name matches holds."""
    return tuple(Rate(match=pattern, rate=rate) for pattern, rate in multiples.items())


def _a_list(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError("expected a list, e.g. [{match: 'queries.*', rate: 10.0}]; the first match holds")
    return value


def _each_once(value: tuple[Rate, ...]) -> tuple[Rate, ...]:
    patterns = [rate.match for rate in value]
    if twice := {pattern for pattern in patterns if patterns.count(pattern) > 1}:
        raise ValueError(f"the pattern {min(twice)!r} stands here twice")
    return value


Rates = Annotated[tuple[Rate, ...], BeforeValidator(_a_list), AfterValidator(_each_once)]


class Optimiser(Section):
    """AdamW with linear warm-up and cosine decay; a part's rate is `lr` times the first matching multiplier.

    milestones: shares of the run after which the rate drops by the factor `decay`, instead of the cosine.
    muon: patterns of parts whose matrices learn by Muon instead, at `lr` times the rate beside the pattern. Its steps
    have the size of AdamW's but the same length in every direction, so that no task's gradient drowns another's.
    momentum: of Muon.
    """

    lr: Positive = 5e-5
    start_lr: NonNegative = 1e-6
    final_lr: NonNegative = 0.0
    multipliers: Rates = rates({"encoder.*": 1.0, "*": 10.0})
    weight_decay: NonNegative = 0.05
    clip: OrNone[Positive] = 5.0  # largest norm of the gradient
    milestones: tuple[Share, ...] = ()
    decay: Positive = 0.1
    warmup: Whole = 2000
    betas: tuple[Share, Share] = (0.9, 0.999)
    muon: Rates = ()
    momentum: Share = 0.95
