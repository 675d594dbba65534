"""Figures of `robustness`: skill of spoilt pictures, the headline by group, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from faceptor.analysis.calibration import Calibration
from faceptor.analysis.canvas import grid, tiles
from faceptor.analysis.task_faces import TaskFaces
from faceptor.errors import DataError
from faceptor.evaluation.groups import FEWEST_FACES
from faceptor.figures.plots import PALETTE, draw_reliability
from faceptor.transforms.corruptions import CORRUPTIONS, Corrupted

PANELS_PER_ROW = 4
COLOURS = (*PALETTE[:6], "#666666", "black")  # yellow is too light for lines
MARKERS = "osD^vP*X"  # beside the colour, which alone not everybody can tell
UNITS = {"age": "years", "pose": "degrees"}  # of the headline, by kind; percent elsewhere
LOWEST_SKILL = -0.3  # that is shown; further below the constant baseline nothing is told by how far


def corruption_curves(table: pd.DataFrame) -> Figure:
    """Skill against the strength of every corruption, a line per task, bars of 95 % intervals over faces, from
    `robustness.measure_corruptions`."""
    if table.empty:
        raise DataError("corruption_curves: expected at least one row, found none")
    names, tasks = list(dict.fromkeys(table["corruption"])), list(dict.fromkeys(table["task"]))
    title = f"Skill on spoilt crops, {table['faces'].max()} validation faces per task"
    figure, panels = tiles(title, [2.9] * len(names), abreast=PANELS_PER_ROW, width=3.5)
    for panel, name in zip(panels, names, strict=True):
        _curves(panel, table[table["corruption"] == name], name, tasks)
    for panel in panels[::PANELS_PER_ROW]:
        panel.set_ylabel("skill, % (0: constant baseline)")
    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], label=task, linewidth=1)
        for i, task in enumerate(tasks)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def examples(task: TaskFaces, strengths: Mapping[str, Sequence[float]]) -> Figure:
    """One face of a task, clean and under every corruption at its first and last strength, as the network sees it."""
    if not task.samples:
        raise DataError(f"{task.test}: expected a face, found none")
    sample = task.samples[0]
    figure, axes = grid("What the network sees", 2, len(strengths) + 1, width=1.35, heights=[1.6, 1.6])
    for row, place in zip(axes, (0, -1), strict=True):
        views = {"clean": task.crop} | {
            f"{name}\n{CORRUPTIONS[name].form.format(values[place])}": Corrupted(task.crop, name, values[place])
            for name, values in strengths.items()
        }
        for panel, (title, view) in zip(row, views.items(), strict=True):
            panel.imshow(view.place_sample(sample).image(sample["image"]).clip(0, 1))
            panel.set_title(title, fontsize=9)
            panel.set_axis_off()
    return figure


def _curves(panel: Axes, part: pd.DataFrame, name: str, tasks: Sequence[str]) -> None:
    labels = list(dict.fromkeys(part["label"]))
    for place, task in enumerate(tasks):
        rows = part[part["task"] == task]
        offset = 0.6 * ((place + 0.5) / len(tasks) - 0.5)
        skill, low, high = (100 * rows[key].to_numpy(float).clip(min=LOWEST_SKILL) for key in ("skill", "low", "high"))
        bars = np.nan_to_num(np.abs(np.stack([skill - low, high - skill])))
        panel.errorbar(
            np.arange(len(labels)) + offset, skill, bars, color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)], markersize=4, linewidth=1, elinewidth=0.8,
        )  # fmt: skip
    panel.axhline(0, color="0.6", linestyle="--", linewidth=1)
    panel.set_xticks(np.arange(len(labels)), labels)
    panel.set(title=name, xlabel=CORRUPTIONS[name].unit, ylim=(100 * LOWEST_SKILL - 3, 103))
    panel.tick_params(labelsize=8)


def group_dots(table: pd.DataFrame) -> Figure:
    """The headline metric of every group with its 95 % interval, a panel per test, from `group_tables.by_group`. The
    worst group is marked; groups of few faces are hollow."""
    parts = sorted((part for _, part in table.groupby("test", sort=False)), key=len)
    heights = [0.21 * (len(part) + part["label"].nunique()) + 0.9 for part in parts]
    figure, panels = tiles("By group of faces", heights, abreast=3, width=4.6)
    for panel, part in zip(panels, parts, strict=True):
        _dots(panel, part)
    handles = [
        Line2D([], [], color=PALETTE[0], marker="o", linestyle="", label="group, 95 % interval"),
        Line2D([], [], color=PALETTE[1], marker="D", linestyle="", label="worst group"),
        Line2D([], [], color="0.5", marker="o", markerfacecolor="white", linestyle="",
               label=f"fewer than {FEWEST_FACES} faces"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _dots(panel: Axes, part: pd.DataFrame) -> None:
    place, places, names = 0, [], []
    for label, groups in part.groupby("label", sort=False):
        places.append(place)
        names.append(f"by {label}:")
        for row in groups.itertuples():
            place += 1
            places.append(place)
            names.append(f"{row.group} ({row.faces})")
            if np.isfinite(row.value):
                _dot(panel, place, row)
        place += 1
    panel.set_yticks(places, names)
    for text in panel.get_yticklabels():
        text.set_fontweight("bold" if text.get_text().endswith(":") else "normal")
    test, metric = part[["test", "metric"]].iloc[0]
    unit = UNITS.get(test.split("_")[0], "%")
    panel.set(title=test, xlabel=f"{metric.replace('_', ' ')}, {unit}", ylim=(place - 0.3, -0.7))
    panel.tick_params(labelsize=8)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="0.92")
    panel.set_axisbelow(True)
    panel.spines["left"].set_visible(False)


def _dot(panel: Axes, place: int, row) -> None:
    colour = "0.5" if row.few else PALETTE[1 if row.worst else 0]
    bars = None
    if np.isfinite(row.low):
        bars = np.clip([[row.value - row.low], [row.high - row.value]], 0, None)
    panel.errorbar(
        [row.value], [place], xerr=bars, color=colour, marker="D" if row.worst else "o", markersize=5, linewidth=1.2,
        markerfacecolor="white" if row.few else colour,
    )  # fmt: skip


def reliability_panels(found: Sequence[Calibration]) -> Figure:
    """Reliability of every task that states probabilities, from `calibration.calibrations`."""
    title = "Stated probability against what came true (size of a dot: share of the answers)"
    figure, panels = tiles(title, [3.6] * len(found), abreast=3, width=3.7)
    for panel, one in zip(panels, found, strict=True):
        draw_reliability(panel, one.bins, one.states)
        low, high = one.interval
        panel.set_title(f"{one.test}\nerror {one.ece:.1f} % [{low:.1f}, {high:.1f}]", fontsize=10)
        panel.set_box_aspect(1)
    return figure
