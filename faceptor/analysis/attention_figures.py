"""The attention of chosen queries, drawn over the faces that they looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from faceptor.analysis.attention import attended_layers, has_queries, query_attention, query_names
from faceptor.analysis.canvas import grid
from faceptor.analysis.faces import TEXT, bare, show
from faceptor.analysis.layer_attention import STAGE1, STAGE2, Trained, in_state
from faceptor.analysis.markdown import sentences
from faceptor.config.sections import did_you_mean
from faceptor.datasets.subset import spread
from faceptor.errors import ConfigError
from faceptor.figures.parts import spelt_out
from faceptor.models.base import FaceModel
from faceptor.models.faceptor import Faceptor
from faceptor.transforms.tensors import to_tensor

if TYPE_CHECKING:
    from IPython.display import Markdown

OPACITY = (0.1, 0.75)  # of no attention, and of the most, over the face in grey
COLOURS = "magma"


@dataclass(frozen=True)
class Query:
    """One query of a task: its place among them and its name."""

    task: str
    index: int
    name: str

    @property
    def title(self) -> str:
        return f"{spelt_out(self.name)}\n{self.task}"


def chosen(model: FaceModel, names: Iterable[str], *, where: str) -> list[Query]:
    """Queries by "task:label", as far as the model has their tasks. where: the key of params.yaml, for messages.

    Raises ConfigError for a label that its task does not have, and where no task of these is the model's.
    """
    found = []
    for name in names:
        task, _, label = name.partition(":")
        if task not in model.tasks:
            continue
        known = query_names(model, task)
        if len(known) == 1:
            label = known[0]
        if label not in known:
            raise ConfigError(f"{where}: {task} has no query {label!r}; {did_you_mean(label, known)}")
        found.append(Query(task, known.index(label), label))
    if not found:
        raise ConfigError(f"{where}: none of these tasks is in the model; it has {', '.join(model.tasks)}")
    return found


def on_one_face(
    model: FaceModel, names: Iterable[str], crops: Mapping[str, np.ndarray], *, where: str
) -> Figure | Markdown:
    """A row for every query: what its task was shown, and where it looks in every decoder layer, all encoder layers
    together; a sentence for a model whose tasks have no queries. names, where: see `chosen`; crops: task -> (S, S, 3)
    float in [0, 1]."""
    if not has_queries(model):
        return sentences([f"The tasks of {type(model).__name__} have heads of their own and no queries to look at."])
    queries = chosen(model, names, where=where)
    maps = [summed(model, crops[query.task], query) for query in queries]
    depth = max(len(each) for each in maps)
    figure, axes = grid(
        "Where chosen queries look, mean over heads", len(queries), 1 + depth, width=2.6, heights=[2.5] * len(queries)
    )
    for row, query, layers in zip(axes, queries, maps, strict=True):
        crop = crops[query.task]
        show(row[0], crop.clip(0, 1), query.title)
        for number, (panel, attention) in enumerate(zip(row[1:], layers, strict=False), start=1):
            over(panel, crop, attention, most=layers.max())
            panel.set_title(f"decoder layer {number}", fontsize=TEXT)
        scale_beside(figure, row, layers.max())
    return figure


def summed(model: FaceModel, crop: np.ndarray, query: Query) -> np.ndarray:
    """(decoder layers, H, W): the attention of one query, summed over encoder layers."""
    return query_attention(model, to_tensor(crop), query.task)[:, query.index].sum(axis=1)


def over(panel: Axes, crop: np.ndarray, attention: np.ndarray, *, most: float) -> None:
    """(H, W) attention as colours over the crop in grey: `most` is the brightest colour, cells are those of tokens."""
    side = crop.shape[0]
    grey = crop.mean(axis=2)
    panel.imshow(grey, cmap="gray", vmin=0, vmax=1)
    cells = cv2.resize(attention, (side, side), interpolation=cv2.INTER_NEAREST)
    shown = _scale(most)(100 * cells)
    panel.imshow(shown, cmap=COLOURS, vmin=0, vmax=1, alpha=np.interp(shown, (0, 1), OPACITY))
    bare(panel)


def scale_beside(figure: Figure, panels: Sequence[Axes], most: float) -> None:
    """A colour bar in percent of the query's attention."""
    colours = ScalarMappable(_scale(most), COLOURS)
    bar = figure.colorbar(colours, ax=list(panels), shrink=0.85, pad=0.01)
    bar.set_label("% of the attention,\nper token", fontsize=TEXT)
    bar.ax.tick_params(labelsize=TEXT - 1)
    bar.ax.yaxis.set_major_locator(MaxNLocator(3))


def _scale(most: float) -> PowerNorm:
    """Percent of a query's attention -> 0 to 1, by the root, so that little is seen, too."""
    return PowerNorm(0.5, vmin=0, vmax=100 * most)


# --- before and after stage 2 -----------------------------------------------------------------------------------------

BEFORE, AFTER, ONLY = "stage 1", "stage 2", "stage 1 alone"
WITHOUT = "stage 2 did not train this task:\nit sees the top layer alone"
MOST_DECODER_LAYERS = 3  # that are drawn: the first, the last, and one between
BRIGHTEST = 3  # tokens


@dataclass(frozen=True, eq=False)
class Looked:
    """One query on one face. maps: state -> (decoder layers, encoder layers, H, W); layers: state -> their names."""

    query: Query
    crop: np.ndarray
    maps: dict[str, np.ndarray]
    layers: dict[str, tuple[str, ...]]


def looks(
    model: Faceptor,
    trained: Mapping[str, Trained],
    names: Iterable[str],
    faces: Mapping[str, torch.Tensor],
    *,
    seed: int,
    where: str,
) -> list[Looked]:
    """The attention of chosen queries before stage 2 and after it, kept or not; of a task without a stage 2, as the
    model has it. names, where: see `chosen`; faces: task -> (3, S, S), one face of its data set."""
    found = []
    for query in chosen(model, names, where=where):
        image, maps, layers = faces[query.task], {}, {}
        stages = {BEFORE: STAGE1, AFTER: STAGE2} if query.task in trained else {ONLY: None}
        for name, state in stages.items():
            with in_state(model, state, trained[query.task], seed=seed) if state else nullcontext():
                maps[name] = query_attention(model, image, query.task)[:, query.index]
                layers[name] = attended_layers(model, query.task)
        found.append(Looked(query, image.permute(1, 2, 0).numpy(), maps, layers))
    return found


def before_and_after(found: Sequence[Looked]) -> Figure:
    """Rows: a query in one decoder layer; columns: the crop, the layer that stage 1 sees, all layers after stage 2."""
    wide = max(1 + sum(len(each) for each in one.layers.values()) for one in found)
    rows = [(one, layer) for one in found for layer in spread(len(next(iter(one.maps.values()))), MOST_DECODER_LAYERS)]
    figure, axes = grid(
        "Where chosen queries look, by decoder layer and encoder layer (mean over heads)",
        len(rows), wide, width=12.6 / wide, heights=[12.6 / wide + 0.35] * len(rows),
    )  # fmt: skip
    for panels, (one, layer) in zip(axes, rows, strict=True):
        first = layer == 0
        show(panels[0], one.crop.clip(0, 1), one.query.title if first else "")
        panels[0].set_ylabel(f"decoder layer {layer + 1}", fontsize=TEXT)
        cells = [(state, i) for state, names in one.layers.items() for i in range(len(names))]
        most = max(float(maps[layer].max()) for maps in one.maps.values())
        for panel, (state, index) in zip(panels[1:], cells, strict=False):
            over(panel, one.crop, one.maps[state][layer, index], most=most)
            panel.set_title(f"{state},\n{one.layers[state][index]}" if first else "", fontsize=TEXT)
        for panel in panels[1 + len(cells) :]:
            panel.axis("off")
        if ONLY in one.maps and 1 + len(cells) < wide:
            panels[1 + len(cells)].text(0, 0.5, WITHOUT, fontsize=TEXT, va="center").set_in_layout(False)
        scale_beside(figure, panels, most)
    return figure


def said(found: Sequence[Looked]) -> list[str]:
    """A sentence for every query: how much of its attention in the last decoder layer is on its brightest tokens, and
    below the top encoder layer."""
    return [_sentence(one) for one in found]


def _sentence(one: Looked) -> str:
    told = []
    for state, maps in one.maps.items():
        last = maps[-1]
        brightest = np.sort(last.ravel())[::-1][:BRIGHTEST].sum()
        below = f", {100 * last[:-1].sum():.0f} % of it is below the top layer" if len(last) > 1 else ""
        even = f"{100 * BRIGHTEST / last.size:.0f} % if it were even"
        told.append(f"{state}: {100 * brightest:.0f} % on {BRIGHTEST} of {last.size} tokens ({even}){below}")
    return f"{one.query.task}, query {spelt_out(one.query.name)}, last decoder layer, {'; '.join(told)}."
