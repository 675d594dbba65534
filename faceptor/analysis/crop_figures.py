"""The figure of `crop_sensitivity`: a row of panels per task, one for each way of displacing the crop."""

from __future__ import annotations

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from faceptor.analysis.canvas import grid, level
from faceptor.analysis.crop_sensitivity import AXES, LOST_SHARE, NEUTRAL, limit_of
from faceptor.figures.plots import PALETTE

LABELS = {
    "margin": "margin (1: as trained; larger: looser)",
    "shift": "shift, share of the crop's side",
    "rotation": "rotation, degrees",
}


def sensitivity_lines(table: pd.DataFrame) -> Figure:
    """Skill against margin, shift and rotation: a row per task, bands of 95 % intervals over faces, which end at 100 %.

    Dotted: LOST_SHARE of the undisplaced skill lost. Dashed: no skill, as the constant baseline.
    """
    tasks = list(dict.fromkeys(table["task"]))
    figure, axes = grid(
        f"Skill on displaced crops, {table['faces'].max()} validation faces per task",
        len(tasks), len(AXES), width=3.6, heights=[2.3] * len(tasks),
    )  # fmt: skip
    for row, task in zip(axes, tasks, strict=True):
        of_task = table[table["task"] == task]
        for panel, axis in zip(row, AXES, strict=True):
            _curve(panel, of_task[of_task["axis"] == axis], axis)
        level(row, least=-0.05)
        for panel in row:
            panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        row[0].set_title(task, loc="left", fontsize=11)
        row[0].set_ylabel(f"skill\n({of_task['metric'].iloc[0].replace('_', ' ')})", fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    return figure


def _curve(panel: Axes, part: pd.DataFrame, axis: str) -> None:
    part = part.sort_values("value")
    seaborn.lineplot(
        part, x="value", y="skill", marker="o", markersize=4, color=PALETTE[0], ax=panel, label="model", legend=False,
        errorbar=None,
    )  # fmt: skip
    panel.fill_between(part["value"], part["skill_low"], part["skill_high"], color=PALETTE[0], alpha=0.2, linewidth=0)
    limit = limit_of(part.loc[part["value"] == NEUTRAL[axis], "skill"].iloc[0])
    panel.axhline(limit, color=PALETTE[1], linestyle=":", linewidth=1, label=f"{LOST_SHARE:.0%} of the skill lost")
    panel.axhline(0, color="0.6", linestyle="--", linewidth=1, label="constant baseline")
    panel.set(xlabel=LABELS[axis], ylabel="")
    panel.tick_params(labelsize=9)
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.xaxis.label.set_size(10)
