"""The worst faces of every task, with what was said and what is true, and what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill, shorten

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faceptor.analysis.canvas import grid, tiles
from faceptor.analysis.faces import LABELS_DRAWN, TEXT, enlarged, label_like, label_words, overlaid, show
from faceptor.analysis.failures import LEVEL, Case, Judged
from faceptor.errors import DataError
from faceptor.figures.plots import PALETTE
from faceptor.tasks import kind_of
from faceptor.tasks.base import TaskSpec

CHARACTERS = 34  # of a line below a face
MOST_PROPERTIES = 6  # of a task


def worst_faces(judged: Sequence[Judged], worst: int) -> Figure:
    """A row for each task: its `worst` faces, the worst at the left. Where the answer is drawn, it stands at the left
    of a pair and the label at the right."""
    if not judged:
        raise DataError("failure cases: expected at least one task, found none")
    figure, axes = grid(
        "The worst validation faces of every task", len(judged), worst, width=3.3,
        heights=[2.4 if each.spec.kind in LABELS_DRAWN else 2.9 for each in judged],
    )  # fmt: skip
    for row, each in zip(axes, judged, strict=True):
        for panel in row[len(each.cases) :]:
            panel.remove()
        for panel, case in zip(row, each.cases, strict=False):
            _case(panel, each, case)
        row[0].set_ylabel(each.spec.name, fontsize=TEXT + 1)
    return figure


def _case(panel: Axes, judged: Judged, case: Case) -> None:
    spec, value = judged.spec, f"{judged.metric} {case.value:.3g}"
    if hasattr(case.answer, "label"):
        value = "right" if case.value else "wrong"
    if spec.kind in LABELS_DRAWN:
        said = overlaid(spec, case.sample["image"], case.answer)
        true = overlaid(spec, case.sample["image"], label_like(spec, case.answer, case.sample))
        gap = np.full((said.shape[0], 8, 3), 255, np.uint8)
        show(panel, np.concatenate([said, gap, true], axis=1), value, "said                       true")
        return
    show(panel, enlarged(case.sample["image"])[0], value, _words(spec, case))


def _words(spec: TaskSpec, case: Case) -> str:
    said, true = ", ".join(kind_of(spec).describe(spec, case.answer)), label_words(spec, case.sample)
    if hasattr(case.answer, "probabilities") and np.ndim(case.sample.get(kind_of(spec).columns[0])) == 1:
        return _wrong_attributes(spec, case)
    return "\n".join(shorten(line, CHARACTERS, placeholder=" …") for line in (f"said: {said}", f"true: {true}"))


def _wrong_attributes(spec: TaskSpec, case: Case) -> str:
    """Which of many labels are wrong, the surest first."""
    truth, p = np.asarray(case.sample[kind_of(spec).columns[0]]), np.asarray(case.answer.probabilities)
    missed = (truth >= 0) & ((p > 0.5) != (truth == 1))
    wrong = [i for i in np.argsort(-np.abs(p - 0.5), kind="stable") if missed[i]]
    told = ", ".join(f"{'no ' if truth[i] == 0 else ''}{spec.labels[i].replace('_', ' ')}" for i in wrong[:3])
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return fill(f"missed: {told}{more}", CHARACTERS)


def what_they_share(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """By task the properties in which the worst faces differ most from the others, in standard deviations; filled where
    the difference is beyond chance. tables: task -> `failures.compared`."""
    shown = {name: table.head(MOST_PROPERTIES) for name, table in tables.items() if len(table)}
    if not shown:
        raise DataError("failure cases: too few faces to compare the worst with the others; raise faces or share")
    most = 1.25 * max(table["difference"].abs().max() for table in shown.values())
    title = "In what the worst faces differ from the others"
    figure, panels = tiles(title, [2.5] * len(shown), abreast=2, width=6.4)
    for panel, (name, table) in zip(panels, shown.items(), strict=True):
        rows, sure = np.arange(len(table)), (table["p"] < LEVEL).to_numpy()
        colours = np.where(sure, PALETTE[1], "#c8c8c8")
        panel.barh(rows, table["difference"], color=colours)
        panel.axvline(0, color="0.3", linewidth=0.8)
        panel.set_yticks(rows, [shorten(each, 42, placeholder=" …") for each in table.index], fontsize=TEXT)
        panel.set_ylim(len(table) - 0.5, -0.5)
        panel.set(xlim=(-most, most))
        panel.set_xlabel("worst less others, standard deviations", fontsize=TEXT)
        panel.set_title(name, fontsize=TEXT + 1)
    return figure
