"""Figures of `comparison`: how models grow with tasks, where their work is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from faceptor.analysis import paper
from faceptor.analysis.canvas import grid, single
from faceptor.analysis.trace import FLOPS_PER_MAC
from faceptor.figures.plots import PALETTE

MIN_KB_DRAWN = 1.0  # kB at which a task that brings no weights of its own is drawn, left of all others


def growth(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Parameters by the number of tasks, and what each task brings, from `comparison.growth`."""
    table = pd.DataFrame(rows)
    order = table.drop_duplicates("tasks").set_index("tasks")["task"]
    presets = list(dict.fromkeys(table["preset"]))
    figure, axes = grid("Growth with tasks, given one by one", 1, 2, width=6.4, heights=[0.26 * len(order) + 1.2])
    total, each = axes[0]
    for place, (colour, marker, name) in enumerate(zip(PALETTE, "osD^v", presets, strict=False)):
        part = table[table["preset"] == name]
        total.plot(part["tasks"], part["parameters"] / 1e6, color=colour, drawstyle="steps-post", label=name)
        total.plot(part["tasks"], part["parameters"] / 1e6, marker, color=colour, markersize=3)
        brought = part[part["tasks"] > 0]
        apart = 0.2 * (place - (len(presets) - 1) / 2)  # equal values stay visible
        each.plot(
            brought["kilobytes"].clip(lower=MIN_KB_DRAWN), brought["tasks"] + apart, marker, color=colour, markersize=5
        )
    total.set(xlabel="tasks", ylabel="parameters, M", ylim=(0, None))
    total.xaxis.get_major_locator().set_params(integer=True)
    each.set(xscale="log", xlabel=f"weights that the task brings, kB (float32, logarithmic; {MIN_KB_DRAWN:g}: none)")
    each.set_yticks(order.index[1:], [f"{name}  {place}" for place, name in order.items() if place], fontsize=8)
    each.invert_yaxis()
    each.grid(axis="y", alpha=0.3)
    total.legend(frameon=False)
    return figure


def work(table: pd.DataFrame) -> Figure:
    """GMACs of answering all tasks about one image, from `tables.work_by_component`: a bar per call.

    Black: the printed GFLOPs, whose convention is not stated, from a MAC as two FLOPs to a MAC as one.
    """
    calls = table.drop_duplicates(["preset", "call"])
    keys = sorted(zip(calls["preset"], calls["call"], strict=True))
    figure, panel = single("Work of one image, all tasks", width=9.0, height=0.42 * len(keys) + 1.2)
    places, left = np.arange(len(keys)), np.zeros(len(keys))
    for colour, component in zip(PALETTE, dict.fromkeys(table["component"]), strict=False):
        part = table[table["component"] == component].set_index(["preset", "call"])["macs"]
        widths = np.array([part.get(key, 0) for key in keys]) / 1e9
        panel.barh(places, widths, left=left, height=0.7, color=colour, label=component.replace("_", " "))
        left += widths
    for place, value in zip(places, left, strict=True):
        panel.annotate(f" {value:,.4g}", (value, place), va="center", fontsize=8)
    for name, flops in paper.GFLOPS.items():
        of_preset = [place for place, (preset, _) in enumerate(keys) if preset == name]
        if of_preset:
            middle = max(of_preset) + 0.42
            panel.plot([flops / FLOPS_PER_MAC, flops], [middle, middle], "|-", color="black", linewidth=1)
    panel.set_yticks(places, [f"{preset}, {call}" for preset, call in keys])
    panel.invert_yaxis()
    panel.set(xlabel="GMACs; black: the printed GFLOPs, with 2 FLOPs to a MAC (left end) or 1 (right end)")
    panel.set_xlim(right=panel.get_xlim()[1] * 1.05)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure
