"""Pieces of figures, and of the data they show, shared by kinds.

matplotlib is imported in the functions: tasks must be cheap to import. Figures are built without pyplot, so no global
state, no backend choice and nothing to close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faceptor.datasets.subset import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from faceptor.tasks.measures import Reliability

# Okabe-Ito, which stays apart under the common colour-vision deficiencies; black is kept for text and axes.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#999999")
CURVE_POINTS = 101  # of a curve that is written as data


class Plot(NamedTuple):
    """What a figure shows, as data: the sort of plot, named columns of one length, the part of the samples ("" = all).

    Sorts and their columns: confusion (actual, predicted, count, share of the actual), error (error, share of samples
    at or below it), roc (fpr, tpr), reliability (confidence, frequency, count), precision (recall, precision). Shares
    are fractions, errors have the metric's unit.
    """

    sort: str
    columns: dict[str, list]
    series: str = ""


# --- data ------------------------------------------------------------------------------------------------------------


def confusion_data(confusion: np.ndarray, labels: tuple[str, ...]) -> Plot:
    """(C, C) counts, rows = truth; cells with nothing in them are written, too, so that two files compare."""
    sums = confusion.sum(1, keepdims=True)
    share = np.divide(confusion, sums, out=np.zeros(confusion.shape), where=sums > 0)
    actual, predicted = np.meshgrid(labels, labels, indexing="ij")
    cells = {"actual": actual, "predicted": predicted, "count": confusion, "share": share}
    return Plot("confusion", {name: values.ravel().tolist() for name, values in cells.items()})


def error_data(errors: np.ndarray, most: float, series: str = "") -> Plot:
    """Cumulative distribution of errors, from 0 to `most`."""
    grid = np.linspace(0, most, CURVE_POINTS)
    share = np.searchsorted(np.sort(errors), grid, side="right") / len(errors)
    return Plot("error", {"error": grid.tolist(), "share": share.tolist()}, series)


def reliability_data(result: Reliability) -> Plot:
    """Of the bins that are not empty."""
    filled = result.count > 0
    columns = {"confidence": result.confidence, "frequency": result.frequency, "count": result.count}
    return Plot("reliability", {name: values[filled].tolist() for name, values in columns.items()})


def curve_data(sort: str, columns: dict[str, np.ndarray], series: str = "") -> Plot:
    """A curve thinned to CURVE_POINTS, without repeated points."""
    table = np.unique(np.stack(list(columns.values()), axis=1), axis=0)
    kept = table[spread(len(table), CURVE_POINTS)]
    return Plot(sort, dict(zip(columns, kept.T.tolist(), strict=True)), series)


# --- figures ---------------------------------------------------------------------------------------------------------


def new_figure(title: str, columns: int = 1, *, width: float = 5.2, height: float = 4.4) -> tuple[Figure, list[Axes]]:
    """A figure of `columns` panels side by side; sizes in inches per panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)  # seaborn measures labels, which needs a canvas that can draw
    figure.suptitle(title)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_confusion(panel: Axes, confusion: np.ndarray, labels: tuple[str, ...]) -> None:
    """Row-normalised confusion in percent; rows are the truth. Rows without samples stay blank."""
    sums = confusion.sum(1, keepdims=True)
    share = np.divide(100.0 * confusion, sums, out=np.full(confusion.shape, np.nan), where=sums > 0)
    # not seaborn.heatmap, which draws the whole figure once for each of its panels
    places = np.arange(len(labels))
    cells = panel.pcolormesh(places, places, share, cmap="Blues", vmin=0, vmax=100)
    panel.figure.colorbar(cells, ax=panel, label="% of the true class", shrink=0.7)
    if len(labels) <= 12:  # numbers in the cells only where they can be read
        for (row, column), value in np.ndenumerate(share):
            if np.isfinite(value):
                ink = "white" if value > 55 else "0.15"
                panel.text(column, row, f"{value:.0f}", ha="center", va="center", size=7, color=ink)
    panel.set_xticks(places, labels, rotation=90)
    panel.set_yticks(places, labels)
    panel.set_aspect("equal")
    panel.invert_yaxis()
    panel.tick_params(labelsize=7)
    panel.set(xlabel="predicted", ylabel="true")


def draw_reliability(panel: Axes, result: Reliability, xlabel: str = "stated probability") -> None:
    """Reliability diagram; the size of a dot follows the share of its bin."""
    filled = result.count > 0
    panel.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    stated, true = result.confidence[filled], result.frequency[filled]
    sizes = 10 + 150 * result.count[filled] / max(result.count.sum(), 1)
    panel.plot(stated, true, color=PALETTE[0], linewidth=1)
    panel.scatter(stated, true, color=PALETTE[0], s=sizes, clip_on=False, zorder=3)
    title = f"calibration error {100 * result.error:.1f} %"
    panel.set(xlim=(0, 1), ylim=(0, 1), xlabel=xlabel, ylabel="share that came true", title=title)


def draw_bars(
    panel: Axes, labels: list[str], values: np.ndarray, xlabel: str, marks: np.ndarray | None = None,
    mark_label: str = "",
) -> None:  # fmt: skip
    """Horizontal bars, first label on top; `marks` sets one reference tick per bar."""
    rows = np.arange(len(labels))
    panel.barh(rows, np.nan_to_num(values), color=PALETTE[5])  # light, so that marks show
    if marks is not None:
        panel.scatter(marks, rows, marker="|", s=60, color="black", label=mark_label, zorder=3)
        panel.legend(loc="lower left", fontsize=7)
    panel.set_yticks(rows, labels, fontsize=6 if len(labels) > 20 else 8)
    panel.invert_yaxis()
    panel.set(xlabel=xlabel, xlim=(0, 100))
