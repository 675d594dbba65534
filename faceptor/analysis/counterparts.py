"""Beside each printed value of the papers' own systems (`paper_results`): what this checkout has measured.

A counterpart has the same structure, was trained on the same tasks (FaceXFormer: on some of them) and is judged by the
same task. It says of which model it is and on which faces it was measured; small models on generated faces are shown
beside the papers' numbers, and never compared with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import pandas as pd

from faceptor.analysis import budget, claims, experiments, paper_results
from faceptor.analysis.configured import Configured
from faceptor.analysis.markdown import ends
from faceptor.analysis.paper import NAIVE_HEADS
from faceptor.analysis.paper_claims import FILE, load_claims
from faceptor.analysis.paper_results import MODEL, Column, System, Value, dataset_key
from faceptor.analysis.protocols import facts, shipped
from faceptor.analysis.verdicts import Verdict, judge
from faceptor.config import Params
from faceptor.config.sections import unspelled
from faceptor.errors import DataError
from faceptor.io.files import RESULTS, read_json

GENERATED, PHOTOGRAPHS = "generated faces", "photographs"
COUNTED = "counted"


@dataclass(frozen=True)
class Here:
    """The measured counterpart. low, high: over test samples of one model, or over seeds; on: model and faces."""

    value: float
    low: float = nan
    high: float = nan
    on: str = ""


@dataclass(frozen=True)
class Found:
    """What this checkout has. counts: `parameter_counts`, empty where they are not wanted."""

    params: Params
    root: Path
    runs: pd.DataFrame
    verdicts: Sequence[Verdict] = ()
    counts: Mapping[tuple[str, str], float] | None = None


def found_here(params: Params, root: Path, base: Configured) -> Found:
    """What this checkout has: runs of the experiments, the claims that they judge, parameters of the papers' models;
    base: the experiment of preset base."""
    runs = experiments.load_runs(params, root)
    judged = judge(load_claims(Path(root) / FILE, params), runs)
    return Found(params, root, runs, judged, parameter_counts(base))


def beside(found: Found) -> pd.DataFrame:
    """Rows (where, system, what, metric, printed, here, low, high, on, command, data, notes) of every printed value of
    the papers' own systems; here, low, high are nan and `on` is empty where nothing is measured."""
    return pd.DataFrame([_row(value, found) for value in paper_results.own_values()])


def _row(value: Value, found: Found) -> dict:
    here = counterpart(value, found) or Here(nan)
    return {
        "where": value.where, "system": value.method, "what": value.column,
        "metric": value.asked.metric, "printed": value.printed,
        "here": here.value, "low": here.low, "high": here.high, "on": here.on,
        "command": paper_results.command(value), "data": paper_results.data(value),
        "notes": paper_results.marks_of(value),
    }  # fmt: skip


def counterpart(value: Value, found: Found) -> Here | None:
    """What this checkout has beside a printed value, if anything."""
    system, column = value.system, value.asked
    if column.tests == (MODEL,):
        count = (found.counts or {}).get((system.structure, column.metric))
        return None if count is None or system.preset == "full" else Here(count, on=COUNTED)
    if system.claim:
        return _claimed(system.claim, column, found)
    if system.variant:
        return _over_seeds(paper_results.variant_of(system, value.column), column, found)
    path = _details(system, column, found)
    return _measured(path, column) if path else None


def _details(system: System, column: Column, found: Found) -> Path | None:
    """The result file that holds a system's counterpart; None where this checkout trains no such thing."""
    if system.transfer:
        own = found.params.model.name == system.structure
        name = f"transfer/details/{dataset_key(column.tests[0])}-{system.transfer}" if own else None
    else:
        model = _model_here(system, found.params)
        name = f"evaluate/details/{model}" if model else None
    path = Path(found.root) / RESULTS / f"{name}.json"
    return path if name and path.is_file() else None


def _model_here(system: System, params: Params) -> str | None:
    """The model of this checkout that has a system's structure and, for Faceptor and Naive Faceptor, its tasks."""
    if params.model.name == system.structure:
        name = system.model if system.model in params.evaluate.models else "stage1"
        tasks = params.stage1.tasks
    else:
        name = next((key for key, each in params.baselines.items() if each.model.name == system.structure), None)
        tasks = params.baselines[name].train.tasks if name else {}
    same = system.structure == "facexformer" or set(tasks) == set(shipped(system.preset).stage1.tasks)
    return name if same else None


