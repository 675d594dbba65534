"""One face through a model: what every task answers, what it was shown, what it owns, and how the parts fit together.

`face` is a `faceptor.predict.predictor.Face`, as any prediction gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from faceptor.analysis.canvas import single, tiles
from faceptor.analysis.faces import TEXT, enlarged, overlaid, show, tell
from faceptor.errors import DataError
from faceptor.figures.parts import Swatches, spelt_out
from faceptor.figures.plots import PALETTE
from faceptor.models.base import FaceModel
from faceptor.models.faceptor import Faceptor
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.crop import PlacedCrop
from faceptor.transforms.framing import crop_of, describe_crop, place_face

ABREAST = 4  # tiles side by side
SIDES_SHOWN = 2.6  # of the picture about a face, in sides of its box


# --- answers ----------------------------------------------------------------------------------------------------------


def answers(rgb: np.ndarray, face: Any, *, title: str) -> Figure:
    """Every task's answer about one face: drawn over the picture, or told beside it."""
    if not face.results:
        raise DataError("face: expected the answer of at least one task, found none")
    figure, panels = tiles(title, [3.1] * (1 + len(face.results)), abreast=ABREAST, width=3.2)
    near, shift = about(rgb, face.box)
    boxed, matrix = enlarged(rgb)
    show(panels[0], boxed, "the picture, and the face box")
    x1, y1, x2, y2 = (matrix[:, :2] @ np.reshape(face.box, (2, 2)).T + matrix[:, 2:]).T.ravel()
    panels[0].plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=PALETTE[6], linewidth=2)
    for panel, (name, answer) in zip(panels[1:], face.results.items(), strict=True):
        spec, kind = face.specs[name], kind_of(face.specs[name])
        if kind.drawn:
            show(panel, overlaid(spec, near, answer.windowed(shift, near.shape[1::-1])), name, _told(spec, answer))
        else:
            tell(panel, kind.panel(spec, answer), name)
    return figure


def about(rgb: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture about a face box, as far as the picture reaches, and the (2, 3) matrix of pixels there."""
    (x, y), reach = (box[:2] + box[2:]) / 2, SIDES_SHOWN / 2 * float(max(box[2:] - box[:2]))
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = int(np.ceil(x + reach)) + 1, int(np.ceil(y + reach)) + 1
    return rgb[top:bottom, left:right], np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])


def _told(spec: TaskSpec, answer: Prediction) -> str:
    """A line below a drawing: the colours' names where it has a legend, else the answer in words."""
    kind = kind_of(spec)
    named = [name for part in kind.legend(spec, answer) if isinstance(part, Swatches) for name, _ in part.colours]
    return shorten(", ".join(named or kind.describe(spec, answer)), 30, placeholder=" …")


# --- crops ------------------------------------------------------------------------------------------------------------


def placed(model: FaceModel, rgb: np.ndarray, face: Any) -> dict[str, PlacedCrop]:
    """What every task was shown of the face: task -> crop."""
    found = {}
    for name in face.results:
        crop, framing = crop_of(model, name)
        found[name] = place_face(crop, framing, image_size=rgb.shape[:2], box=face.box, roll=face.roll)
    return found


def crops(model: FaceModel, rgb: np.ndarray, face: Any) -> Figure:
    """The crops as the network gets them; tasks that were shown the same stand together."""
    same: dict[tuple, list[str]] = {}
    crop_by_task = placed(model, rgb, face)
    for name, crop in crop_by_task.items():
        same.setdefault((crop.size, crop.warp, *np.round(crop.matrix, 3).ravel()), []).append(name)
    figure, panels = tiles("What the network was shown", [3.2] * len(same), abreast=ABREAST, width=3.2)
    for panel, names in zip(panels, same.values(), strict=True):
        crop = crop_by_task[names[0]]
        show(panel, crop.image(rgb), "\n".join(names), f"{crop.size} x {crop.size} pixels")
    return figure


# --- tasks ------------------------------------------------------------------------------------------------------------


def tasks(model: FaceModel) -> pd.DataFrame:
    """What a task is: its queries and their labels, the parameters that it alone owns, and how a face is cut for it."""
    rows = []
    for name, spec in model.tasks.items():
        labels = ", ".join(spelt_out(label) for label in spec.labels[:3]) + (" …" if spec.queries > 3 else "")
        rows.append(
            {
                "task": name,
                "labels": spec.queries or None,
                "for example": labels or "none: it learns people",
                "own parameters": own_parameters(model, name) or None,
                "crop": describe_crop(*crop_of(model, name)),
            }
        )
    return pd.DataFrame(rows).set_index("task").astype({"labels": "Int64", "own parameters": "Int64"})


def own_parameters(model: FaceModel, task: str) -> int:
    """Parameters of the modules that are named after this task alone."""
    return sum(parameter.numel() for name, parameter in model.named_parameters() if task in name.split("."))


# --- how the parts fit together ---------------------------------------------------------------------------------------


def parts(model: FaceModel) -> pd.DataFrame:
    """The model's immediate parts and their parameters, the largest first."""
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    counts = {name: count for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count}
    total = sum(counts.values())
    table = pd.DataFrame({"parameters": counts, "share, %": {n: 100 * c / total for n, c in counts.items()}})
    return table.rename_axis("part")


def diagram(model: FaceModel) -> Figure:
    """How the parts of a Faceptor fit together; of another model its parts in a row."""
    counts = parts(model)["parameters"]
    figure, panel = single(f"How the parts of {type(model).__name__} fit together", width=11.0, height=3.6)
    panel.set(xlim=(0.1, 10.8), ylim=(0, 3.6))
    panel.axis("off")
    boxes = _faceptor_boxes(model, counts) if isinstance(model, Faceptor) else _row_of_boxes(counts)
    for x, y, text, colour in boxes.values():
        frame = FancyBboxPatch((x - 0.95, y - 0.42), 1.9, 0.84, boxstyle="round,pad=0.04", color=colour, alpha=0.22)
        panel.add_patch(frame)
        panel.text(x, y, text, ha="center", va="center", fontsize=TEXT)
    names = list(boxes)
    arrows = FACEPTOR_ARROWS if isinstance(model, Faceptor) else list(pairwise(names))
    for start, end in arrows:
        ends = _ends(*boxes[start][:2], *boxes[end][:2])
        panel.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=14, color="0.3", linewidth=1.2))
    return figure


