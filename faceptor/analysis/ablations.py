"""What the notebook `ablations` shows: chosen variants beside a baseline, seed by seed, and in words."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from faceptor.analysis import experiment_figures, experiments, markdown, verdicts
from faceptor.analysis.experiments import HEADLINE, MODEL, SKILL, Difference
from faceptor.analysis.verdicts import Verdict
from faceptor.config import Params
from faceptor.config.sections import did_you_mean
from faceptor.errors import ConfigError, DataError

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.figure import Figure

MOST_NAMED = 6  # variants in one sentence
NOT_RUN = "Nothing was run with these parameters: `make experiments` runs the variants of `params.yaml`."
HOW_TO_ADD = """
```
faceptor params check                   # after these lines below experiments.variants in params.yaml:
#   deeper: {overrides: {model: {decoder: {depth: 3}}}, about: three decoder layers}
faceptor experiment all deeper          # its runs; without a name all that are missing or changed (make experiments)
faceptor experiment verdicts            # judges the papers' claims again
faceptor notebook ablations
```

`notebooks.ablations.variants: [deeper]` shows it alone. A sentence that it is to decide goes into
`experiments/claims.yaml`. What a variant may say is in `docs/experiments.md`.
"""


# --- which variants -------------------------------------------------------------------------------------------------


def wanted(params: Params, patterns: Sequence[str], *, baseline: str) -> list[str]:
    """Variants that match a name or glob (none given: all), the baseline first; ConfigError for a pattern that no
    variant matches and for an unknown baseline."""
    known = list(params.experiments.variants)
    if not known and not patterns:
        return []
    if baseline not in known:
        raise ConfigError(f"notebooks.ablations.baseline: no variant {baseline!r}; {did_you_mean(baseline, known)}")
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ConfigError(
                f"notebooks.ablations.variants: {pattern!r} matches no variant; {did_you_mean(pattern, known)}"
            )
    others = [name for name in known if not patterns or any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    return list(dict.fromkeys([baseline, *others]))


def comparable(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those after the first that share a test with it; empty where nothing was run, DataError where runs are there but
    none of these can be compared."""
    if table.empty:
        return []
    baseline, *others = names
    found = [name for name in others if experiments.tests_in_common(table, name, baseline)]
    if not found:
        raise DataError(
            f"{experiments.RUNS}: no run of the chosen variants shares a test with {baseline!r}; run them with "
            "`faceptor experiment run`, or name another baseline"
        )
    return found


def runs_there(params: Params, root: Path) -> list[str]:
    """How much was run, in words."""
    expected, lacking = experiments.expected_runs(params), experiments.missing_runs(params, root)
    if len(lacking) == len(expected):
        return [NOT_RUN]
    said = [f"{len(expected) - len(lacking)} of {len(expected)} runs are there."]
    names = list(dict.fromkeys(name for name, _ in lacking))
    return said + ([f"Missing, at least in part: {', '.join(names)}."] if names else [])


# --- tables and figures ---------------------------------------------------------------------------------------------


def overview(params: Params, table: pd.DataFrame, variants: Sequence[str], metric: str = SKILL) -> Markdown:
    """A row per variant: what it is, seeds, parameters in thousands, then each test's mean over seeds ± the standard
    deviation of a seed; empty where a variant has no such test. One sentence where nothing was run."""
    if table.empty:
        return markdown.sentences([NOT_RUN])
    found = experiments.summary(table, variants, metric)
    tests = [test for test in found["test"].unique() if test != MODEL]
    rows = []
    for name in variants:
        mine = found[found["variant"] == name].set_index("test")
        counts = experiments.values_of(table, name, MODEL, "total_parameters")
        row = {
            "variant": name,
            "about": params.experiments.variants[name].about,
            "seeds": int(mine["seeds"].max()) if len(mine) else 0,
            "parameters, k": f"{counts.iloc[0] / 1e3:,.0f}" if len(counts) else "",
        }
        rows.append(row | {test: _spread(mine, test) for test in tests})
    return markdown.table(pd.DataFrame(rows), index=False)


def _spread(mine: pd.DataFrame, test: str) -> str:
    if test not in mine.index:
        return ""
    mean, spread = mine.loc[test, "mean"], mine.loc[test, "spread"]
    digits = 3 if abs(mean) < 10 else 1
    return f"{mean:.{digits}f}" + ("" if isnan(spread) else f" ± {spread:.{digits}f}")


def differences(table: pd.DataFrame, variants: Sequence[str], baseline: str, metric: str = SKILL) -> list[Difference]:
    """Each variant less the baseline: the mean over the tests that both have, where the metric is the same for all
    (skill), or else one for every test."""
    found = list(_compared(table, variants, baseline, metric, together=metric == SKILL))
    if variants and not found:
        known = sorted({SKILL, HEADLINE, *table["metric"]})
        raise ConfigError(f"notebooks.ablations.metric: no test has {metric!r} here; {did_you_mean(metric, known)}")
    return found


def _compared(
    table: pd.DataFrame, variants: Sequence[str], baseline: str, metric: str, *, together: bool
) -> Iterator[Difference]:
    """Each variant less the baseline, over all tests that both have or over every test that has the metric."""
    for name in variants:
        runs = experiments.runs_of(table, name, baseline)
        tests = experiments.tests_in_common(runs, name, baseline)
        alone = ([test] for test in tests if not experiments.values_of(runs, name, test, metric).empty)
        for group in [tests] if together else alone:
            if (difference := experiments.paired_difference(runs, name, baseline, group, metric)).seeds:
                yield difference