def _measured(path: Path, column: Column) -> Here | None:
    """A metric with its interval; where another data set of the same task judges here, that is said."""
    details, test = read_json(path), column.tests[0]
    judged = next((name for name in (test, *details["tasks"]) if name in details["tasks"] and _same(name, test)), None)
    row = details["tasks"].get(judged)
    if row is None or column.metric not in row["metrics"]:
        return None
    faces = GENERATED if details["about"]["data"][judged]["generated"] else PHOTOGRAPHS
    other = "" if judged == test else f" of {row['dataset']}"
    low, high = row["intervals"].get(column.metric, (nan, nan))
    return Here(row["metrics"][column.metric], low, high, f"{path.stem}, {faces}{other}")


def _same(name: str, test: str) -> bool:
    return name.split("@")[0] == test.split("@")[0]


def _over_seeds(variant: str | None, column: Column, found: Found) -> Here | None:
    """The mean over seeds of a variant's metric, and its interval."""
    if variant is None or len(column.tests) > 1:
        return None
    mine = found.runs[found.runs["variant"] == variant]
    judged = next((name for name in mine["test"].unique() if _same(name, column.tests[0])), None)
    values = experiments.values_of(mine, variant, judged, column.metric) if judged else ()
    if not len(values):
        return None
    return Here(*experiments.t_interval(values), on=f"{variant}, {len(values)} seeds, {_faces(mine, judged)}")


def _faces(runs: pd.DataFrame, test: str) -> str:
    return GENERATED if runs.loc[runs["test"] == test, "generated"].any() else PHOTOGRAPHS


def _claimed(name: str, column: Column, found: Found) -> Here | None:
    """The gain that the variants of a claim show on the test of a column."""
    for each in (each for verdict in found.verdicts if verdict.claim.name == name for each in verdict.comparisons):
        if each.difference is not None and each.difference.seeds and _same(each.tests[0], column.tests[0]):
            faces = _faces(found.runs, each.tests[0])
            on = f"{each.first} over {each.second}, {len(each.difference.seeds)} seeds, {faces}"
            return Here(*each.difference.gain(), on=on)
    return None


def parameter_counts(base: Configured) -> dict[tuple[str, str], float]:
    """(structure, component or category) -> millions of parameters, of Faceptor-Base and Naive Faceptor."""
    own = budget.components(budget.meta_model(base))
    counts = {("faceptor", part): count / 1e6 for part, count in own.items()}
    counts["faceptor", "total"] = sum(own.values()) / 1e6
    counts["naive", "total"] = claims.naive_total(own["encoder"]) / 1e6
    heads = budget.by_category(NAIVE_HEADS)
    return counts | {("naive", name): sum(sizes) / len(sizes) / 1e6 for name, sizes in heads.items()}


# --- our results ----------------------------------------------------------------------------------------------------


def our_results(params: Params, root: Path, models: Sequence[str] = ()) -> pd.DataFrame:
    """Rows (model, test, dataset, generated, headline, value, low, high, skill, skill_low, skill_high) of
    results/evaluate; models: names of evaluate.models, none named: all that are there. DataError where none is."""
    rows = []
    for model in models or params.evaluate.models:
        path = Path(root) / RESULTS / "evaluate" / "details" / f"{model}.json"
        details = read_json(path) if path.is_file() else {"tasks": {}}
        for test, row in details["tasks"].items():
            about, metric = details["about"]["data"][test], row["headline"]
            ends = row["intervals"][metric], row["intervals"]["skill"]
            measured = (metric, row["metrics"][metric], *ends[0], row["skill"], *ends[1])
            rows.append((model, test, row["dataset"], about["generated"], *measured))
    if not rows:
        raise DataError(f"{Path(root) / RESULTS}/evaluate/details: no results of evaluate.models; run `faceptor repro`")
    names = ["model", "test", "dataset", "generated", "headline", "value", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "skill", "skill_low", "skill_high"])


# --- tables ---------------------------------------------------------------------------------------------------------


