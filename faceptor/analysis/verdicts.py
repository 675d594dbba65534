"""The papers' claims (experiments/claims.yaml) judged by the runs: holds, does not hold, undecided, not run.

A claim names two variants, or lists of them, and tests; what is compared is the difference of a metric over the seeds
that both variants have, with its 95 % Student t interval (`experiments.paired_difference`), turned so that more is
better for the first variant. What a claim expects of one comparison:

* better, worse: the whole interval lies above, or below, 0;
* not_worse: the whole interval lies above -`within`; close: it lies between -`within` and `within`.

A comparison that is contradicted (the whole interval lies where the claim says it does not) does not hold; the rest is
undecided. With the rule `each` a claim holds if every comparison holds, and does not if one does not; with `mean` the
tests of two variants are one comparison, their mean skill or the mean of one metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from faceptor.analysis import experiments
from faceptor.analysis.experiments import COUNTS, GAP, HEADLINE, LOST, MODEL, SKILL, WORST, Difference
from faceptor.config import Params
from faceptor.config.sections import NonNegative, Real, Section, did_you_mean, explain
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError
from faceptor.io.files import RESULTS
from faceptor.tasks import KINDS, TASKS

FILE = Path("experiments") / "claims.yaml"
WRITTEN = RESULTS / "experiments" / "claims.json"
HOLDS, FAILS, OPEN, NOT_RUN = "holds", "does not hold", "undecided", "not run"
DIGITS = 5  # of what is written
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
    second: Annotated[OneOrMore, Field(min_length=1)]
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
        return self


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


@dataclass(frozen=True)
class Comparison:
    """One difference of a claim and what it says of it; no difference where runs are missing."""

    first: str
    second: str
    tests: tuple[str, ...]
    verdict: str
    difference: Difference | None = None


@dataclass(frozen=True)
class Verdict:
    """A claim and what became of it."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]


# --- reading ----------------------------------------------------------------------------------------------------------


def load_claims(path: Path, params: Params) -> Claims:
    """The claims of a file; ConfigError naming the entry for a key, variant, test or metric that does not exist."""
    values = read_yaml(path, remedy="restore it with Git")
    try:
        claims = Claims.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(explain(e, root=Claims, origin=str(path)) for e in error.errors())) from None
    for claim in claims.claims:
        _check_names(f"{path}: {claim.name}", claim, params)
    return claims


def _check_names(where: str, claim: Claim, params: Params) -> None:
    variants = params.experiments.variants
    for key in ("first", "second"):
        for name in getattr(claim, key):
            if name not in variants:
                raise ConfigError(f"{where}: {key}: no variant {name!r}; {did_you_mean(name, variants)}")
    known = (*TASKS, *params.stage1.tasks, *params.transfer.tasks)
    for test in (*claim.tests, *(pair.test for pair in claim.printed)):
        task = test.split("@")[0]
        if task != MODEL and task not in known and task.split("_")[0] not in KINDS:
            raise ConfigError(f"{where}: tests: no task {task!r}; {did_you_mean(task, known)}")
        if not _may_have(task, claim.metric):
            raise ConfigError(f"{where}: metric: no {claim.metric!r} of {task}; expected {METRICS}, or one of its kind")
    if strangers := [pair.test for pair in claim.printed if pair.test not in claim.tests]:
        raise ConfigError(f"{where}: printed: {', '.join(strangers)} not among tests ({', '.join(claim.tests)})")


def _may_have(task: str, metric: str) -> bool:
    """Whether a task can have a metric; what its runs really have is looked up when they are judged."""
    if task == MODEL:
        return metric in COUNTS
    if metric in (HEADLINE, SKILL, LOST) or metric.startswith((GAP, WORST)):
        return True
    kind = KINDS[task.split("_")[0]]
    return metric.split("_")[0] in {kind.headline.split("_")[0], *experiments.OTHER_DIRECTIONS}


def _check_metric(claim: Claim, table: pd.DataFrame, origin: str) -> None:
    """A metric that no run of the claim's variants has on a test which they answer."""
    for variant in (*claim.first, *claim.second):
        mine = table[table["variant"] == variant]
        if mine.empty:
            continue
        tests = set(mine["test"])
        for test in claim.tests:
            if test not in tests:
                raise ConfigError(f"{origin}: tests: {variant} has no {test!r}; {did_you_mean(test, sorted(tests))}")
            known = {HEADLINE, SKILL, *mine.loc[mine["test"] == test, "metric"]}
            if claim.metric not in known:
                raise ConfigError(
                    f"{origin}: metric: {test} of {variant} has no {claim.metric!r}; "
                    f"{did_you_mean(claim.metric, sorted(known))}"
                )


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(claims: Claims, table: pd.DataFrame, origin: str = str(FILE)) -> list[Verdict]:
    """A verdict on every claim, in the order of the file; `table` is `experiments.load_runs`."""
    return [judge_claim(claim, table, origin) for claim in claims.claims]


def judge_claim(claim: Claim, table: pd.DataFrame, origin: str = str(FILE)) -> Verdict:
    """The verdict on one claim; ConfigError where its runs have no such test or metric."""
    _check_metric(claim, table, f"{origin}: {claim.name}")
    compared = tuple(_compare(claim, table, *pair) for pair in _pairs(claim))
    return Verdict(claim, _together([each.verdict for each in compared]), compared)


