"""Runs of the experiments (`experiments` of params.yaml) as tables: what was measured, and differences paired by seed.

A run is results/experiments/runs/<variant>-<seed>.json. Which runs there should be is asked of the parameters and never
of the folder, so a file left behind by a variant that is gone is not read; runs that are missing are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # quantiles of Student's t; scipy.stats has them too, and takes a second to import

from faceptor.config import Params
from faceptor.config.sections import did_you_mean, spelled
from faceptor.errors import ConfigError, DataError
from faceptor.io.files import RESULTS, read_json
from faceptor.tasks import KINDS

RUNS = RESULTS / "experiments" / "runs"
LEVEL = 0.95  # of every interval over seeds
MODEL = "model"  # a test of its own for what is counted and not measured on faces
COUNTS = ("total_parameters", "trainable_parameters", "steps")
SKILL, LOST = "skill", "skill_lost"
GAP, WORST = "gap_by_", "worst_by_"  # + a column of groups: best less worst group, and the worst group's value
FEWEST_FACES = 8  # of a group: runs are judged on few faces, and the spread over seeds tells what of a gap is chance
HEADLINE = "headline"  # stands for the metric that stands for a test
COLUMNS = ["variant", "seed", "test", "dataset", "generated", "metric", "headline", "value", "skill"]

# First words of metrics whose direction is not that of their kind's headline: True if more is better.
OTHER_DIRECTIONS = {
    "auc": True, "cs5": True, "pearson": True, "ccc": True,
    "std": False, "calibration": False, "gap": False, SKILL: True,
}  # fmt: skip


# --- reading ----------------------------------------------------------------------------------------------------------


def expected_runs(params: Params) -> list[tuple[str, int]]:
    """(variant, seed) of every run that params.yaml asks for, in its order."""
    experiments = params.experiments
    return [(name, seed) for name in experiments.variants for seed in experiments.seeds]


def run_path(root: Path, variant: str, seed: int) -> Path:
    """The result file of a run."""
    return Path(root) / RUNS / f"{variant}-{seed}.json"


def missing_runs(params: Params, root: Path) -> list[tuple[str, int]]:
    """(variant, seed) of the runs that have no result yet."""
    return [run for run in expected_runs(params) if not run_path(root, *run).is_file()]


def load_runs(params: Params, root: Path) -> pd.DataFrame:
    """Rows (variant, seed, test, dataset, generated, metric, headline, value, skill) of every run that is there.

    generated: whether the test faces were; skill: the test's, repeated on each of its metrics; headline: whether the
    metric stands for the test. Values have the unit of the metric (percent, years, degrees). Besides what was measured
    there are `skill_lost` on the test of a transfer, `gap_by_<column>` and `worst_by_<column>` where groups are known,
    and the counts of the test `model`.
    Raises DataError for a file that is no run, or that of another variant or seed.
    """
    rows = [row for run in _found(params, root) for row in _rows(*run)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _found(params: Params, root: Path) -> Iterator[tuple[str, int, dict]]:
    for variant, seed in expected_runs(params):
        path = run_path(root, variant, seed)
        if path.is_file():
            run = read_json(path)
            _check(path, run, variant, seed)
            yield variant, seed, run


def _check(path: Path, run: Mapping, variant: str, seed: int) -> None:
    missing = [key for key in ("variant", "seed", "tests") if key not in run]
    if missing:
        raise DataError(f"{path}: expected a run with {', '.join(missing)}, found none; run this variant again")
    if (run["variant"], run["seed"]) != (variant, seed):
        found = f"{run['variant']}-{run['seed']}"
        raise DataError(f"{path}: expected the run {variant}-{seed}, found that of {found}; run this variant again")


def _rows(variant: str, seed: int, run: Mapping) -> Iterator[tuple]:
    for test, entry in run["tests"].items():
        skill, dataset, generated = entry[SKILL], entry["dataset"], entry.get("generated", True)
        taught = {key: float(entry[key]) for key in COUNTS if key in entry}  # of a transfer: each test has its own
        for metric, value in (entry["metrics"] | _of_groups(test, entry) | taught).items():
            yield variant, seed, test, dataset, generated, metric, metric == entry["headline"], value, skill
        if (lost := run.get("forgotten", {}).get(spelled(dataset))) is not None:
            yield variant, seed, test, dataset, generated, LOST, False, lost, skill
    for count in COUNTS:
        if run.get(count) is not None:
            yield variant, seed, MODEL, "", False, count, False, float(run[count]), nan


def _of_groups(test: str, entry: Mapping) -> dict[str, float]:
    """How far the best and the worst group of a column lie apart, and the worst one's value, where at least two groups
    have FEWEST_FACES."""
    found, up = {}, higher_is_better(test, entry["headline"])
    for column, groups in entry.get("groups", {}).items():
        values, faces = groups.get("values", groups), groups.get("faces", {})
        numbers = [value for name, value in values.items() if faces.get(name, FEWEST_FACES) >= FEWEST_FACES]
        if len(numbers) > 1:
            found[f"{GAP}{column}"] = max(numbers) - min(numbers)
            found[f"{WORST}{column}"] = min(numbers) if up else max(numbers)
    return found


# --- metrics ----------------------------------------------------------------------------------------------------------


def higher_is_better(test: str, metric: str) -> bool:
    """Whether more of a metric is better; the kind of the test decides (`KINDS`), with a few metrics the other way."""
    if test == MODEL or metric in (LOST, *COUNTS):
        return False
    kind = test.split("_")[0]
    if kind not in KINDS:
        raise ConfigError(f"test {test!r}: kind {kind!r} is unknown; expected one of {', '.join(KINDS)}")
    return OTHER_DIRECTIONS.get(metric.split("_")[0], KINDS[kind].higher_is_better)


def headline_of(table: pd.DataFrame, test: str) -> str:
    """The metric that stands for a test, as its runs say."""
    names = table.loc[(table["test"] == test) & table["headline"], "metric"].unique()
    if not len(names):
        raise ConfigError(f"test {test!r}: no run has it; {did_you_mean(test, sorted(set(table['test'])))}")
    return str(names[0])


def runs_of(table: pd.DataFrame, *variants: str) -> pd.DataFrame:
    """The rows of these variants: to be asked often, as every question goes through all rows."""
    return table[table["variant"].isin(variants)]


def values_of(table: pd.DataFrame, variant: str, test: str, metric: str) -> pd.Series:
    """Seed -> value of a metric (`headline` stands for the test's own, `skill` for its skill); empty without runs."""
    mine = table[(table["variant"] == variant) & (table["test"] == test)]
    if metric in (HEADLINE, SKILL):
        chosen, column = mine[mine["headline"]], "skill" if metric == SKILL else "value"
    else:
        chosen, column = mine[mine["metric"] == metric], "value"
    return chosen.set_index("seed")[column]


def summary(table: pd.DataFrame, variants: Iterable[str], metric: str = HEADLINE) -> pd.DataFrame:
    """Rows (variant, test, metric, seeds, mean, low, high, spread): mean and Student t interval over seeds; spread is
    the standard deviation of a seed, nan for one."""
    rows = []
    for variant in variants:
        mine = table[table["variant"] == variant]
        for test in mine["test"].unique():
            values = values_of(mine, variant, test, metric)
            if len(values):
                name = headline_of(table, test) if metric == HEADLINE else metric
                mean, low, high = t_interval(values)
                spread = values.std(ddof=1) if len(values) > 1 else nan
                rows.append((variant, test, name, len(values), mean, low, high, spread))
    return pd.DataFrame(rows, columns=["variant", "test", "metric", "seeds", "mean", "low", "high", "spread"])


# --- differences ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What changing one variant for another does to a metric, over the seeds that both have.

    values: first less second, by seed, in the metric's unit; mean and its 95 % Student t interval (nan for fewer than
    two seeds); higher_is_better: which way is good.
    """

    first: str
    second: str
    tests: tuple[str, ...]
    metric: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    higher_is_better: bool

    def gain(self) -> tuple[float, float, float]:
        """(mean, low, high) turned so that more is better for the first."""
        return (self.mean, self.low, self.high) if self.higher_is_better else (-self.mean, -self.high, -self.low)

    @property
    def decided(self) -> bool:
        """Whether the interval lies on one side of 0. One seed decides nothing."""
        return self.low > 0 or self.high < 0


def t_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean of independent values and the two ends of its 95 % Student t interval; nan where there are too few."""
    numbers = np.asarray(list(values), float)
    if not len(numbers):
        return nan, nan, nan
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, nan, nan
    half = float(stdtrit(len(numbers) - 1, (1 + LEVEL) / 2) * numbers.std(ddof=1) / sqrt(len(numbers)))
    return mean, mean - half, mean + half


