"""What a notebook draws on: figures that show themselves as the value of a cell, built without pyplot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from math import inf

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from faceptor.figures.plots import PALETTE

DPI = 110
MARKERS = "oDs^vPX*"


class Shown(Figure):
    """A figure that a notebook shows as the value of a cell, whichever backend is active."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.set_dpi(DPI)
        # Not savefig, which draws everything twice where there is a layout. The figure alone, no version.
        FigureCanvasAgg(self).print_png(picture, metadata={"Software": None})
        return picture.getvalue()


def grid(title: str, rows: int, columns: int, *, width: float, heights: Sequence[float]) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns), open above and at the right; width of a panel and heights of the rows in
    inches."""
    figure = Shown(figsize=(width * columns, sum(heights) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)  # seaborn measures labels, which needs a canvas that can draw
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def single(title: str, *, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one panel; sizes in inches."""
    figure, axes = grid(title, 1, 1, width=width, heights=[height])
    return figure, axes[0, 0]


def tiles(title: str, heights: Sequence[float], *, abreast: int, width: float) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of `heights`, so many abreast; sizes in inches, a row as high as its highest."""
    columns = min(len(heights), abreast)
    rows = [max(heights[start : start + columns]) for start in range(0, len(heights), columns)]
    figure, axes = grid(title, len(rows), columns, width=width, heights=rows)
    for panel in axes.flat[len(heights) :]:
        panel.remove()
    return figure, list(axes.flat[: len(heights)])


def look(place: int) -> dict[str, str]:
    """Colour and marker of the one at this place among several."""
    return {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)]}


def level(row: Iterable[Axes], *, least: float = inf) -> None:
    """The same scale in all panels of a row, from `least` or lower."""
    lows, highs = zip(*(panel.get_ylim() for panel in row), strict=True)
    for panel in row:
        panel.set_ylim(min(*lows, least), max(highs))
