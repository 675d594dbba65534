"""What `budget` and `comparison` count, as tables for notebooks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from faceptor.analysis import budget, comparison, paper
from faceptor.analysis.budget import BYTES, Costs, place_of
from faceptor.analysis.comparison import Report
from faceptor.analysis.configured import Configured
from faceptor.models.base import FaceModel
from faceptor.tasks import TASKS

# --- one model ------------------------------------------------------------------------------------------------------


def parts(model: FaceModel) -> pd.DataFrame:
    """Rows (component, part, parameters, megabytes) of `budget.parts`."""
    rows = [(name, part, count) for name, counts in budget.parts(model).items() for part, count in counts.items()]
    table = pd.DataFrame(rows, columns=["component", "part", "parameters"])
    return table.assign(megabytes=table["parameters"] * BYTES / 1e6)


def per_task(model: FaceModel) -> pd.DataFrame:
    """`budget.per_task`, a row each, with a column `task`."""
    return pd.DataFrame([{"task": name} | row for name, row in budget.per_task(model).items()])


def overview(configured: Mapping[str, Configured], models: Mapping[str, FaceModel]) -> pd.DataFrame:
    """Millions of parameters: rows are components and their total, with what only training needs below; a column
    each. models: the `budget.meta_model` of each."""
    columns = {}
    for name, experiment in configured.items():
        counts = budget.components(models[name])
        counts |= {"total": sum(counts.values()), "training only": sum(budget.training_only(experiment).values())}
        columns[name] = {component: count / 1e6 for component, count in counts.items()}
    table = pd.DataFrame(columns)
    sums = ["total", "training only"]
    table = table.loc[[*sorted(table.index.difference(sums, sort=False), key=place_of), *sums]]
    return table.rename(index=lambda component: component.replace("_", " "))


# --- growth with tasks ----------------------------------------------------------------------------------------------


def growth(cost: Costs, *, max_tasks: int) -> pd.DataFrame:
    """Rows (tasks, paradigm, parameters) for 1 .. max_tasks tasks: Table 1's storage column in numbers."""
    rows = [(n, name, float(total(cost, n))) for name, total in budget.STORAGE.items() for n in range(1, max_tasks + 1)]
    return pd.DataFrame(rows, columns=["tasks", "paradigm", "parameters"])


def growth_by_mix(model: FaceModel, *, max_tasks: int) -> pd.DataFrame:
    """`growth` for several mixes of kinds, with a column `mix`."""
    costs = dict(zip(budget.MIXES, budget.costs_of(model, budget.MIXES.values()), strict=True))
    tables = [growth(cost, max_tasks=max_tasks).assign(mix=mix) for mix, cost in costs.items()]
    return pd.concat(tables, ignore_index=True)


def one_more_task(model: FaceModel) -> pd.DataFrame:
    """By kind: a head of its own (O_t), its queries here (Q_t), their ratio, and the break-even number of tasks."""
    rows = []
    costs = budget.costs_of(model, [[kind] for kind in paper.NAIVE_HEADS])
    for kind, cost in zip(paper.NAIVE_HEADS, costs, strict=True):
        ratio = cost.head / cost.queries if cost.queries else float("inf")
        rows.append((kind, cost.head / 1e6, cost.queries / 1e6, ratio, budget.break_even(cost)))
    return pd.DataFrame(rows, columns=["kind", "own head, M", "queries, M", "ratio", "Faceptor is smaller from N ="])


# --- models side by side --------------------------------------------------------------------------------------------


def side_by_side(found: Mapping[str, Report]) -> pd.DataFrame:
    """`comparison.side_by_side`, a row per configuration."""
    return pd.DataFrame.from_dict(comparison.side_by_side(found), orient="index")


def against_papers(found: Mapping[str, Report]) -> pd.DataFrame:
    """The rows of `printed` of several reports, with a column `preset`; their remarks are in `remarks`."""
    columns = ["preset", "what", "unit", "ours", "printed", "difference", "agrees", "where"]
    rows = [{"preset": name} | row for name, facts in found.items() for row in facts["printed"]]
    return pd.DataFrame(rows, columns=columns)


def work_by_component(found: Mapping[str, Report]) -> pd.DataFrame:
    """Rows (preset, call, component, macs) of answering all tasks about one image, for the models of the papers."""
    rows = [
        (name, f"{call['size']} px", component, macs)
        for name, facts in found.items()
        if name in paper.PARAMETERS
        for call in facts["compute"]["passes"]
        for component, macs in call["components"].items()
    ]
    table = pd.DataFrame(rows, columns=["preset", "call", "component", "macs"])
    return table.sort_values("component", key=lambda names: names.map(place_of), kind="stable", ignore_index=True)


def memory_by_component(found: Mapping[str, Report]) -> pd.DataFrame:
    """GB that a training step keeps for backward, by component, and MB of each of its images on average."""
    columns = {}
    for name, facts in found.items():
        step = facts["compute"]["training_step"]
        columns[name] = {component: count / 1e9 for component, count in step["components"].items()}
        columns[name]["all, GB"] = step["saved_bytes"] / 1e9
        columns[name]["images"] = sum(step["samples"].values())
        columns[name]["an image, MB"] = step["saved_bytes"] / 1e6 / columns[name]["images"]
    table = pd.DataFrame(columns)
    last = ["all, GB", "images", "an image, MB"]
    return table.loc[[*sorted((name for name in table.index if name not in last), key=place_of), *last]]


def work_by_task(facts: Report) -> pd.DataFrame:
    """A row per task: input side, GMACs of asking it alone, MB that one of its training images keeps for backward;
    below, all tasks one by one and together."""
    rows = [
        (task, str(row["size"]), row["macs"] / 1e9, row["saved_bytes"] / 1e6)
        for task, row in facts["compute"]["tasks"].items()
    ]
    sizes = " + ".join(str(call["size"]) for call in facts["compute"]["passes"])
    rows.append(("all, one by one", "", facts["compute"]["macs_one_by_one"] / 1e9, float("nan")))
    rows.append(("all, one call per input size", sizes, facts["compute"]["macs"] / 1e9, float("nan")))
    return pd.DataFrame(rows, columns=["task", "input, px", "GMACs", "MB per training image"])


def table_1(found: Mapping[str, Report]) -> pd.DataFrame:
    """Table 1 in numbers, for the kinds of task of the presets: training cycles, GMACs of one image, parameters.

    Fine-tuning is Naive Faceptor taken apart: an encoder and one head for each kind of task. Rows whose preset is not
    in `found` are left out; models that the table does not have come last.
    """
    rows = []
    if "naive" in found:
        naive = found["naive"]
        stored = sum(naive["components"]["encoder"] + head for head in naive["parts"]["heads"].values())
        first = {TASKS[task].kind: row["macs"] for task, row in reversed(naive["compute"]["tasks"].items())}
        rows.append((budget.TUNED, sum(first.values()), stored))
    for preset, name in {"naive": budget.NAIVE, "base": budget.FACEPTOR, "facexformer": "FaceXFormer"}.items():
        if preset in found:
            rows.append((name, found[preset]["compute"]["macs"], found[preset]["total"]))
    table = [
        (name, paper.CYCLES.get(name, "1"), paper.CALCULATION.get(name, ""), macs / 1e9, paper.STORAGE.get(name, ""),
         stored / 1e6)
        for name, macs, stored in rows
    ]  # fmt: skip
    columns = ["paradigm", "training cycles", "calculation", "GMACs", "storage", "parameters, M"]
    return pd.DataFrame(table, columns=columns)