def paired_difference(
    table: pd.DataFrame, first: str, second: str, tests: Sequence[str], metric: str = HEADLINE
) -> Difference:
    """`first` less `second`, seed by seed, on one test or as the mean over several (of skill, or of one metric).

    Only seeds count in which both variants have every test. Without such a seed the difference has no values.
    """
    names = {test: headline_of(table, test) if metric == HEADLINE else metric for test in tests}
    ways = {higher_is_better(test, name) for test, name in names.items()}
    if len(ways) != 1 or len(set(names.values())) > 1:
        raise ConfigError(f"{metric} of {', '.join(tests)}: no mean of different metrics; ask for their skill")
    runs = runs_of(table, first, second)
    each = [values_of(runs, first, test, metric) - values_of(runs, second, test, metric) for test in tests]
    means = pd.concat(each, axis=1).mean(axis=1, skipna=False).dropna().sort_index()
    mean, low, high = t_interval(means)
    seeds = tuple(int(seed) for seed in means.index)
    name, up = names[tests[0]], ways.pop()
    return Difference(first, second, tuple(tests), name, seeds, tuple(means), mean, low, high, up)


def tests_in_common(table: pd.DataFrame, first: str, second: str) -> list[str]:
    """Tests that both variants answer, in the order of the first; `model` is none."""
    other = set(table.loc[table["variant"] == second, "test"])
    mine = table.loc[table["variant"] == first, "test"].unique()
    return [test for test in mine if test in other and test != MODEL]
