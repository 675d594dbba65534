"""Answers in words, bars and colours: what a kind says of a face (`faceptor.figures.parts`) as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from faceptor.figures.parts import Bars, Distribution, Part, Swatches, Words
from faceptor.figures.plots import PALETTE
from faceptor.predict.page import FAINT, INK, MUTED, fitted, font, line, stack, text_size
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec

TRACK = "#f0f0f0"  # behind a bar
COLOURS = {"answer": PALETTE[0], "other": "#9db8cc", "unsure": PALETTE[4]}
BAR_HEIGHT, SWATCH_HEIGHT = 20, 19


def answer_panel(spec: TaskSpec, prediction: Prediction, width: int) -> Image.Image:
    """One answer under its heading."""
    kind = kind_of(spec)
    parts = drawn_parts(kind.panel(spec, prediction), width)
    return stack([_heading(kind.heading, spec.name, width), stack(parts, width, gap=2)], width)


def drawn_parts(parts: Sequence[Part], width: int) -> list[Image.Image]:
    """A picture of each part."""
    return [DRAW[type(part)](part, width) for part in parts]


def _words(words: Words, width: int) -> Image.Image:
    return stack([line(text, width, MUTED if words.muted else INK) for text in words.lines], width)


def _bars(bars: Bars, width: int) -> Image.Image:
    names = int(width * 0.46)
    picture = Image.new("RGB", (width, max(1, BAR_HEIGHT * len(bars.bars))), "white")
    draw = ImageDraw.Draw(picture)
    for index, bar in enumerate(bars.bars):
        middle, right = index * BAR_HEIGHT + BAR_HEIGHT // 2, width - 44
        draw.text((0, middle), fitted(bar.name, names - 8, font(13)), fill=INK, font=font(13), anchor="lm")
        draw.rounded_rectangle([names, middle - 5, right, middle + 5], 3, fill=TRACK)
        filled = names + (right - names) * min(max(bar.share, 0), 1)
        if filled - names >= 1:
            draw.rounded_rectangle([names, middle - 5, filled, middle + 5], 3, fill=COLOURS[bar.sort])
        draw.text((width, middle), bar.said or f"{100 * bar.share:.0f} %", fill=INK, font=font(13), anchor="rm")
    return picture


def _swatches(swatches: Swatches, width: int) -> Image.Image:
    """In two columns."""
    rows = -(-len(swatches.colours) // 2)
    picture = Image.new("RGB", (width, max(1, SWATCH_HEIGHT * rows)), "white")
    draw = ImageDraw.Draw(picture)
    for place, (name, colour) in enumerate(swatches.colours):
        left, top = place // rows * width // 2, place % rows * SWATCH_HEIGHT
        draw.rectangle([left, top + 3, left + 12, top + 15], fill=colour)
        text = fitted(name, width // 2 - 22, font(12))
        draw.text((left + 18, top + 9), text, fill=INK, font=font(12), anchor="lm")
    return picture


def _distribution(told: Distribution, width: int) -> Image.Image:
    p, first = told.probabilities, told.first
    picture = Image.new("RGB", (width, 104), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((0, 2), told.number, fill=INK, font=font(30, True))
    left = text_size(told.number, font(30, True))[0] + 8
    draw.text((left, 32), told.unit, fill=INK, font=font(14), anchor="ls")
    draw.text((width, 32), told.remark, fill=MUTED, font=font(13), anchor="rs")
    base, top, step = 86, 44, width / len(p)
    for index, value in enumerate(p):
        height = (base - top) * float(value) / max(float(p.max()), 1e-9)
        colour = COLOURS["answer" if told.low <= first + index <= told.high else "other"]
        draw.rectangle([index * step, base - height, (index + 1) * step - 0.5, base], fill=colour)
    draw.line([0, base + 1, width, base + 1], fill=FAINT)
    for place, anchor in ((0, "la"), (len(p) // 2, "ma"), (len(p) - 1, "ra")):
        x = place / max(len(p) - 1, 1) * width
        draw.text((x, base + 3), str(first + place), fill=MUTED, font=font(11), anchor=anchor)
    return picture


DRAW: dict[type, Callable[..., Image.Image]] = {
    Words: _words, Bars: _bars, Swatches: _swatches, Distribution: _distribution
}  # fmt: skip


def _heading(name: str, task: str, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, 26), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((0, 12), name, fill=INK, font=font(14, True), anchor="lm")
    left = font(14, True).getlength(name) + 12
    draw.text((width, 12), fitted(task, width - left, font(12)), fill=MUTED, font=font(12), anchor="rm")
    return picture
