"""Figures of `bench_tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faceptor.analysis.bench_tables import MILLISECONDS, Machines, section
from faceptor.analysis.canvas import grid
from faceptor.figures.plots import PALETTE

WIDTH, BAR = 8.0, 0.3  # inches: of a panel, of a bar's row


def latency(machines: Machines) -> Figure:
    """One face, all tasks: milliseconds of every way to ask, with intervals; a panel for each machine."""
    found = [(kind, [row for row in each["rows"] if row["batch"] == 1]) for kind, each in section(machines, "latency")]
    if not found:
        return _nothing("One face, all tasks")
    heights = [BAR * len(rows) + 0.8 for _, rows in found]
    figure, axes = grid("One face, all tasks", len(found), 1, width=WIDTH, heights=heights)
    for panel, (kind, rows) in zip(axes[:, 0], found, strict=True):
        ways = list(dict.fromkeys(row["way"] for row in rows))
        _bars(
            panel,
            [f"{row['subject']}: {row['way']}, {row['precision']}" for row in rows],
            [row["seconds"] for row in rows],
            [PALETTE[ways.index(row["way"])] for row in rows],
        )
        panel.set(xscale="log", xlabel="milliseconds (logarithmic)", title=kind)
    return figure


def growth(machines: Machines) -> Figure:
    """Milliseconds against the number of tasks, and of Layer-Attention."""
    found = list(section(machines, "growth"))
    if not found:
        return _nothing("More tasks, and Layer-Attention")
    figure, axes = grid("More tasks, and Layer-Attention", len(found), 2, width=WIDTH * 0.7, heights=[3.0] * len(found))
    for (left, right), (kind, each) in zip(axes, found, strict=True):
        counted = [row for row in each["rows"] if "layer_attention" not in row]
        _line(left, [row["tasks"] for row in counted], [row["seconds"] for row in counted])
        left.set(xlabel="tasks", ylabel="milliseconds", ylim=(0, None), title=kind)
        layered = [row for row in each["rows"] if "layer_attention" in row]
        sides = list(dict.fromkeys(row["side"] for row in layered))
        _bars(
            right,
            [f"{row['layer_attention']}, {row['side']} px" for row in layered],
            [row["seconds"] for row in layered],
            [PALETTE[sides.index(row["side"])] for row in layered],
        )
        right.set(xlim=(0, None), xlabel="milliseconds", title="Layer-Attention")
    return figure


def shares(machines: Machines) -> Figure:
    """FLOP/s of the parts of a model over those of the best matrix product."""
    found = [
        (kind, [row for row in each["rows"] if "share" in row and row["batch"] == 1])
        for kind, each in section(machines, "rates")
    ]
    if not found:
        return _nothing("Share of this machine's best matrix product")
    heights = [BAR * len(rows) + 0.8 for _, rows in found]
    figure, axes = grid("Share of this machine's best matrix product", len(found), 1, width=WIDTH, heights=heights)
    for panel, (kind, rows) in zip(axes[:, 0], found, strict=True):
        precisions = list(dict.fromkeys(row["precision"] for row in rows))
        _bars(
            panel,
            [f"{row['subject']}, {row['precision']}" for row in rows],
            [row["share"] for row in rows],
            [PALETTE[precisions.index(row["precision"])] for row in rows],
            scale=1.0,
        )
        panel.set(xlim=(0, 1), xlabel="share", title=kind)
    return figure


def _nothing(title: str) -> Figure:
    figure, axes = grid(title, 1, 1, width=WIDTH, heights=[0.5])
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0.5, 0.5, "not measured", ha="center", va="center")
    return figure


def _bars(
    panel: Axes, names: Sequence[str], values: Sequence[Mapping[str, Any]], colours: Sequence[str], *,
    scale: float = MILLISECONDS,
) -> None:  # fmt: skip
    """A bar for every estimate, the first on top, with its interval."""
    medians = [scale * each["median"] for each in values]
    around = [
        [scale * (each["median"] - each["low"]) for each in values],
        [scale * (each["high"] - each["median"]) for each in values],
    ]
    panel.barh(range(len(names)), medians, xerr=around, height=0.7, color=colours, ecolor="#333333")
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)


def _line(panel: Axes, counts: Sequence[int], values: Sequence[Mapping[str, Any]]) -> None:
    medians = [MILLISECONDS * each["median"] for each in values]
    around = [
        [MILLISECONDS * (each["median"] - each["low"]) for each in values],
        [MILLISECONDS * (each["high"] - each["median"]) for each in values],
    ]
    panel.errorbar(counts, medians, yerr=around, marker="o", color=PALETTE[0], capsize=3)
    panel.spines[["top", "right"]].set_visible(False)
