"""Models side by side and beside what is printed about them: parameters, work, memory (paper Table 1 in numbers).

A report is plain data: `budget.summary` of a configuration, with "compute" (`compute.summary`), "model" and "printed".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from faceptor.analysis import budget, compute, paper
from faceptor.analysis.configured import Configured
from faceptor.analysis.trace import FLOPS_PER_MAC
from faceptor.config import load_preset
from faceptor.tasks import TASKS

Report = dict[str, Any]
THIRTEEN = "full"  # the preset whose tasks, in the order of Table 2, growth is shown with


def report(name: str, experiment: Configured, *, alone: bool = True) -> Report:
    """All figures of one configuration; `alone`: also every task asked by itself, which takes the longest."""
    model = budget.meta_model(experiment)
    facts: Report = {"model": experiment.params.model.name} | budget.summary(experiment, model)
    facts["compute"] = compute.summary(experiment, alone=alone, model=model)
    return facts | {"printed": printed(name, facts, experiment)}


def reports(configured: Mapping[str, Configured], *, alone: Collection[str] | None = None) -> dict[str, Report]:
    """`report` of several; `alone`: the names of those whose tasks are asked one by one too, None means all."""
    return {name: report(name, each, alone=alone is None or name in alone) for name, each in configured.items()}


# --- beside the papers ----------------------------------------------------------------------------------------------


def printed(name: str, facts: Report, experiment: Configured) -> list[dict]:
    """Rows (what, unit, ours, printed, difference, agrees, where, remark) of what is published about a preset.

    `agrees`: equal when rounded as printed, for a kind of head at least one of them. GFLOPs have a row for every call
    and one for all: which of them a printed figure means is unknown.
    """
    rows = []
    for figure in paper.PARAMETERS.get(name, ()):
        counts = _counts(facts, figure.what)
        agrees = any(round(count / 1e6, figure.decimals) == round(figure.millions, figure.decimals) for count in counts)
        remark = "" if agrees else REMARKS.get((name, figure.what), lambda *_: "")(facts, experiment)
        ours = sum(counts) / len(counts) / 1e6
        rows.append(_row(figure.what, "M", ours, figure.millions, agrees, figure.where, remark))
    for what, macs in _readings(facts) if name in paper.GFLOPS else ():
        ours, figure = FLOPS_PER_MAC * macs / 1e9, paper.GFLOPS[name]
        rows.append(_row(what, "GFLOPs", ours, figure, round(ours) == figure, paper.GFLOPS_WHERE, paper.GFLOPS_UNKNOWN))
    return rows


def _row(what: str, unit: str, ours: float, figure: float, agrees: bool, where: str, remark: str) -> dict:
    return {
        "what": what, "unit": unit, "ours": ours, "printed": figure, "difference": ours - figure, "agrees": agrees,
        "where": where, "remark": remark,
    }  # fmt: skip


def _counts(facts: Report, what: str) -> list[int]:
    """Parameters that a printed figure may mean: those of a component, the total, or every head of a category."""
    if what.endswith(" head"):
        return budget.by_category(facts["parts"]["heads"])[what.removesuffix(" head")]
    return [(facts["components"] | {"total": facts["total"]})[what]]


def _readings(facts: Report) -> list[tuple[str, int]]:
    calls = [
        (f"call at {call['size']} px, {len(call['tasks'])} tasks", call["macs"]) for call in facts["compute"]["passes"]
    ]
    return calls if len(calls) == 1 else [*calls, ("all tasks", facts["compute"]["macs"])]


def _text_and_total(facts: Report, experiment: Configured) -> str:
    """What the paper's text gives for a head does not lead to the paper's own total; our count does."""
    sizes = budget.by_category(facts["parts"]["heads"])
    counts = [(len(sizes[category]), millions) for category, millions in paper.NAIVE_HEAD_MILLIONS.items()]
    parts = " + ".join(f"{count} x {millions}" for count, millions in counts)
    encoder = paper.FACEPTOR_MILLIONS["encoder"]
    together = encoder + sum(millions * count for count, millions in counts)
    return (
        f"the paper disagrees with itself: {encoder} + {parts} = {together:.1f}, its total is {paper.NAIVE_MILLIONS}; "
        f"with our heads it is {facts['total'] / 1e6:.1f}"
    )


def _released_tasks(facts: Report, experiment: Configured) -> str:
    """The released weights belong to other tasks and to the variant "released"; built so, how many there are."""
    model = experiment.params.model.model_copy(update={"variant": "released"})
    same = budget.meta_model(experiment.with_model(model), paper.FACEXFORMER_TASKS)
    count = budget.size(same.parameters())
    return f"with variant released and the {len(same.tasks)} tasks of those weights it has {count:,} parameters"


REMARKS = {("naive", "attribute head"): _text_and_total, ("facexformer", "total"): _released_tasks}


def remarks(found: Mapping[str, Report]) -> list[str]:
    """What is to be said about printed figures, a sentence each."""
    rows = [(name, row) for name, facts in found.items() for row in facts["printed"] if row["remark"]]
    own = [f"{name}, {row['what']}: {row['remark']}." for name, row in rows if row["unit"] == "M"]
    work = [f"GFLOPs of {row['where']}: {row['remark']}." for _, row in rows if row["unit"] != "M"]
    return list(dict.fromkeys([*own, *work]))


# --- side by side ---------------------------------------------------------------------------------------------------


def side_by_side(found: Mapping[str, Report]) -> dict[str, dict[str, Any]]:
    """By configuration: parameters and weights, one image's work (all tasks, a call per input size) and the most
    activations it takes, what one training step keeps for backward (all its images, Table 2)."""
    rows = {}
    for name, facts in found.items():
        work = facts["compute"]
        rows[name] = {
            "model": facts["model"],
            "tasks": len(facts["tasks"]),
            "input, px": " + ".join(str(call["size"]) for call in work["passes"]),
            "parameters, M": facts["total"] / 1e6,
            "weights, MB": facts["megabytes"],
            "GMACs": work["macs"] / 1e9,
            "GFLOPs": FLOPS_PER_MAC * work["macs"] / 1e9,
            "inference peak, MB": max(call["peak_bytes"] for call in work["passes"]) / 1e6,
            "step, images": sum(work["training_step"]["samples"].values()),
            "step keeps, GB": work["training_step"]["saved_bytes"] / 1e9,
        }
    return rows


def measured_growth(experiment: Configured, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Rows (tasks, task, kind, parameters, added, kilobytes): a model without tasks is given these, in order; added
    and kilobytes are what the last one brought."""
    model = budget.meta_model(experiment, ())
    before = budget.size(model.parameters())
    rows = [{"tasks": 0, "task": "", "kind": "", "parameters": before, "added": 0, "kilobytes": 0.0}]
    for count, name in enumerate(tasks, start=1):
        with torch.device("meta"):
            model.add_task(TASKS[name])
        after = budget.size(model.parameters())
        row = {"tasks": count, "task": name, "kind": TASKS[name].kind, "parameters": after, "added": after - before}
        rows.append(row | {"kilobytes": row["added"] * budget.BYTES / 1e3})
        before = after
    return rows


