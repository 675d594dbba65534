"""Figures of the data sets: faces with their labels drawn over them, sizes of splits, distributions of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter

from faceptor.analysis.canvas import grid, single, tiles
from faceptor.analysis.data_sets import Distribution
from faceptor.analysis.faces import TEXT, column_words, enlarged, show
from faceptor.datasets.columns import COLUMNS
from faceptor.errors import DataError
from faceptor.figures.drawing import blend_classes, draw_axes
from faceptor.figures.plots import PALETTE
from faceptor.prepared.reading import SPLITS
from faceptor.tasks.rotations import matrix_of_degrees

COLOURS = dict(zip(SPLITS, PALETTE[:3], strict=True))
CAPTION_CHARACTERS = 24
MOST_CLASSES = 12  # of a panel; of more, the commonest and the rarest
IN_PICTURE = ("landmarks", "mask", "box", "points5", "pose", "visibility")  # columns that are drawn


def labelled_faces(samples: Mapping[str, Sequence[Mapping]], cards: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row for each data set: faces with their labels drawn over them, or below. samples: data set -> samples."""
    shown = {name: faces for name, faces in samples.items() if faces}
    if not shown:
        raise DataError("faces: expected at least one, found none")
    columns = max(map(len, shown.values()))
    figure, axes = grid("Faces and their labels", len(shown), columns, width=2.1, heights=[2.45] * len(shown))
    for row, (name, faces) in zip(axes, shown.items(), strict=True):
        for panel in row[len(faces) :]:
            panel.remove()
        for panel, sample in zip(row, faces, strict=False):
            names = cards[name]["label_names"]
            show(panel, labelled(sample, names), caption=_caption(sample, names))
            _points(panel, sample)
        row[0].set_ylabel(name, fontsize=TEXT + 1)
    return figure


def labelled(sample: Mapping, names: Mapping[str, Sequence[str]]) -> np.ndarray:
    """The enlarged picture with class maps and head axes."""
    canvas, matrix = enlarged(sample["image"])
    if "mask" in sample:
        mask = cv2.resize(sample["mask"], canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        canvas = blend_classes(canvas, mask, len(names["mask"]))
    if "pose" in sample:
        axes = matrix_of_degrees(sample["pose"]) * [1, -1, 1] * [[1], [-1], [1]]
        box = sample.get("box", np.array([0, 0, *sample["image"].shape[1::-1]]))
        centre = matrix[:, :2] @ np.reshape(box, (2, 2)).mean(axis=0) + matrix[:, 2]
        canvas = draw_axes(canvas, centre, axes, 0.35 * matrix[0, 0] * float(box[2] - box[0]))
    return canvas


def _points(panel: Axes, sample: Mapping) -> None:
    """Landmarks, hidden ones as rings, and the box."""
    _, matrix = enlarged(sample["image"])
    scale, offset = matrix[0, 0], matrix[0, 2]
    points = sample.get("landmarks", sample.get("points5"))
    if points is not None:
        hidden = sample["visibility"] == 0 if "visibility" in sample else np.zeros(len(points), bool)
        x, y = (points * scale + offset).T
        size = 6 if len(points) > 40 else 14
        panel.scatter(x[~hidden], y[~hidden], s=size, color=PALETTE[5], linewidths=0)
        panel.scatter(x[hidden], y[hidden], s=2 * size, facecolors="none", edgecolors=PALETTE[1], linewidths=1.2)
    if "box" in sample:
        x1, y1, x2, y2 = sample["box"] * scale + offset
        panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=PALETTE[6], linewidth=1.2))
    height, width = enlarged(sample["image"])[0].shape[:2]
    panel.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _caption(sample: Mapping, names: Mapping[str, Sequence[str]]) -> str:
    told = [column for column in COLUMNS if column in sample and column not in IN_PICTURE]
    words = ", ".join(column_words(column, sample[column], names.get(column, ()), most=2) for column in told)
    return fill(words, CAPTION_CHARACTERS)


def split_sizes(table: pd.DataFrame) -> Figure:
    """Faces of every split, from `data_sets.sizes`, on a logarithmic axis."""
    names = list(dict.fromkeys(table["data set"]))
    figure, panel = single("Faces of every split", width=9.0, height=0.36 * len(names) + 0.9)
    for split, marker in zip(SPLITS, "osD", strict=True):
        part = table[table["split"] == split]
        rows = [names.index(name) for name in part["data set"]]
        panel.scatter(part["faces"], rows, s=70, marker=marker, color=COLOURS[split], label=split, zorder=3)
    panel.set_yticks(range(len(names)), names, fontsize=TEXT + 1)
    panel.set(xscale="log", xlabel="faces (logarithmic)", ylim=(len(names) - 0.5, -0.5))
    panel.set_xlim(table["faces"].min() / 1.5, table["faces"].max() * 1.5)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(axis="both", color="0.9", zorder=0)
    panel.legend(fontsize=TEXT, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


def label_shares(found: Sequence[Distribution]) -> Figure:
    """A panel for each label: shares of its classes by split."""
    if not found:
        raise DataError("labels: no card counts any, so there is no distribution to draw")
    heights = [0.34 * min(len(each.shares), MOST_CLASSES) + 0.9 for each in found]
    figure, panels = tiles("Labels by split", heights, abreast=3, width=4.6)
    for panel, each in zip(panels, found, strict=True):
        _shares(panel, each)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=TEXT)
    return figure


def _shares(panel: Axes, each: Distribution) -> None:
    shares, title = each.shares, f"{each.dataset}: {each.column}"
    if len(shares) > MOST_CLASSES:
        order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index
        half = MOST_CLASSES // 2
        shares, title = shares.loc[[*order[:half], *order[-half:]]], f"{title},\ncommonest and rarest of {len(shares)}"
    splits = [split for split in SPLITS if split in shares]
    rows, thickness = np.arange(len(shares)), 0.8 / len(splits)
    for place, split in enumerate(splits):
        offset = (place - (len(splits) - 1) / 2) * thickness
        panel.barh(rows + offset, shares[split], height=thickness, color=COLOURS[split], label=split)
    panel.set_yticks(rows, shares.index, fontsize=TEXT)
    panel.set_ylim(len(shares) - 0.5, -0.5)
    panel.set_title(title, fontsize=TEXT + 1)
    logarithmic = each.unit == "pixels"  # an eye has few of them
    panel.set_xlabel(f"% of the {each.unit}{' (logarithmic)' if logarithmic else ''}", fontsize=TEXT)
    if logarithmic:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    panel.tick_params(axis="x", labelsize=TEXT - 1)
