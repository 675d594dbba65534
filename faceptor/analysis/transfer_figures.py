"""Figures of the notebook `transfer`: skill and forgetting by trained parameters, and over fractions of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from faceptor.analysis import markdown
from faceptor.analysis.canvas import grid, level, look
from faceptor.analysis.transfer import NOT_RUN, named, with_intervals
from faceptor.errors import DataError

if TYPE_CHECKING:
    from IPython.display import Markdown

MODES = ("prompt", "decoder", "full", "lora")
LABELS = {"skill": "skill on the new task", "lost": "skill lost by old tasks"}


def _look(mode: str, modes: list[str]) -> dict:
    """Colour and marker of a mode, the same in every figure."""
    return look(MODES.index(mode) if mode in MODES else len(MODES) + modes.index(mode))


def by_parameters(found: pd.DataFrame) -> Figure:
    """Skill, and skill lost, against trained parameters: `transfer.in_pipeline`, a column of panels per data set."""
    if found.empty:
        raise DataError("transfer: nothing to draw; run `faceptor repro transfer`")
    title = "Skill against trained parameters (95 % intervals over test samples of one model)"
    return _panels(title, found, _dots, "trained parameters (logarithmic)")


def over_fractions(table: pd.DataFrame) -> Figure | Markdown:
    """Skill, and skill lost, against the number of target faces: `transfer.over_fractions`, means over seeds with their
    intervals, the seeds faint; a column of panels per data set. One sentence where nothing was run."""
    if table.empty:
        return markdown.sentences([NOT_RUN])
    title = f"Over fractions of the target data, {table['seed'].nunique()} seeds (bars: 95 % intervals over seeds)"
    return _panels(title, table, _lines, "target faces trained on (logarithmic)")


def _panels(title: str, table: pd.DataFrame, draw: Callable[..., None], across: str) -> Figure:
    """A column of panels per test, a row for each of LABELS; draw: takes panel, rows of the test, value and modes."""
    tests, modes = list(dict.fromkeys(table["test"])), list(dict.fromkeys(table["mode"]))
    figure, axes = grid(title, 2, len(tests), width=3.2, heights=[2.3, 2.3])
    for column, test in enumerate(tests):
        for panel, value in zip(axes[:, column], LABELS, strict=True):
            draw(panel, table[table["test"] == test], value, modes)
            _axis(panel, across, LABELS[value] if not column else "")
        axes[0, column].set_title(test, fontsize=10)
    level(axes[-1])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(modes), fontsize=9)
    return figure


def _dots(panel: Axes, part: pd.DataFrame, value: str, modes: list[str]) -> None:
    for row in part.itertuples():
        middle, low, high = (getattr(row, f"{value}{end}") for end in ("", "_low", "_high"))
        panel.errorbar(
            row.trainable, middle, yerr=[[middle - low], [high - middle]], linestyle="", markersize=5.5,
            label=named(row.mode), **_look(row.mode, modes),
        )  # fmt: skip


def _lines(panel: Axes, part: pd.DataFrame, value: str, modes: list[str]) -> None:
    shown = with_intervals(part, value)
    for number, mode in enumerate(modes):
        style, mine = _look(mode, modes), shown[shown["mode"] == mode].sort_values("faces")
        apart = 1.04 ** (number - (len(modes) - 1) / 2)  # side by side, not one on the other
        seeds = part[part["mode"] == mode]
        panel.plot(seeds["faces"] * apart, seeds[value], linestyle="", marker="_", color=style["color"], alpha=0.5)
        reach = np.nan_to_num(np.array([mine["mean"] - mine["low"], mine["high"] - mine["mean"]]))
        panel.errorbar(
            mine["faces"] * apart, mine["mean"], yerr=reach, markersize=4.5, linewidth=1.2, label=named(mode), **style
        )
    panel.set_xticks(sorted(shown["faces"].unique()))


def _axis(panel: Axes, across: str, up: str) -> None:
    ticks = panel.get_xticks() if "faces" in across else None
    panel.set_xscale("log")
    if ticks is not None:
        panel.set_xticks(ticks)
    panel.xaxis.set_major_formatter(FuncFormatter(_short))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.axhline(0, color="0.6", linestyle="--", linewidth=0.8)
    panel.set_xlabel(across, fontsize=10)
    panel.set_ylabel(up, fontsize=10)
    panel.tick_params(labelsize=8.5)


def _short(value: float, place: int | None = None) -> str:
    """10, 3.2k, 1.9M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
