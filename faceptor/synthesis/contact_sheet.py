"""One figure per data set: its faces with the labels drawn over them."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from faceptor.io.writing import write_whole
from faceptor.synthesis.writers.layout import Tile

MAX_SHEET_BYTES = 100_000  # sheets are kept in Git
DOTS_PER_INCH = 120  # tried first
QUALITIES = (80, 65, 50)  # of WebP, of 100
TILES_PER_ROW, TILES_PER_GROUPED_ROW = 6, 8
TILE_WIDTH_INCHES = 1.7
CAPTION_LINE_INCHES = 0.115
CAPTION_LINE_CHARACTERS = 30
MAX_CAPTION_LINES = 4
MASK_OPACITY = 0.45
# Warm for skin, related hues for left and right, in the order of the classes.
_HUES = [3, 2, 0, 10, 11, 4, 5, 8, 9, 12, 13, 6, 7, 1, 18, 16, 14, 17, 15, 19]
CLASS_COLOURS = 255 * np.array(matplotlib.colormaps["tab20"].colors)[_HUES]
AXIS_COLOURS = ("#ff4040", "#40ff40", "#4080ff")  # of a head: to image-right, down, ahead
SAME_PERSON_COLOURS = {True: "#2ca02c", False: "#d62728"}


def contact_sheet(tiles: Sequence[Tile], *, title: str, path: Path) -> None:
    """Save the tiles as one WebP of at most `MAX_SHEET_BYTES`; those of a group stand side by side, under its name."""
    figure = draw(tiles, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, next(data for data in _encodings(figure) if len(data) <= MAX_SHEET_BYTES))


def _encodings(figure: Figure) -> Iterator[bytes]:
    """The figure as WebP in smaller and smaller files, without end."""
    dots = DOTS_PER_INCH
    while True:
        picture = _rastered(figure, dots)
        for quality in QUALITIES:
            encoded = io.BytesIO()
            picture.save(encoded, "WEBP", quality=quality, method=6)
            yield encoded.getvalue()
        dots *= 5 / 6


def _rastered(figure: Figure, dpi: float) -> Image.Image:
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))


def draw(tiles: Sequence[Tile], *, title: str) -> Figure:
    """The figure itself: rows of pictures with their captions below."""
    rows = _rows(tiles)
    captions = [[_wrapped(tile.caption) for tile in row] for row in rows]
    heights = [
        TILE_WIDTH_INCHES * max(tile.image.shape[0] / tile.image.shape[1] for tile in row)
        + CAPTION_LINE_INCHES * max(caption.count("\n") + bool(caption) for caption in texts)
        + 0.12
        + 0.16 * bool(row[0].group)
        for row, texts in zip(rows, captions, strict=True)
    ]
    columns = max(map(len, rows))
    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(columns * TILE_WIDTH_INCHES, sum(heights) + 0.4))
        figure.text(0.5, 1 - 0.2 / figure.get_figheight(), title, ha="center", va="center", fontsize=10)
        top = figure.get_figheight() - 0.4
        for row, texts, height in zip(rows, captions, heights, strict=True):
            _draw_row(figure, row, texts, top=top, columns=columns)
            top -= height
    return figure


def _rows(tiles: Sequence[Tile]) -> list[list[Tile]]:
    rows = []
    for _, group in groupby(tiles, key=lambda tile: tile.group):
        members = list(group)
        width = TILES_PER_GROUPED_ROW if members[0].group else TILES_PER_ROW
        rows += [members[first : first + width] for first in range(0, len(members), width)]
    return rows


def _draw_row(figure: Figure, row: Sequence[Tile], captions: Sequence[str], *, top: float, columns: int) -> None:
    """Place a row of pictures; `top` is its upper edge in inches above the figure's lower edge."""
    width, height = figure.get_size_inches()
    if row[0].group:
        figure.text(0.05 / width, (top - 0.1) / height, row[0].group, fontsize=7.5, va="center", weight="bold")
        top -= 0.16
    for column, (tile, caption) in enumerate(zip(row, captions, strict=True)):
        wide = TILE_WIDTH_INCHES - 0.1
        tall = wide * tile.image.shape[0] / tile.image.shape[1]
        left = column * TILE_WIDTH_INCHES + 0.05
        axis = figure.add_axes((left / width, (top - tall) / height, wide / width, tall / height))
        _draw_tile(axis, tile)
        if caption:
            figure.text((left + wide / 2) / width, (top - tall - 0.03) / height, caption, ha="center", va="top",
                        fontsize=6.2, linespacing=1.1)  # fmt: skip


def _draw_tile(axis, tile: Tile) -> None:
    height, width = tile.image.shape[:2]
    axis.imshow(tile.image if tile.mask is None else _blended(tile.image, tile.mask), interpolation="antialiased")
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=tile.good is not None, color=SAME_PERSON_COLOURS.get(tile.good), linewidth=2)
    if tile.box is not None:
        x1, y1, x2, y2 = tile.box
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="#ffd92f", linewidth=1))
    if tile.axes is not None:
        for tip, colour in zip(tile.axes[1:], AXIS_COLOURS, strict=True):
            axis.plot(*np.stack([tile.axes[0], tip]).T, color=colour, linewidth=1.2, solid_capstyle="round")
    if tile.landmarks is not None:
        hidden = np.zeros(len(tile.landmarks), bool) if tile.hidden is None else tile.hidden
        size = 9 if len(tile.landmarks) < 40 else 2.2
        axis.scatter(*tile.landmarks[~hidden].T, s=size, c="#00e5ff", linewidths=0)
        axis.scatter(*tile.landmarks[hidden].T, s=size, facecolors="none", edgecolors="#ff4f9a", linewidths=0.7)


def _blended(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with every class but the background tinted in a colour of its own."""
    colour = CLASS_COLOURS[(mask.astype(int) - 1) % len(CLASS_COLOURS)]
    tinted = image * (1 - MASK_OPACITY) + colour * MASK_OPACITY
    return np.where(mask[..., None] > 0, tinted, image).astype(np.uint8)


def _wrapped(caption: str) -> str:
    lines = [part for line in caption.split("\n") for part in textwrap.wrap(line, CAPTION_LINE_CHARACTERS)]
    if len(lines) > MAX_CAPTION_LINES:
        lines = [*lines[: MAX_CAPTION_LINES - 1], f"{lines[MAX_CAPTION_LINES - 1][: CAPTION_LINE_CHARACTERS - 2]} …"]
    return "\n".join(lines)
