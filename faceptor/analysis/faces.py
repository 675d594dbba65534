"""Faces in figures: a picture with an answer drawn over it, an answer in words and bars, the same for its label.

Pictures are (H, W, 3) uint8 RGB; answers and labels are in their pixels (`faceptor.tasks.base.Prediction`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from matplotlib.axes import Axes

from faceptor.figures.parts import Bar, Bars, Distribution, Part, Swatches, Words, spelt_out
from faceptor.figures.plots import PALETTE
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec

DRAWN_SIDE = 360  # pixels the longer side of a picture is brought to before anything is drawn over it
TEXT = 10  # points
MOST_BARS = 7
BAR_COLOURS = {"answer": PALETTE[0], "other": "#9db8cc", "unsure": PALETTE[4]}
# Kinds whose label is drawn as their answer is: kind -> field of the answer, column of the label.
LABELS_DRAWN = {"landmarks": ("points", "landmarks"), "parsing": ("classes", "mask"), "pose": ("angles", "pose")}


def enlarged(rgb: np.ndarray, side: int = DRAWN_SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A picture scaled so that its longer side has `side` pixels, and the (2, 3) matrix that takes its pixels there."""
    scale = side / max(rgb.shape[:2])
    size = tuple(max(1, round(edge * scale)) for edge in rgb.shape[1::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    offset = (scale - 1) / 2  # pixel centres at integers
    return cv2.resize(rgb, size, interpolation=method), np.array([[scale, 0, offset], [0, scale, offset]])


def overlaid(spec: TaskSpec, rgb: np.ndarray, answer: Prediction) -> np.ndarray:
    """The picture, enlarged, with the answer drawn over it as its kind draws it."""
    canvas, matrix = enlarged(rgb)
    return kind_of(spec).draw(spec, canvas, answer.windowed(matrix, canvas.shape[1::-1]))


def label_like(spec: TaskSpec, answer: Prediction, sample: Mapping) -> Prediction:
    """The label of a sample in the form of an answer, for kinds of LABELS_DRAWN."""
    field, column = LABELS_DRAWN[spec.kind]
    return replace(answer, **{field: np.asarray(sample[column])})


def label_words(spec: TaskSpec, sample: Mapping) -> str:
    """The label of a sample as a reader says it: a class, a number with its unit, the attributes that it has."""
    kind = kind_of(spec)
    if hasattr(kind, "label"):
        return spelt_out(spec.labels[kind.label(spec, sample)])
    column = next(name for name in kind.columns if sample.get(name) is not None)
    return column_words(column, sample[column], spec.labels)


def column_words(column: str, value: object, names: Sequence[str], most: int = 3) -> str:
    """A label of a column of `faceptor.datasets.columns` in words; names: of its classes."""
    if column == "age":
        return f"{value:.0f} years"
    if column == "identity":
        return f"person {value}"
    if column == "pose":
        return ", ".join(f"{name} {angle:.0f}°" for name, angle in zip(("pitch", "yaw", "roll"), value, strict=True))
    if column == "visibility":
        return f"{int((np.asarray(value) == 0).sum())} of {len(value)} points hidden"
    if np.ndim(value) == 0:
        return spelt_out(names[int(value)]) if names else f"{value}"
    present = [spelt_out(name) for name, each in zip(names, np.asarray(value), strict=False) if each == 1]
    return ", ".join(present[:most]) + (f" and {len(present) - most} more" if len(present) > most else "")


# --- panels -----------------------------------------------------------------------------------------------------------


def show(panel: Axes, rgb: np.ndarray, title: str = "", caption: str = "") -> None:
    """A picture without axes; the caption stands below it."""
    panel.imshow(rgb, interpolation="antialiased")
    bare(panel, title)
    if caption:
        panel.set_xlabel(caption, fontsize=TEXT)


def bare(panel: Axes, title: str = "") -> None:
    """No axes."""
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    panel.set_title(title, fontsize=TEXT)


def tell(panel: Axes, parts: Sequence[Part], title: str = "") -> None:
    """What a kind says beside a picture (`Kind.panel`), as a panel: a distribution, bars, or words."""
    panel.set_title(title, fontsize=TEXT)
    bars = [bar for part in parts if isinstance(part, Bars) for bar in part.bars]
    distribution = next((part for part in parts if isinstance(part, Distribution)), None)
    if distribution:
        _distribution(panel, distribution)
    elif bars:
        _bars(panel, bars[:MOST_BARS])
    else:
        words = [line for part in parts if isinstance(part, Words) for line in part.lines]
        words += [name for part in parts if isinstance(part, Swatches) for name, _ in part.colours]
        panel.text(0.5, 0.5, "\n".join(words), ha="center", va="center", fontsize=TEXT + 1, wrap=True)
        panel.axis("off")


def _distribution(panel: Axes, told: Distribution) -> None:
    values = told.first + np.arange(len(told.probabilities))
    within = (values >= told.low) & (values <= told.high)
    colours = np.where(within, BAR_COLOURS["answer"], BAR_COLOURS["other"])
    panel.bar(values, 100 * told.probabilities, width=1.0, color=colours)
    panel.set_xlabel(f"{told.number} {told.unit} ({told.remark})", fontsize=TEXT)
    panel.set_ylabel("probability, %", fontsize=TEXT)
    panel.tick_params(labelsize=TEXT - 1)


def _bars(panel: Axes, bars: Sequence[Bar]) -> None:
    rows = np.arange(len(bars))
    shares = np.array([bar.share for bar in bars])
    panel.barh(rows, 100 * shares, color=[BAR_COLOURS[bar.sort] for bar in bars])
    for row, bar in zip(rows, bars, strict=True):
        panel.annotate(f" {bar.said or f'{100 * bar.share:.0f}'}", (100 * bar.share, row), va="center", fontsize=TEXT)
    panel.set_yticks(rows, [bar.name for bar in bars], fontsize=TEXT)
    panel.set_ylim(len(bars) - 0.4, -0.6)
    panel.set_xlim(0, 125)
    panel.set_xticks([0, 50, 100])
    panel.tick_params(axis="x", labelsize=TEXT - 1)
    panel.set_xlabel("probability, %", fontsize=TEXT)
