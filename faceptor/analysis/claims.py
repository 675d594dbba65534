"""The paper's statements about parameters beside our counts, and what they say about the options of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from faceptor.analysis import budget, paper, tables
from faceptor.analysis.configured import Configured
from faceptor.config import model_config
from faceptor.models.base import FaceModel
from faceptor.models.layer_attention import MODES


def naive_total(encoder: int) -> int:
    """Naive Faceptor: an encoder and the six released heads, without the classifier of recognition."""
    return encoder + sum(paper.NAIVE_HEADS.values())


def against_paper(model: FaceModel) -> pd.DataFrame:
    """Rows (what, where, unit, ours, paper, difference, agrees); `agrees`: equal when rounded as printed.

    `model` is Faceptor-Base. The last rows ask whether the paper's own figures fit together.
    """
    own = budget.components(model) | {"total": sum(budget.components(model).values())}
    rows = [
        (f"Faceptor-Base, {name.replace('_', ' ')}", "section 4.2", "M", own[name] / 1e6, printed)
        for name, printed in paper.FACEPTOR_MILLIONS.items()
    ]
    naive, heads = naive_total(own["encoder"]), budget.by_category(paper.NAIVE_HEADS)
    rows.append(("Naive Faceptor, total", "Table 3", "M", naive / 1e6, paper.NAIVE_MILLIONS))
    for category, printed in paper.NAIVE_HEAD_MILLIONS.items():
        mean = sum(heads[category]) / len(heads[category]) / 1e6
        rows.append((f"Naive Faceptor, one {category} head", "section 4.2", "M", mean, printed))
    printed_heads = sum(paper.NAIVE_HEAD_MILLIONS[name] * len(counts) for name, counts in heads.items())
    from_text = paper.FACEPTOR_MILLIONS["encoder"] + printed_heads
    rows.append(("Naive Faceptor, encoder and heads as printed", "section 4.2", "M", from_text, paper.NAIVE_MILLIONS))
    excess = 100 * (naive / own["total"] - 1)
    rows.append(("Naive Faceptor is larger by", "section 4.2", "%", excess, float(paper.NAIVE_EXCESS_PERCENT)))
    table = pd.DataFrame(rows, columns=["what", "where", "unit", "ours", "paper"])
    decimals = {"M": 1, "%": 0}
    agrees = [round(row.ours, decimals[row.unit]) == row.paper for row in table.itertuples()]
    return table.assign(difference=table["ours"] - table["paper"], agrees=agrees)


# --- options --------------------------------------------------------------------------------------------------------

# Readings of the method that change the number of parameters: section and key of the model -> their values.
READINGS = {("decoder", "position"): ("paper", "released"), ("encoder", "extras"): (True, False)}


def options(experiment: Configured) -> pd.DataFrame:
    """Rows (option, value, encoder M, decoder M, total M, agrees): as configured, each other reading alone, and with
    Layer-Attention in both modes.

    `agrees`: every component and the total equal the paper's figures when rounded as printed. Layer-Attention is
    given to the tasks of stage 2; in mode "released" they share one set of projections, the least it can cost.
    """
    rows = [_row("as configured, stage 1", "", budget.components(budget.meta_model(experiment)))]
    for (section, key), readings in READINGS.items():
        values = experiment.params.model.model_dump()
        for reading in readings:
            if reading != values[section][key]:
                changed = model_config(values | {section: values[section] | {key: reading}})
                counts = budget.components(budget.meta_model(experiment.with_model(changed)))
                rows.append(_row(f"{section}.{key}", reading, counts))
    for mode in MODES:
        model = budget.meta_model(experiment)
        with torch.device("meta"):
            model.enable_layer_attention(list(experiment.params.stage2.tasks), mode)
        rows.append(_row("layer_attention.mode, stage 2", mode, budget.components(model)))
    return pd.DataFrame(rows)


def _row(option: str, value: Any, counts: Mapping[str, int]) -> dict:
    millions = {name: count / 1e6 for name, count in counts.items()} | {"total": sum(counts.values()) / 1e6}
    agrees = all(round(millions[name], 1) == printed for name, printed in paper.FACEPTOR_MILLIONS.items())
    shown = {f"{name}, M": millions[name] for name in ("encoder", "decoder", "total")}
    return {"option": option, "value": str(value), **shown, "agrees": agrees}


# --- in words -------------------------------------------------------------------------------------------------------


def conclusions(model: FaceModel, choices: pd.DataFrame, *, max_tasks: int) -> list[str]:
    """What the numbers of Faceptor-Base say, one sentence each. model: its `budget.meta_model`; choices: its
    `options`."""
    table, own, cost = against_paper(model), tables.per_task(model), budget.costs(model)
    total = sum(budget.components(model).values())
    split = table[table["what"].str.startswith("Faceptor-Base")]
    ours = table.set_index("what")["ours"]
    naive, as_printed, head = (
        ours[f"Naive Faceptor, {what}"] for what in ("total", "encoder and heads as printed", "one attribute head")
    )
    asked = own[own["parameters"] > 0]
    grown = {name: total(cost, max_tasks) / 1e6 for name, total in budget.STORAGE.items()}
    excluded = [f"{row.option} = {row.value}" for row in choices[~choices["agrees"]].itertuples()]
    return [
        f"Faceptor-Base counts {total:,} parameters; {split['agrees'].sum()} of {len(split)} figures of section 4.2 "
        f"agree with it to the printed decimal.",
        f"Naive Faceptor with the released heads counts {naive:.1f} M (paper {paper.NAIVE_MILLIONS}), with the heads "
        f"as printed {as_printed:.1f} M: a released attribute head has {head:.1f} M, the text says "
        f"{paper.NAIVE_HEAD_MILLIONS['attribute']} M.",
        f"A task owns {asked['kilobytes'].min():.0f} to {asked['kilobytes'].max():.0f} kB of queries, together "
        f"{100 * own['parameters'].sum() / total:.2f} % of the model; its level vectors add "
        f"{asked['kilobytes_level_paper'].max():.1f} kB, new projections as released "
        f"{asked['kilobytes_level_released'].max():,.0f} kB.",
        f"From {budget.break_even(cost)} tasks on, Faceptor is smaller than one head per task; at {max_tasks} tasks it "
        f"has {grown[budget.FACEPTOR]:,.1f} M against {grown[budget.NAIVE]:,.1f} M (one head each) and "
        f"{grown[budget.TUNED]:,.1f} M (one model each).",
        "Readings that do not give the printed counts: " + ("; ".join(excluded) or "none") + ".",
    ]