def measured(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    """Rows (where, system, what, metric, printed, here, on, notes) of `beside` for a paper ("Faceptor", "FaceXFormer"):
    what has a counterpart."""
    part = _of_paper(table, paper)
    part = part[part["on"] != ""]
    here = [ends(row.here, row.low, row.high, 1 if abs(row.here) >= 10 else 2) for row in part.itertuples()]
    return _once(part.assign(here=here)[["where", "system", "what", "metric", "printed", "here", "on", "notes"]])


def to_run(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    """Rows (where, system, printed, command, data, notes) of `beside` for a paper: what was neither counted nor
    measured on photographs; the numbers of one command together."""
    part = _of_paper(table, paper)
    known = (part["on"] == COUNTED) | part["on"].str.contains(PHOTOGRAPHS)
    part = part[~known].assign(told=lambda rows: rows["what"] + " " + rows["printed"].map("{:g}".format))
    grouped = part.groupby(["where", "system", "command"], sort=False)
    rows = [
        {
            "where": where,
            "system": system,
            "printed": ", ".join(rows["told"]),
            "command": f"`{command}`" if "faceptor" in command else command,
            "data": ", ".join(dict.fromkeys(each for cell in rows["data"] for each in cell.split(", ") if each)),
            "notes": " ".join(sorted({mark for marks in rows["notes"] for mark in marks.split()})),
        }
        for (where, system, command), rows in grouped
    ]
    return _once(pd.DataFrame(rows, columns=["where", "system", "printed", "command", "data", "notes"]))


def _of_paper(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    return table[table["where"].str.startswith(f"{paper},")]


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the place of a row named where it changes."""
    return table.assign(where=table["where"].where(table["where"] != table["where"].shift(), ""))


def training_sets(params: Params, root: Path) -> pd.DataFrame:
    """Rows (task, printed, n_t and alpha_t in Faceptor-Base, prepared here, generated): Table 2 beside what
    results/preprocess says; nothing where a set was not prepared."""
    rows = []
    for task, (samples, n_base, alpha_base, n_full, alpha_full) in facts()["table_2"].items():
        path = Path(root) / RESULTS / "preprocess" / f"{dataset_key(task)}.json"
        used = unspelled(dataset_key(task)) in params.datasets and path.is_file()
        card = read_json(path) if used else None
        rows.append({
            "task": task,
            "pictures, printed": samples,
            "n_t, alpha_t in Base": f"{n_base}, {alpha_base:g}" if n_base else "",
            "in Full": f"{n_full}, {alpha_full:g}",
            "prepared here": f"{card['counts']['train']:,}" if card else "",
            "faces": "" if not card else GENERATED if card["generated"] else PHOTOGRAPHS,
        })  # fmt: skip
    return pd.DataFrame(rows)


# --- in words -------------------------------------------------------------------------------------------------------


def provenance(table: pd.DataFrame) -> list[str]:
    """What the counterparts of `beside` are of."""
    there = table.loc[table["on"] != "", "on"]
    if there.empty:
        return ["Nothing of it was measured here."]
    faces = there.str.extract(rf"({COUNTED}|{GENERATED}.*|{PHOTOGRAPHS}.*)$")[0].value_counts(sort=False)
    return [f"Beside {len(there)} of {len(table)} values: {', '.join(f'{n} {on}' for on, n in faces.items())}."]


def conclusions(table: pd.DataFrame) -> list[str]:
    """What `beside` says in words."""
    found, counted = table[table["on"] != ""], table[table["on"] == COUNTED]
    generated, photographs = (found[found["on"].str.contains(faces)] for faces in (GENERATED, PHOTOGRAPHS))
    agree = int((counted["here"].round(1) == counted["printed"]).sum())
    said = [
        f"The papers print {len(table)} values for their own systems; {len(found)} have a counterpart here, the other "
        f"{len(table) - len(found)} have a command, or are said not to be measured.",
        f"{len(generated)} counterparts were measured on generated faces, {len(photographs)} on photographs.",
    ]
    if len(generated) and not len(photographs):
        said.append("Whether the printed values can be reached is therefore undecided here.")
    return said + ([f"Of {len(counted)} numbers of parameters {agree} are as printed."] if len(counted) else [])
