"""What is told about a face beside its picture, as data: words, bars, colours, a distribution. `faceptor.predict` draws
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

# Class names of the parsing sets are short; left and right as there.
SPELT_OUT = {
    "rr": "right ear", "lr": "left ear", "rb": "right brow", "lb": "left brow", "re": "right eye", "le": "left eye",
    "imouth": "inner mouth", "im": "inner mouth", "ulip": "upper lip", "ul": "upper lip", "llip": "lower lip",
    "ll": "lower lip", "glass": "glasses", "earr": "earrings", "neckl": "necklace", "cloth": "clothes",
    "face_lr_rr": "face and ears",
}  # fmt: skip


def spelt_out(label: str) -> str:
    """A label as people write it."""
    return SPELT_OUT.get(label, label.replace("_", " ").strip())


@dataclass(frozen=True)
class Words:
    """Lines of text; `muted`: remarks."""

    lines: tuple[str, ...]
    muted: bool = False


@dataclass(frozen=True)
class Bar:
    """A name, a share in [0, 1], what the bar stands for, and what is said in place of the share in percent."""

    name: str
    share: float
    sort: Literal["answer", "other", "unsure"] = "answer"
    said: str = ""


@dataclass(frozen=True)
class Bars:
    """One below the other."""

    bars: Sequence[Bar]


@dataclass(frozen=True)
class Swatches:
    """Names with their colours, (r, g, b) of 0 to 255."""

    colours: Sequence[tuple[str, tuple[int, int, int]]]


@dataclass(frozen=True)
class Distribution:
    """A number with its unit, and the probabilities (N,) of whole numbers from `first` on, of which those from `low` to
    `high` are marked."""

    number: str
    unit: str
    remark: str
    probabilities: np.ndarray
    first: int
    low: int
    high: int


Part = Words | Bars | Swatches | Distribution


def longest(bars: Sequence[Bar], most: int) -> list[Part]:
    """At most so many bars, and how many more there are."""
    parts: list[Part] = [Bars(bars[:most])]
    return parts if len(bars) <= most else [*parts, Words((f"and {len(bars) - most} more",), muted=True)]
