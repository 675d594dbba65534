"""The papers' claims (experiments/claims.yaml) judged by the runs: holds, does not hold, undecided, not run.

A claim names two variants, or lists of them, and tests; what is compared is the difference of a metric over the seeds
that both variants have, with its 95 % Student t interval (`experiments.paired_difference`), turned so that more is
better for the first variant. What a claim expects of one comparison:

* better, worse: the whole interval lies above, or below, 0;
* not_worse: the whole interval lies above -`within`; close: it lies between -`within` and `within`.

A comparison that is contradicted (the whole interval lies where the claim says it does not) does not hold; the rest is
undecided. So is what neither variant has learnt (a mean skill of at most 0 in both): how far two models that are no
better than a constant answer lie apart says nothing about what they are made of.

With the rule `each` a claim holds if every comparison holds, and does not if one does not; with `mean` the tests of two
variants are one comparison, their mean skill or the mean of one metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pandas as pd

from faceptor.analysis import experiments
from faceptor.analysis.experiments import GAP, HEADLINE, MODEL, SKILL, WORST, Difference
from faceptor.analysis.paper_claims import FILE, PAPERS, Claim, Claims
from faceptor.config.sections import did_you_mean
from faceptor.errors import ConfigError
from faceptor.io.files import RESULTS

WRITTEN = RESULTS / "experiments" / "claims.json"
HOLDS, FAILS, OPEN, NOT_RUN = "holds", "does not hold", "undecided", "not run"
DIGITS = 5  # of what is written


@dataclass(frozen=True)
class Comparison:
    """One difference of a claim and what it says of it; no difference where runs are missing. learnt: whether one of
    the two is better than the constant baseline."""

    first: str
    second: str
    tests: tuple[str, ...]
    verdict: str
    difference: Difference | None = None
    learnt: bool = True


@dataclass(frozen=True)
class Verdict:
    """A claim and what became of it."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(claims: Claims, table: pd.DataFrame, origin: str = str(FILE)) -> list[Verdict]:
    """A verdict on every claim, in the order of the file; `table` is `experiments.load_runs`."""
    return [judge_claim(claim, table, origin) for claim in claims.claims]


def judge_claim(claim: Claim, table: pd.DataFrame, origin: str = str(FILE)) -> Verdict:
    """The verdict on one claim; ConfigError where its runs have no such test or metric."""
    _check_metric(claim, table, f"{origin}: {claim.name}")
    compared = tuple(_compare(claim, table, *pair) for pair in claim.pairs())
    return Verdict(claim, _together([each.verdict for each in compared]), compared)


def _check_metric(claim: Claim, table: pd.DataFrame, origin: str) -> None:
    """A test, or a metric of it, that no run of the claim's variants has."""
    metric = claim.metric
    asked = [(variant, test) for *pair, tests in claim.pairs() for variant in pair for test in tests]
    for variant, test in asked:
        runs, where = table[table["variant"] == variant], f"{origin}: {variant}: {test}"
        if runs.empty:
            continue
        if test not in set(runs["test"]):
            raise ConfigError(f"{where}: no such test in its runs; {did_you_mean(test, sorted(set(runs['test'])))}")
        known = {HEADLINE, SKILL, *runs.loc[runs["test"] == test, "metric"]}
        if metric not in known and not metric.startswith((GAP, WORST)):  # these need faces enough in every group
            raise ConfigError(f"{where}: no metric {metric!r} in its runs; {did_you_mean(metric, sorted(known))}")


def _compare(claim: Claim, table: pd.DataFrame, first: str, second: str, tests: tuple[str, ...]) -> Comparison:
    runs = experiments.runs_of(table, first, second)
    if not {first, second} <= set(runs["variant"]):
        return Comparison(first, second, tests, NOT_RUN)
    difference = experiments.paired_difference(runs, first, second, tests, claim.metric)
    found = outcome(claim.expects, difference.gain(), claim.within)
    learnt = any(_has_learnt(runs, variant, tests) for variant in (first, second))
    return Comparison(first, second, tests, found if learnt or found == NOT_RUN else OPEN, difference, learnt)


def _has_learnt(table: pd.DataFrame, variant: str, tests: Sequence[str]) -> bool:
    """Whether the mean skill over tests and seeds is above 0; what is counted and not measured needs no learning."""
    skills = [experiments.values_of(table, variant, test, SKILL).mean() for test in tests if test != MODEL]
    return not skills or sum(skills) / len(skills) > 0


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
        entry |= {"note": claim.note} if claim.note else {}
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
        entry |= {"interval": None if low is None else [low, high]} | ({} if each.learnt else {"learnt": False})
    printed = [pair.model_dump(exclude_none=True) for pair in claim.printed if pair.test in each.tests]
    return entry | ({"printed": printed} if printed else {}) | {"verdict": each.verdict}


def concerning(verdicts: Iterable[Verdict], variants: Iterable[str]) -> list[Verdict]:
    """Those whose variants are all among these."""
    chosen = set(variants)
    return [each for each in verdicts if set(each.claim.variants) <= chosen]