def _ends(x: float, y: float, u: float, v: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow between two boxes begins and ends: above or below in one column, else at the sides."""
    if x == u:
        up = np.sign(v - y)
        return (x, y + 0.48 * up), (u, v - 0.48 * up)
    return (x + 1.02, y), (u - 1.02, v)


FACEPTOR_ARROWS = (
    ("crop", "encoder"), ("encoder", "decoder"), ("queries", "decoder"), ("decoder", "values"), ("decoder", "maps"),
    ("encoder", "identity"), ("pixels", "maps"), ("encoder", "pixels"),
)  # fmt: skip


def _faceptor_boxes(model: Faceptor, counts: Mapping[str, int]) -> dict[str, tuple[float, float, str, str]]:
    """Name -> centre, text and colour."""
    blue, orange, green, pink = PALETTE[:4]
    queries = sum(len(queries.content) for queries in model.queries.values())
    sizes = sorted({group.size for group in model.inputs.values()}, reverse=True)

    def of(part: str) -> str:
        return f"{counts.get(part, 0) / 1e3:,.0f} k parameters"

    return {
        "crop": (1.2, 1.8, f"a crop of the face\n{' or '.join(map(str, sizes))} pixels", PALETTE[7]),
        "encoder": (4.0, 1.8, f"encoder, {len(model.layers)} layers\n{of('encoder')}", blue),
        "queries": (6.9, 3.1, f"{queries} queries of {len(model.queries)} tasks\n{of('queries')}", orange),
        "decoder": (6.9, 1.8, f"query decoder, {len(model.decoder.layers)} layers\n{of('decoder')}", blue),
        "pixels": (6.9, 0.5, f"pixel decoder\n{of('pixel_decoder')}", blue),
        "values": (9.6, 3.1, "a number per query:\nage, class, attribute", green),
        "maps": (9.6, 1.8, "a map per query:\nlandmark, class of pixels", green),
        "identity": (4.0, 0.5, "an embedding of the face:\nrecognition", pink),
    }


def _row_of_boxes(counts: pd.Series) -> dict[str, tuple[float, float, str, str]]:
    shown = counts.head(5)
    places = 1.2 + 2.12 * np.arange(len(shown))
    return {
        name: (x, 1.8, f"{name.replace('_', ' ')}\n{count / 1e3:,.0f} k parameters", PALETTE[0])
        for x, (name, count) in zip(places, shown.items(), strict=True)
    }


# --- words ------------------------------------------------------------------------------------------------------------


def summary(model: FaceModel, face: Any) -> list[str]:
    """What the face looks like to the model: a sentence for every task that is told in words, and one on the model."""
    told = [
        f"{name}: {shorten(', '.join(kind_of(face.specs[name]).describe(face.specs[name], answer)), 110)}."
        for name, answer in face.results.items()
        if not kind_of(face.specs[name]).drawn
    ]
    total = sum(parameter.numel() for parameter in model.parameters())
    own = sum(own_parameters(model, name) for name in model.tasks)
    share = f"{100 * own / total:.1f} % of its {total:,} parameters"
    return [*told, f"{type(model).__name__} answers {len(model.tasks)} tasks; what single tasks own is {share}."]