def gains_by_test(table: pd.DataFrame, variants: Sequence[str], baseline: str, metric: str = SKILL) -> pd.DataFrame:
    """Rows (variant, test, gain, low, high, decided): one comparison for every test in common."""
    found = _compared(table, variants, baseline, metric, together=False)
    rows = [(each.first, each.tests[0], *each.gain(), each.decided) for each in found]
    return pd.DataFrame(rows, columns=["variant", "test", "gain", "low", "high", "decided"])


def dots(found: Sequence[Difference], unit: str = SKILL) -> Figure | Markdown:
    """`experiment_figures.difference_dots`, or one sentence where nothing was run."""
    return experiment_figures.difference_dots(found, unit=unit) if found else markdown.sentences([NOT_RUN])


def map_of_tests(table: pd.DataFrame, variants: Sequence[str], baseline: str, metric: str = SKILL) -> Figure | Markdown:
    """`experiment_figures.gain_map` of `gains_by_test`, or one sentence where nothing was run."""
    if not variants:
        return markdown.sentences([NOT_RUN])
    return experiment_figures.gain_map(gains_by_test(table, variants, baseline, metric), unit=metric)


def verdict_table(judged: Sequence[Verdict]) -> Markdown:
    """A row for every comparison of every claim, the claim itself once."""
    if not judged:
        return markdown.sentences(["No claim is about these variants alone."])
    table = verdicts.as_table(judged)
    again = table.duplicated("claim")
    shown = {
        "claim": (table["says"] + " (" + table["where"] + ")").mask(again, ""),
        "verdict": table["verdict"].mask(again, ""),
        "first : second": table["first"] + " : " + table["second"],
        "test": table["test"],
        "metric": table["metric"],
        "seeds": table["seeds"],
        "gain": list(map(interval_text, table["gain"], table["low"], table["high"])),
        "printed": table["printed"],
        "alone": table["comparison"],
    }
    return markdown.table(pd.DataFrame(shown), index=False)


def interval_text(mean: float, low: float, high: float) -> str:
    """A gain and its interval, as +0.012 [-0.003, +0.027]; nothing without a mean, no brackets for one seed."""
    if isnan(mean):
        return ""
    largest = max(abs(number) for number in (mean, low, high) if not isnan(number))
    digits = 3 if largest < 1 else 2 if largest < 1000 else 0
    told = [f"{round(number, digits) + 0.0:+,.{digits}f}" for number in (mean, low, high)]  # + 0.0: no -0.000
    return told[0] + ("" if isnan(low) else f" [{told[1]}, {told[2]}]")


def how_to_add() -> Markdown:
    """Five lines, as in docs/experiments.md."""
    from IPython.display import Markdown

    return Markdown(HOW_TO_ADD)


# --- in words -------------------------------------------------------------------------------------------------------


def conclusions(found: Sequence[Difference], judged: Sequence[Verdict], *, unit: str = SKILL) -> list[str]:
    """The differences and the verdicts in words; every number is computed."""
    return (_of_differences(found, unit) if found else [NOT_RUN]) + _of_verdicts(judged)


def _of_differences(found: Sequence[Difference], unit: str) -> list[str]:
    decided = sorted((each for each in found if each.decided), key=lambda each: -abs(each.gain()[0]))
    better = [each for each in decided if each.gain()[0] > 0]
    worse = [each for each in decided if each.gain()[0] < 0]
    seeds = sorted({len(each.seeds) for each in found})
    said = [
        f"{len(found)} comparisons with {found[0].second} over {' or '.join(map(str, seeds))} seeds: "
        f"{_names('better', better)}, {_names('worse', worse)}, {len(found) - len(decided)} undecided."
    ]
    for each in decided[:MOST_NAMED]:
        on = each.tests[0] if len(each.tests) == 1 else f"{len(each.tests)} tests"
        said.append(f"{each.first}: gain of {interval_text(*each.gain())} in {unit} on {on}.")
    return said


def _of_verdicts(judged: Sequence[Verdict]) -> list[str]:
    if not judged:
        return ["No claim is about these variants alone."]
    counts = verdicts.counts(judged)
    said = [f"{len(judged)} claims of the papers: {', '.join(f'{name} {n}' for name, n in counts.items() if n)}."]
    run = [each for verdict in judged for each in verdict.comparisons if each.verdict != verdicts.NOT_RUN]
    if unlearnt := sum(not each.learnt for each in run):
        said.append(f"{unlearnt} comparisons are of tests that neither variant has learnt, and decide nothing.")
    if run:
        said.append(
            f"Behind them are {len(run)} comparisons at 95 %; if nothing made a difference, about "
            f"{(1 - experiments.LEVEL) * len(run):.1f} of these intervals would still leave out 0."
        )
    return said


def _names(what: str, found: Sequence[Difference]) -> str:
    names = list(dict.fromkeys(each.first for each in found))
    return f"{len(found)} {what}" + (f" ({', '.join(names)})" if 0 < len(names) <= MOST_NAMED else "")