def _pairs(claim: Claim) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for first in claim.first:
        for second in claim.second:
            for tests in [claim.tests] if claim.rule == "mean" else [(test,) for test in claim.tests]:
                yield first, second, tests


def _compare(claim: Claim, table: pd.DataFrame, first: str, second: str, tests: tuple[str, ...]) -> Comparison:
    if not {first, second} <= set(table["variant"]):
        return Comparison(first, second, tests, NOT_RUN)
    difference = experiments.paired_difference(table, first, second, tests, claim.metric)
    return Comparison(first, second, tests, outcome(claim.expects, difference.gain(), claim.within), difference)


def outcome(expects: str, gain: tuple[float, float, float], within: float | None = None) -> str:
    """What a gain (mean, low, high) says of an expectation; no seed: not run, one seed: undecided."""
    mean, low, high = gain
    if isnan(mean):
        return NOT_RUN
    if isnan(low):
        return OPEN
    if expects == "worse":
        low, high = -high, -low
    if expects in ("better", "worse"):
        return HOLDS if low > 0 else FAILS if high < 0 else OPEN
    holds = low > -within and (expects == "not_worse" or high < within)
    fails = high < -within or (expects == "close" and low > within)
    return HOLDS if holds else FAILS if fails else OPEN


def _together(verdicts: Sequence[str]) -> str:
    """All of them must hold; one that does not decides, then one that was not run, then one that is open."""
    return next((each for each in (FAILS, NOT_RUN, OPEN) if each in verdicts), HOLDS)


# --- showing and writing ----------------------------------------------------------------------------------------------


def as_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Rows (claim, says, where, first, second, test, metric, seeds, gain, low, high, printed, comparison, verdict).

    gain: of the first over the second in the metric's unit, more is better; printed: the paper's numbers. One row for
    every comparison; `verdict` is that of the whole claim.
    """
    rows = [_row(verdict, each) for verdict in verdicts for each in verdict.comparisons]
    names = ["claim", "says", "where", "first", "second", "test", "metric", "seeds", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "printed", "comparison", "verdict"])


def _row(verdict: Verdict, each: Comparison) -> tuple:
    claim, difference = verdict.claim, each.difference
    gain = difference.gain() if difference else (float("nan"),) * 3
    seeds = len(difference.seeds) if difference else 0
    where = f"{PAPERS[claim.paper]}, {claim.where}"
    test = each.tests[0] if len(each.tests) == 1 else f"mean of {len(each.tests)}"
    metric = difference.metric if difference else claim.metric
    return (
        claim.name, claim.says, where, each.first, each.second, test, metric, seeds, *gain,
        printed_text(claim, each.tests), each.verdict, verdict.verdict,
    )  # fmt: skip


PAPERS = {"faceptor": "Faceptor", "facexformer": "FaceXFormer"}


def printed_text(claim: Claim, tests: Sequence[str]) -> str:
    """The paper's numbers for these tests, "first : second" or "better by"."""
    told = []
    for pair in claim.printed:
        if pair.test in tests:
            told.append(f"{pair.first:g} : {pair.second:g}" if pair.gain is None else f"better by {pair.gain:g}")
    return ", ".join(told)


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many claims have which verdict; all four, in a fixed order."""
    found = [each.verdict for each in verdicts]
    return {name: found.count(name) for name in (HOLDS, FAILS, OPEN, NOT_RUN)}


def as_json(claims: Claims, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What results/experiments/claims.json holds; the same runs give the same file."""
    entries = []
    for verdict in verdicts:
        claim = verdict.claim
        entry = {key: getattr(claim, key) for key in ("name", "paper", "where", "says", "expects", "rule")}
        entry |= {"within": claim.within} if claim.within is not None else {}
        entries.append(entry | {"verdict": verdict.verdict, "compared": [_json(claim, c) for c in verdict.comparisons]})
    return {
        "level": experiments.LEVEL,
        "verdicts": counts(verdicts),
        "claims": entries,
        "not_bound": [each.model_dump() for each in claims.not_bound],
    }


def _json(claim: Claim, each: Comparison) -> dict[str, Any]:
    entry: dict[str, Any] = {"first": each.first, "second": each.second, "tests": list(each.tests)}
    if each.difference is not None and each.difference.seeds:
        mean, low, high = (None if isnan(end) else round(end, DIGITS) for end in each.difference.gain())
        entry |= {"metric": each.difference.metric, "seeds": len(each.difference.seeds), "gain": mean}
        entry |= {"interval": None if low is None else [low, high]}
    printed = [pair.model_dump(exclude_none=True) for pair in claim.printed if pair.test in each.tests]
    return entry | ({"printed": printed} if printed else {}) | {"verdict": each.verdict}


def concerning(verdicts: Iterable[Verdict], variants: Iterable[str]) -> list[Verdict]:
    """Those whose variants are all among these."""
    chosen = set(variants)
    return [each for each in verdicts if {*each.claim.first, *each.claim.second} <= chosen]
