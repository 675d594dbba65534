"""One figure per data set: its faces with the labels drawn over them."""

import io
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from faceptor.io.writing import write_whole
from faceptor.synthesis.writers.base import Tile

LIMIT = 1_500_000  # bytes: sheets are meant to be looked at in a repository
_COLUMNS, _GROUPED = 6, 8  # tiles in a row, without and with a group
_WIDTH = 1.7  # inches of a tile
_LINE = 0.115  # inches of a caption line
_CHARACTERS = 30  # of a caption line
_ROWS_OF_TEXT = 4
_BLEND = 0.45
# Warm for skin, related hues for left and right, in the order of the classes.
_PALETTE = (
    255
    * np.array(matplotlib.colormaps["tab20"].colors)[
        [3, 2, 0, 10, 11, 4, 5, 8, 9, 12, 13, 6, 7, 1, 18, 16, 14, 17, 15, 19]
    ]
)
_AXES = ("#ff4040", "#40ff40", "#4080ff")  # of a head: to image-right, down, ahead
_FRAME = {True: "#2ca02c", False: "#d62728"}


def contact_sheet(tiles: Sequence[Tile], *, title: str, path: Path) -> None:
    """Save the tiles as one PNG below 1.5 MB; tiles of one group stand side by side, under its name."""
    figure = draw(tiles, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    for dpi, palette in ((120, False), (100, False), (120, True), (100, True), (80, True), (60, True)):
        picture = _rastered(figure, dpi)
        if palette:  # 256 dithered colours take half the bytes of all of them
            picture = picture.quantize(palette=picture.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
        encoded = io.BytesIO()
        picture.save(encoded, "PNG")
        if encoded.tell() < LIMIT:
            break
    write_whole(path, encoded.getvalue())


def _rastered(figure: Figure, dpi: int) -> Image.Image:
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))


def draw(tiles: Sequence[Tile], *, title: str) -> Figure:
    """The figure itself: rows of pictures with their captions below."""
    rows = _rows(tiles)
    captions = [[_wrapped(tile.caption) for tile in row] for row in rows]
    heights = [
        _WIDTH * max(tile.image.shape[0] / tile.image.shape[1] for tile in row)
        + _LINE * max(caption.count("\n") + bool(caption) for caption in texts)
        + 0.12
        + 0.16 * bool(row[0].group)
        for row, texts in zip(rows, captions, strict=True)
    ]
    columns = max(map(len, rows))
    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(columns * _WIDTH, sum(heights) + 0.4))
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
        width = _GROUPED if members[0].group else _COLUMNS
        rows += [members[first : first + width] for first in range(0, len(members), width)]
    return rows


def _draw_row(figure: Figure, row: Sequence[Tile], captions: Sequence[str], *, top: float, columns: int) -> None:
    """Place a row of pictures; `top` is its upper edge in inches above the figure's lower edge."""
    width, height = figure.get_size_inches()
    if row[0].group:
        figure.text(0.05 / width, (top - 0.1) / height, row[0].group, fontsize=7.5, va="center", weight="bold")
        top -= 0.16
    for column, (tile, caption) in enumerate(zip(row, captions, strict=True)):
        wide = _WIDTH - 0.1
        tall = wide * tile.image.shape[0] / tile.image.shape[1]
        left = column * _WIDTH + 0.05
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
        spine.set(visible=tile.good is not None, color=_FRAME.get(tile.good), linewidth=2)
    if tile.box is not None:
        x1, y1, x2, y2 = tile.box
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="#ffd92f", linewidth=1))
    if tile.axes is not None:
        for tip, colour in zip(tile.axes[1:], _AXES, strict=True):
            axis.plot(*np.stack([tile.axes[0], tip]).T, color=colour, linewidth=1.2, solid_capstyle="round")
    if tile.landmarks is not None:
        hidden = np.zeros(len(tile.landmarks), bool) if tile.hidden is None else tile.hidden
        size = 9 if len(tile.landmarks) < 40 else 2.2
        axis.scatter(*tile.landmarks[~hidden].T, s=size, c="#00e5ff", linewidths=0)
        axis.scatter(*tile.landmarks[hidden].T, s=size, facecolors="none", edgecolors="#ff4f9a", linewidths=0.7)


def _blended(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with every class but the background tinted in a colour of its own."""
    colour = _PALETTE[(mask.astype(int) - 1) % len(_PALETTE)]
    tinted = image * (1 - _BLEND) + colour * _BLEND
    return np.where(mask[..., None] > 0, tinted, image).astype(np.uint8)


def _wrapped(caption: str) -> str:
    lines = [part for line in caption.split("\n") for part in textwrap.wrap(line, _CHARACTERS)]
    if len(lines) > _ROWS_OF_TEXT:
        lines = [*lines[: _ROWS_OF_TEXT - 1], f"{lines[_ROWS_OF_TEXT - 1][: _CHARACTERS - 2]} …"]
    return "\n".join(lines)
