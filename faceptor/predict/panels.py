"""Answers in words and bars: one block of a face's card for each answer without a place in the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from faceptor.predict.page import FAINT, INK, MUTED, fitted, font, line, stack, text_size
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.tasks.plots import PALETTE

CERTAIN, DOUBT = 0.6, 0.4  # attributes between these probabilities are marked as uncertain
MOST_ROWS = 12
TRACK = "#f0f0f0"
BAR, BEST, UNSURE = "#9db8cc", PALETTE[0], PALETTE[4]

# Class names of the parsing sets are short; left and right are their owners'.
SPELT_OUT = {
    "rr": "right ear", "lr": "left ear", "rb": "right brow", "lb": "left brow", "re": "right eye", "le": "left eye",
    "imouth": "inner mouth", "im": "inner mouth", "ulip": "upper lip", "ul": "upper lip", "llip": "lower lip",
    "ll": "lower lip", "glass": "glasses", "earr": "earrings", "neckl": "necklace", "cloth": "clothes",
    "face_lr_rr": "face and ears",
}  # fmt: skip


def pretty(label: str) -> str:
    return SPELT_OUT.get(label, label.replace("_", " ").strip())


@dataclass(frozen=True)
class Row:
    """One bar: a name, a share in [0, 1], a colour."""

    name: str
    share: float
    colour: str
    said: str = ""  # in place of the share in percent


def _bars(rows: Sequence[Row], width: int) -> Image.Image:
    names, height = int(width * 0.46), 20
    picture = Image.new("RGB", (width, max(1, height * len(rows))), "white")
    draw = ImageDraw.Draw(picture)
    for index, row in enumerate(rows):
        middle, right = index * height + height // 2, width - 44
        draw.text((0, middle), fitted(row.name, names - 8, font(13)), fill=INK, font=font(13), anchor="lm")
        draw.rounded_rectangle([names, middle - 5, right, middle + 5], 3, fill=TRACK)
        filled = names + (right - names) * min(max(row.share, 0), 1)
        if filled - names >= 1:
            draw.rounded_rectangle([names, middle - 5, filled, middle + 5], 3, fill=row.colour)
        draw.text((width, middle), row.said or f"{100 * row.share:.0f} %", fill=INK, font=font(13), anchor="rm")
    return picture


def _classes(spec: TaskSpec, prediction, width: int) -> Image.Image:
    order = np.argsort(-prediction.probabilities, kind="stable")
    rows = [
        Row(pretty(spec.labels[i]), float(prediction.probabilities[i]), BEST if i == prediction.label else BAR)
        for i in order
    ]
    return _bars(rows, width)


def _groups(spec: TaskSpec, prediction, width: int) -> Image.Image:
    """Classes that have an order, in that order."""
    rows = [
        Row(pretty(name), float(p), BEST if i == prediction.label else BAR)
        for i, (name, p) in enumerate(zip(spec.labels, prediction.probabilities, strict=True))
    ]
    return _bars(rows, width)


def _attributes(spec: TaskSpec, prediction, width: int) -> Image.Image:
    order = np.argsort(-prediction.probabilities, kind="stable")
    named = [(pretty(spec.labels[i]), float(prediction.probabilities[i])) for i in order]
    found = [Row(name, p, BEST) for name, p in named if p > CERTAIN]
    doubtful = sorted(((name, p) for name, p in named if DOUBT <= p <= CERTAIN), key=lambda item: -item[1])
    parts = [_bars(found[:MOST_ROWS], width) if found else line("none surely present", width)]
    if len(found) > MOST_ROWS:
        parts.append(line(f"and {len(found) - MOST_ROWS} more", width))
    if doubtful:
        parts.append(line(f"uncertain, {100 * DOUBT:.0f} to {100 * CERTAIN:.0f} %", width))
        parts.append(_bars([Row(f"{name} ?", p, UNSURE) for name, p in doubtful[:6]], width))
        if len(doubtful) > 6:
            parts.append(line(f"and {len(doubtful) - 6} more", width))
    return stack(parts, width, gap=2)


def _visibility(spec: TaskSpec, prediction, width: int) -> Image.Image:
    """How many points are seen, and which are hidden, the surest first."""
    hidden = [(name, 1 - float(p)) for name, p in zip(spec.labels, prediction.probabilities, strict=True) if p <= 0.5]
    hidden.sort(key=lambda item: -item[1])
    parts = [line(f"{spec.queries - len(hidden)} of {spec.queries} points visible", width, INK)]
    if hidden:
        parts.append(line("hidden", width))
        parts.append(_bars([Row(pretty(name), p, BEST) for name, p in hidden[:MOST_ROWS]], width))
    if len(hidden) > MOST_ROWS:
        parts.append(line(f"and {len(hidden) - MOST_ROWS} more", width))
    return stack(parts, width, gap=2)


def _age(spec: TaskSpec, prediction, width: int) -> Image.Image:
    """The number, the range that holds 80 % of the probability, and the distribution."""
    first, p = spec.options.get("first", 0), prediction.distribution
    low, high = (first + int(np.searchsorted(p.cumsum(), q)) for q in (0.1, 0.9))
    picture = Image.new("RGB", (width, 104), "white")
    draw = ImageDraw.Draw(picture)
    number = f"{prediction.years:.0f}"
    draw.text((0, 2), number, fill=INK, font=font(30, True))
    left = text_size(number, font(30, True))[0] + 8
    draw.text((left, 32), "years", fill=INK, font=font(14), anchor="ls")
    draw.text((width, 32), f"80 %: {low} to {high}", fill=MUTED, font=font(13), anchor="rs")
    base, top = 86, 44
    step = width / len(p)
    for index, value in enumerate(p):
        inside = low <= first + index <= high
        height = (base - top) * float(value) / max(float(p.max()), 1e-9)
        draw.rectangle([index * step, base - height, (index + 1) * step - 0.5, base], fill=BEST if inside else BAR)
    draw.line([0, base + 1, width, base + 1], fill=FAINT)
    for place, anchor in ((0, "la"), (len(p) // 2, "ma"), (len(p) - 1, "ra")):
        x = place / max(len(p) - 1, 1) * width
        draw.text((x, base + 3), str(first + place), fill=MUTED, font=font(11), anchor=anchor)
    return picture


def _ratings(spec: TaskSpec, prediction, width: int) -> Image.Image:
    """Every scale from end to end, with the number at its side."""
    rows = [
        Row(f"{pretty(name)} ({low:g} to {high:g})", (value - low) / (high - low), BEST, f"{value:.2f}")
        for name, value, (low, high) in zip(spec.labels, prediction.values, spec.options["ranges"], strict=True)
    ]
    return _bars(rows, width)


def _words(spec: TaskSpec, prediction, width: int) -> Image.Image:
    return stack([line(text, width, INK) for text in kind_of(spec).describe(spec, prediction)], width)


BLOCKS: dict[str, Callable[[TaskSpec, Prediction, int], Image.Image]] = {
    "age": _age,
    "attributes": _attributes,
    "visibility": _visibility,
    "agegroup": _groups,
    "rating": _ratings,
    **dict.fromkeys(("expression", "gender", "race"), _classes),
}
HEADINGS = {"agegroup": "Age group"}  # where the kind's own name does not read well


def block(spec: TaskSpec, prediction: Prediction, width: int) -> Image.Image:
    """One answer under its heading."""
    return stack([_heading(spec, width), BLOCKS.get(spec.kind, _words)(spec, prediction, width)], width)


def _heading(spec: TaskSpec, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, 26), "white")
    draw = ImageDraw.Draw(picture)
    name = HEADINGS.get(spec.kind, spec.kind.capitalize())
    draw.text((0, 12), name, fill=INK, font=font(14, True), anchor="lm")
    left = font(14, True).getlength(name) + 12
    draw.text((width, 12), fitted(spec.name, width - left, font(12)), fill=MUTED, font=font(12), anchor="rm")
    return picture
