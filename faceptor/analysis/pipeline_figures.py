"""Figures of `pipeline_truth`: skill by the ways to a crop, views of one face, what a face costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from faceptor.analysis.canvas import grid, single
from faceptor.analysis.pipeline_truth import CUTS, MOVES, WAYS, Truth
from faceptor.errors import DataError
from faceptor.figures.plots import PALETTE

MARKERS = {"own": "o", "boxed": "s", "found": "D", "shared": "P", "all": "v"}
EDGE = 150.0  # points of skill, beyond which a face is drawn at the edge


def way_dots(table: pd.DataFrame) -> Figure:
    """Skill of every task by every way, with 95 % intervals over faces, from `pipeline_truth.skills`."""
    tasks = list(dict.fromkeys(table["task"]))
    title = "From the data set's own crop to a photograph's"
    figure, panel = single(title, width=9.0, height=0.62 * len(tasks) + 1)
    for place, way in enumerate(WAYS):
        part = table[table["way"] == way]
        rows = np.array([tasks.index(task) for task in part["task"]]) + 0.15 * (place - 2)
        skill, low, high = (100 * part[key].to_numpy(float) for key in ("skill", "low", "high"))
        panel.errorbar(
            skill, rows, xerr=np.nan_to_num(np.clip([skill - low, high - skill], 0, None)), linestyle="",
            marker=MARKERS[way], color=PALETTE[place], markersize=6, elinewidth=1.2, label=WAYS[way],
        )  # fmt: skip
    panel.axvline(0, color="0.6", linestyle="--", linewidth=1)
    faces = table.groupby("task", sort=False)["faces"]
    names = [f"{task}\n({least} of {most} faces found)" for task, least, most in zip(
        tasks, faces.min(), faces.max(), strict=True)]  # fmt: skip
    panel.set_yticks(np.arange(len(tasks)), names)
    panel.set(xlabel="skill, % (0: constant baseline, 100: perfect)", ylim=(len(tasks) - 0.4, -0.6))
    panel.grid(axis="x", color="0.92")
    panel.set_axisbelow(True)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def view_rows(truths: Sequence[Truth]) -> Figure:
    """The first found face of every task as the network sees it by each way; without a picture where no label tells
    the true box."""
    shown = [truth for truth in truths if truth.rows]
    if not shown:
        raise DataError("the detector found no face of any task; take more faces")
    title = "One face of each task, cut in four ways"
    figure, axes = grid(title, len(CUTS), len(shown), width=1.75, heights=[1.8] * len(CUTS))
    for row, way in zip(axes, CUTS, strict=True):
        for panel, truth in zip(row, shown, strict=True):
            place = truth.rows[0]
            view = getattr(truth.views, way)[place]
            if view is None:
                panel.text(0.5, 0.5, "no label tells\nthe true box", ha="center", va="center", fontsize=9)
            else:
                panel.imshow(view.image(truth.task.samples[place]["image"]).clip(0, 1))
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(True)
            panel.set_box_aspect(1)
            if way == "own":
                panel.set_title(truth.task.spec.name.replace("_", "\n"), fontsize=9)
        row[0].set_ylabel(WAYS[way], fontsize=9)
    return figure


def move_dots(table: pd.DataFrame) -> Figure:
    """What every found face costs against how its view differs from its own crop, a panel per move, from
    `pipeline_truth.moves`."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, axes = grid("What a face costs, by how its view is off", 1, len(MOVES), width=4.2, heights=[3.6])
    beyond = int((table["lost"].abs() > EDGE).sum())
    styles = {task: {"color": PALETTE[i % 6], "marker": "os^D"[i % 4]} for i, task in enumerate(tasks)}
    for panel, (move, label) in zip(axes[0], MOVES.items(), strict=True):
        for task, style in styles.items():
            part = table[table["task"] == task]
            panel.scatter(part[move], part["lost"].clip(-EDGE, EDGE), s=22, alpha=0.75, clip_on=False, **style)
        panel.axhline(0, color="0.6", linestyle="--", linewidth=1)
        panel.set(xlabel=label, ylim=(max(table["lost"].min(), -EDGE) - 8, min(table["lost"].max(), EDGE) + 8))
    axes[0, 0].set_ylabel("skill lost by this face, points")
    handles = [Line2D([], [], linestyle="", label=task, **style) for task, style in styles.items()]
    if beyond:
        handles.append(Line2D([], [], linestyle="", label=f"at the edge, and in truth beyond: {beyond}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return figure