def growth(configured: Mapping[str, Configured]) -> list[dict[str, Any]]:
    """`measured_growth` with a column `preset`: every preset that a paper prints a total of, given the thirteen tasks
    of Table 2 in their order."""
    order = list(load_preset(THIRTEEN).stage1.tasks)
    return [
        {"preset": name} | row
        for name, experiment in configured.items()
        if name in paper.PARAMETERS
        for row in measured_growth(experiment, order)
    ]


def conclusions(found: Mapping[str, Report], grown: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the tables say, a sentence each; every figure in them is computed."""
    brought: dict[str, list[float]] = {}
    for row in grown:
        if row["tasks"]:
            brought.setdefault(row["preset"], []).append(row["kilobytes"])
    most = ", ".join(f"{name} {max(sizes):,.0f} kB" for name, sizes in sorted(brought.items()))
    least = ", ".join(f"{name} {min(sizes):,.0f} kB" for name, sizes in sorted(brought.items()))
    known = {name: facts["compute"] for name, facts in found.items() if name in paper.PARAMETERS}
    work = ", ".join(f"{name} {facts['macs'] / 1e9:,.1f}" for name, facts in known.items())
    steps = {name: facts["training_step"] for name, facts in known.items()}
    kept = ", ".join(
        f"{name} {step['saved_bytes'] / 1e6 / sum(step['samples'].values()):,.0f}" for name, step in steps.items()
    )
    return [
        f"Of the tasks of Table 2, given one by one, the dearest brings {most}; the cheapest {least}.",
        f"All tasks about one image take, in GMACs: {work} (each at its own input sizes).",
        f"A training image keeps on average, in MB of float32: {kept}.",
        *remarks(found),
    ]
