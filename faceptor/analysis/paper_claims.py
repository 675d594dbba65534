"""The papers' claims as experiments/claims.yaml states them, each bound to variants, tests and a metric."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from faceptor.analysis.experiments import COUNTS, GAP, HEADLINE, LOST, MODEL, OTHER_DIRECTIONS, SKILL, WORST
from faceptor.config import Params, load_preset, preset_names
from faceptor.config.sections import NonNegative, Real, Section, all_explained, did_you_mean
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError
from faceptor.tasks import KINDS, TASKS

FILE = Path("experiments") / "claims.yaml"
PAPERS = {"faceptor": "Faceptor", "facexformer": "FaceXFormer"}
METRICS = f"{HEADLINE}, {SKILL}, {LOST}, {GAP}<column>, {WORST}<column>, of the test {MODEL} {', '.join(COUNTS)}"

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda it: (it,) if isinstance(it, str) else it)]


class PrintedPair(Section):
    """What a paper prints for a comparison: both numbers, or only by how much the first is better."""

    test: str
    first: Real | None = None
    second: Real | None = None
    gain: Real | None = None


class Claim(Section):
    """A sentence of a paper, and what would have to be seen in the runs."""

    name: str
    paper: Literal["faceptor", "facexformer"]
    where: str
    says: str
    first: Annotated[OneOrMore, Field(min_length=1)]
    second: Annotated[OneOrMore | dict[str, str], Field(min_length=1)]  # or a variant for each test
    tests: Annotated[OneOrMore, Field(min_length=1)]
    metric: str = HEADLINE
    expects: Literal["better", "worse", "not_worse", "close"]
    within: NonNegative | None = None  # in the unit of the metric; of skill where that is asked
    rule: Literal["each", "mean"] = "each"
    printed: tuple[PrintedPair, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _margin(self):
        if (self.within is not None) != (self.expects in ("not_worse", "close")):
            raise ValueError(f"within: needed by not_worse and close alone, found {self.within} for {self.expects}")
        if isinstance(self.second, dict) and (set(self.second) != set(self.tests) or self.rule != "each"):
            raise ValueError(f"second: expected one variant for each of tests, and rule each, found {self.second}")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """All that it compares, each once."""
        second = self.second.values() if isinstance(self.second, dict) else self.second
        return tuple(dict.fromkeys((*self.first, *second)))

    def pairs(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """(first, second, tests) of every comparison."""
        if isinstance(self.second, dict):
            yield from ((first, self.second[test], (test,)) for first in self.first for test in self.tests)
            return
        for first in self.first:
            for second in self.second:
                for tests in [self.tests] if self.rule == "mean" else [(test,) for test in self.tests]:
                    yield first, second, tests


class NotBound(Section):
    """A sentence of a paper that no variant can judge, and why."""

    name: str
    paper: Literal["faceptor", "facexformer"]
    where: str
    says: str
    why: str


class Claims(Section):
    claims: tuple[Claim, ...]
    not_bound: tuple[NotBound, ...] = ()

    @model_validator(mode="after")
    def _once(self):
        names = [claim.name for claim in (*self.claims, *self.not_bound)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"claims: {', '.join(twice)} given twice")
        return self


def load_claims(path: Path, params: Params) -> Claims:
    """The claims of a file; ConfigError naming the entry for a key, variant, test or metric that does not exist."""
    values = read_yaml(path, remedy="restore it with Git")
    try:
        claims = Claims.model_validate(values)
    except ValidationError as error:
        raise ConfigError(all_explained(error, root=Claims, origin=str(path))) from None
    for claim in claims.claims:
        _check_names(f"{path}: {claim.name}", claim, params)
    return claims


def _check_names(where: str, claim: Claim, params: Params) -> None:
    for name in claim.variants:
        if name not in params.experiments.variants and name not in _of_presets():
            key = "first" if name in claim.first else "second"
            raise ConfigError(f"{where}: {key}: no variant {name!r}; {did_you_mean(name, params.experiments.variants)}")
    known = (*TASKS, *params.stage1.tasks, *params.transfer.tasks)
    for test in (*claim.tests, *(pair.test for pair in claim.printed)):
        task = test.split("@")[0]
        if task != MODEL and task not in known and task.split("_")[0] not in KINDS:
            raise ConfigError(f"{where}: tests: no task {task!r}; {did_you_mean(task, known)}")
        if not _may_have(task, claim.metric):
            raise ConfigError(f"{where}: metric: no {claim.metric!r} of {task}; expected {METRICS}, or one of its kind")
    if strangers := [pair.test for pair in claim.printed if pair.test not in claim.tests]:
        raise ConfigError(f"{where}: printed: {', '.join(strangers)} not among tests ({', '.join(claim.tests)})")


@cache
def _of_presets() -> set[str]:
    """The variants of all presets: one that params.yaml does not have may be that of another, and is not run here."""
    return {name for preset in preset_names() for name in load_preset(preset).experiments.variants}


def _may_have(task: str, metric: str) -> bool:
    """Whether a task can have a metric; what its runs really have is looked up when they are judged."""
    if task == MODEL:
        return metric in COUNTS
    if metric in (HEADLINE, SKILL, LOST) or metric.startswith((GAP, WORST)):
        return True
    kind = KINDS[task.split("_")[0]]
    return metric.split("_")[0] in {kind.headline.split("_")[0], *OTHER_DIRECTIONS}
