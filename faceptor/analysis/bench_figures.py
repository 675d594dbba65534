"""Figures of `bench_tables`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faceptor.analysis.bench_tables import MILLISECONDS, Machines, section
from faceptor.analysis.canvas import grid, single
from faceptor.figures.plots import PALETTE

WIDTH, BAR = 8.0, 0.3  # inches: of a panel, of a bar's row
Row = Mapping[str, Any]


def latency(machines: Machines) -> Figure:
    """One face, all tasks: milliseconds of every way to ask, with intervals; a panel for each machine."""
    return _panels(
        "One face, all tasks",
        section(machines, "latency"),
        named=lambda row: f"{row['subject']}: {row['way']}, {row['precision']}",
        value="seconds",
        coloured="way",
        scale=MILLISECONDS,
        xscale="log",
        xlabel="milliseconds (logarithmic)",
    )


def growth(machines: Machines) -> Figure:
    """Milliseconds against the number of tasks, and of Layer-Attention."""
    found = list(section(machines, "growth"))
    if not found:
        return _nothing("More tasks, and Layer-Attention")
    figure, axes = grid("More tasks, and Layer-Attention", len(found), 2, width=WIDTH * 0.7, heights=[3.0] * len(found))
    for (left, right), (kind, each) in zip(axes, found, strict=True):
        counted = [row for row in each["rows"] if "layer_attention" not in row]
        medians, around = _scaled([row["seconds"] for row in counted], MILLISECONDS)
        tasks = [row["tasks"] for row in counted]
        left.errorbar(tasks, medians, yerr=around, marker="o", color=PALETTE[0], capsize=3)
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
    return _panels(
        "Share of this machine's best matrix product",
        section(machines, "rates"),
        named=lambda row: f"{row['subject']}, {row['precision']}",
        value="share",
        coloured="precision",
        scale=1.0,
        xlim=(0, 1),
        xlabel="share",
    )


def _panels(
    title: str, sections: Iterable[tuple[str, dict]], *, named: Callable[[Row], str], value: str, coloured: str,
    scale: float, **axes_settings: Any,
) -> Figure:  # fmt: skip
    """A panel of bars for each machine: its estimates of one face under `value`, a colour for each thing under
    `coloured`."""
    found = [(kind, [row for row in each["rows"] if value in row and row["batch"] == 1]) for kind, each in sections]
    if not found:
        return _nothing(title)
    heights = [BAR * len(rows) + 0.8 for _, rows in found]
    figure, axes = grid(title, len(found), 1, width=WIDTH, heights=heights)
    for panel, (kind, rows) in zip(axes[:, 0], found, strict=True):
        things = list(dict.fromkeys(row[coloured] for row in rows))
        colours = [PALETTE[things.index(row[coloured])] for row in rows]
        _bars(panel, [named(row) for row in rows], [row[value] for row in rows], colours, scale=scale)
        panel.set(title=kind, **axes_settings)
    return figure


def _nothing(title: str) -> Figure:
    figure, panel = single(title, width=WIDTH, height=0.5)
    panel.set_axis_off()
    panel.text(0.5, 0.5, "not measured", ha="center", va="center")
    return figure


def _bars(
    panel: Axes, names: Sequence[str], values: Sequence[Row], colours: Sequence[str], *, scale: float = MILLISECONDS
) -> None:
    """A bar for every estimate, the first on top, with its interval."""
    medians, around = _scaled(values, scale)
    panel.barh(range(len(names)), medians, xerr=around, height=0.7, color=colours, ecolor="#333333")
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.invert_yaxis()


def _scaled(values: Sequence[Row], scale: float) -> tuple[list[float], list[list[float]]]:
    """Medians, and how far their intervals reach below and above them."""
    medians = [scale * each["median"] for each in values]
    below = [scale * (each["median"] - each["low"]) for each in values]
    above = [scale * (each["high"] - each["median"]) for each in values]
    return medians, [below, above]
