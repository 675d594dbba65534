"""Figures as pictures, and what is drawn in them as data that `dvc plots diff` compares."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from faceptor.figures.plots import Plot
from faceptor.io.writing import whole_file


def save_figure(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # no date, no version: the same numbers give the same file
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})


def write_plots(plots: Iterable[Plot], folder: Path, name: str) -> None:
    """One file `<sort>/<name>.csv` per plot, `<name>-<series>.csv` for those of a part; five significant digits."""
    for plot in plots:
        series = re.sub(r"[^\w.-]+", "_", plot.series)  # names of subsets are the user's
        path = folder / plot.sort / f"{name}{f'-{series}' if series else ''}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial, open(partial, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(plot.columns)
            for row in zip(*plot.columns.values(), strict=True):
                writer.writerow([f"{value:.5g}" if isinstance(value, float) else value for value in row])
