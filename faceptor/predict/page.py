"""Text and rectangles of pixels: what pictures of results are pasted from. All pictures are RGB on white."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

INK, MUTED, FAINT = "#222222", "#767676", "#dddddd"
WARNING = "#ffd24a"


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu, which matplotlib ships; where that is not installed, what Pillow carries, which is never bold."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return ImageFont.load_default(size)
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def text_size(text: str, typeface: ImageFont.FreeTypeFont) -> tuple[int, int]:
    left, top, right, bottom = typeface.getbbox(text)
    return round(right - left), round(bottom - top)


def fitted(text: str, width: float, typeface: ImageFont.FreeTypeFont) -> str:
    """Text cut to a width in pixels, with an ellipsis."""
    if typeface.getlength(text) <= width:
        return text
    while text and typeface.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def line(text: str, width: int, colour: str = MUTED, size: int = 13) -> Image.Image:
    picture = Image.new("RGB", (width, size + 8), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((0, picture.height / 2), fitted(text, width, font(size)), fill=colour, font=font(size), anchor="lm")
    return picture


def caption(text: str, width: int) -> Image.Image:
    return line(text, width, MUTED, 12)


def banner(text: str, width: int) -> Image.Image:
    """A warning across a picture, its first letter a capital, in as many lines as it takes."""
    rows = textwrap.wrap(text[0].upper() + text[1:], max(10, int((width - 28) / font(15, True).getlength("n"))))
    picture = Image.new("RGB", (width, 22 * len(rows) + 14), WARNING)
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        draw.text((14, 22 * number + 18), row, fill=INK, font=font(15, True), anchor="lm")
    return picture


def title(text: str, note: str, width: int, colour: str) -> Image.Image:
    picture = Image.new("RGB", (width, 34), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 4, 6, 26], fill=colour)
    draw.text((16, 15), text, fill=INK, font=font(18, True), anchor="lm")
    draw.text((width, 15), note, fill=MUTED, font=font(13), anchor="rm")
    draw.line([0, 33, width, 33], fill=FAINT)
    return picture


def stack(parts: Sequence[Image.Image], width: int, gap: int = 0) -> Image.Image:
    height = sum(part.height for part in parts) + gap * max(len(parts) - 1, 0)
    picture, top = Image.new("RGB", (width, max(height, 1)), "white"), 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height + gap
    return picture


def beside(parts: Sequence[Image.Image], gap: int = 0) -> Image.Image:
    width = sum(part.width for part in parts) + gap * max(len(parts) - 1, 0)
    picture, left = Image.new("RGB", (max(width, 1), max((part.height for part in parts), default=1)), "white"), 0
    for part in parts:
        picture.paste(part, (left, 0))
        left += part.width + gap
    return picture
