"""What is seen on the page: the face with its crop, the answer, the attention. Sizes are in pixels of the page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from einops import reduce
from PIL import Image, ImageDraw

from faceptor.explorer.faces import Picture
from faceptor.explorer.looking import Attention, Look
from faceptor.figures.parts import Bar, Bars, spelt_out
from faceptor.figures.plots import PALETTE
from faceptor.predict.page import INK, MUTED, beside, caption, fitted, font, line, stack
from faceptor.predict.panels import answer_panel, drawn_parts
from faceptor.tasks import kind_of

WIDTH, GAP = 836, 12
TRAINED, MOVED = PALETTE[4], PALETTE[5]  # outlines of the crop as trained and as moved
RING = PALETTE[1]  # about the point of the chosen query
LARGEST_TILE, LABEL = 132, 112  # of an attention map; what is written left of a row of them
ONE_LAYER = "Its queries read this alone: the task has no Layer-Attention in this model."


def png(picture: Image.Image) -> bytes:
    """An encoded picture, fast rather than small."""
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1)
    return file.getvalue()


# --- the face --------------------------------------------------------------------------------------------------------


def place_picture(picture: Picture, outlines: Sequence[tuple[np.ndarray, str]], width: int) -> Image.Image:
    """The picture about the crops, which are outlined: (4, 2) corners in its pixels, and a colour each."""
    height, wide = picture.pixels.shape[:2]
    points = np.concatenate([corners for corners, _ in outlines])
    centre = (points.min(0) + points.max(0)) / 2
    side = max(1.15 * float(np.ptp(points, axis=0).max()), 0.35 * max(height, wide))
    scale = width / side
    matrix = np.array([[scale, 0, width / 2 - scale * centre[0]], [0, scale, width / 2 - scale * centre[1]]])
    drawn = Image.fromarray(_seen(picture.pixels, matrix, width))
    draw = ImageDraw.Draw(drawn)
    for corners, colour in outlines:
        path = [tuple(point) for point in corners @ matrix[:, :2].T + matrix[:, 2]]
        for thickness, ink in ((5, "white"), (3, colour)):
            draw.line([*path, path[0], path[1]], fill=ink, width=thickness, joint="curve")
    return drawn


def _seen(rgb: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3) uint8: what a (2, 3) matrix takes into a square; light grey beyond the picture."""
    pace = 1 / np.hypot(*matrix[:, 0])
    if pace > 1:  # shrink by area first, so that fine detail does not alias
        small = tuple(max(1, round(n / pace)) for n in rgb.shape[1::-1])
        kx, ky = small[0] / rgb.shape[1], small[1] / rgb.shape[0]
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.array([[1 / kx, 0, 0.5 / kx - 0.5], [0, 1 / ky, 0.5 / ky - 0.5], [0, 0, 1]])
    border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (238, 238, 238)}
    return cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (side, side), flags=cv2.INTER_CUBIC, **border)


def corners_of(look: Look) -> np.ndarray:
    """(4, 2) corners of the crop in pixels of the picture, before its warp."""
    low, high = -0.5, look.crop.size - 0.5
    corners = np.array([[low, low], [high, low], [high, high], [low, high]])
    inverse = np.linalg.inv(look.crop.matrix)
    return corners @ inverse[:2, :2].T + inverse[:2, 2]


def answer_picture(picture: Picture, trained: Look, moved: Look, label: int | None, width: int) -> Image.Image:
    """Where the crop lies, beside what the network sees of it, and the answer: drawn over the crop, or told in bars
    below. label: whose point is ringed."""
    tile = (width - GAP) // 2
    outlines = [(corners_of(trained), TRAINED)]
    if moved is not trained:
        outlines.append((corners_of(moved), MOVED))
    kind = kind_of(moved.spec)
    left = stack([place_picture(picture, outlines, tile), caption("the picture, and the crop", tile)], tile)
    if kind.drawn:
        shown, title = _drawn_answer(picture, moved, label, tile), "the answer, on the crop"
        below = stack(drawn_parts(kind.legend(moved.spec, moved.answer), width), width)
    else:
        shown, title = _raised(moved.image, tile), "what the network sees"
        below = answer_panel(moved.spec, moved.answer, width)
    right = stack([shown, caption(title, tile)], tile)
    return stack([beside([left, right], gap=GAP), below], width, gap=4)


def _drawn_answer(picture: Picture, look: Look, label: int | None, side: int) -> Image.Image:
    """The crop before its warp, from the picture's own pixels, with the answer over it."""
    scale = side / look.crop.size
    matrix = (np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1]]) @ look.crop.matrix)[:2]
    answer = look.answer.windowed(matrix, (side, side))
    shown = Image.fromarray(kind_of(look.spec).draw(look.spec, _seen(picture.pixels, matrix, side), answer))
    points = getattr(answer, "points", None)
    if points is not None and label is not None:
        _ring(shown, *points[label])
    return shown


def _raised(image: np.ndarray, side: int) -> Image.Image:
    """The network's own pixels, as squares."""
    return Image.fromarray(np.rint(255 * image.clip(0, 1)).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)


def _ring(canvas: Image.Image, x: float, y: float) -> None:
    draw = ImageDraw.Draw(canvas)
    for radius, ink, thickness in ((9, "white", 4), (8, RING, 2)):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=ink, width=thickness)


# --- attention -------------------------------------------------------------------------------------------------------


def attention_picture(look: Look, query: int, width: int) -> Image.Image:
    """Where one query looks: a row of maps per decoder layer, a column per encoder layer; below, the layers' shares.

    Under each map the share of the query's attention that it holds. One scale of colours for all of them. Where the
    queries see one encoder layer alone, the decoder layers are the columns. The look must have attention.
    """
    found = look.attention
    query = min(query, len(found.queries) - 1)
    maps = found.weights[:, query]  # (D, L, h, w)
    rows = [f"decoder layer {number}" for number in range(1, len(maps) + 1)]
    columns = list(map(_layer, found.layers))
    even, most = 1 / maps[0].size, float(maps.max())
    single = len(columns) == 1
    if single:  # its maps beside each other
        maps, rows, columns = maps.swapaxes(0, 1), columns, rows
    tile = min(LARGEST_TILE, (width - LABEL) // len(columns) - GAP)
    grid = [beside([line("", LABEL), *(_centred(name, tile) for name in columns)], gap=GAP)]
    for name, row in zip(rows, maps, strict=True):
        tiles = [_tile(look.image, each, most, tile, share=not single) for each in row]
        grid.append(beside([_row_name(name, tile), *tiles], gap=GAP))
    words = f"{100 * most:.1f} % of the query's attention on one patch (evenly spread: {100 * even:.1f} %)"
    last = line(ONE_LAYER, width) if single else layer_bars(found, query, width)
    return stack([*grid, _scale(words, width), last], width, gap=4)


def _tile(image: np.ndarray, weights: np.ndarray, most: float, side: int, *, share: bool) -> Image.Image:
    """The crop in grey under one map (h, w), and the share that the map holds, where it is not all."""
    grey = cv2.cvtColor(np.rint(255 * image.clip(0, 1)).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_LINEAR)[..., None].astype(np.float32)
    part = cv2.resize(weights / max(most, 1e-12), (side, side), interpolation=cv2.INTER_NEAREST)
    colours = _colours(part)
    weight = (0.25 + 0.55 * np.sqrt(part))[..., None]
    mixed = np.rint(0.8 * grey * (1 - weight) + colours * weight).clip(0, 255).astype(np.uint8)
    below = [_centred(f"{100 * weights.sum():.0f} %", side)] if share else []
    return stack([Image.fromarray(mixed), *below], side)


def _colours(share: np.ndarray) -> np.ndarray:
    """(H, W) of 0 to 1 -> (H, W, 3) float32 RGB; dark to bright also for colour-blind eyes."""
    mapped = cv2.applyColorMap(np.rint(255 * share.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return mapped[..., ::-1].astype(np.float32)


def _centred(text: str, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, 20), "white")
    words = fitted(text, width, font(12))
    ImageDraw.Draw(picture).text((width / 2, 10), words, fill=MUTED, font=font(12), anchor="mm")
    return picture


def _row_name(text: str, height: int) -> Image.Image:
    picture = Image.new("RGB", (LABEL, height), "white")
    words = fitted(text, LABEL, font(13))
    ImageDraw.Draw(picture).text((0, height / 2), words, fill=INK, font=font(13), anchor="lm")
    return picture


def _scale(text: str, width: int) -> Image.Image:
    """The colours from nothing to the brightest patch, and what that is."""
    picture = Image.new("RGB", (width, 24), "white")
    bar = _colours(np.tile(np.linspace(0, 1, 160, dtype=np.float32), (10, 1)))
    picture.paste(Image.fromarray(bar.astype(np.uint8)), (LABEL, 7))
    draw = ImageDraw.Draw(picture)
    draw.text((LABEL - 8, 12), "0", fill=MUTED, font=font(12), anchor="rm")
    words = fitted(text, width - LABEL - 170, font(12))
    draw.text((LABEL + 168, 12), words, fill=MUTED, font=font(12), anchor="lm")
    return picture


def _layer(name: str) -> str:
    """As `attended_layers` names it, for people: FaceXFormer's fused map is no layer."""
    return f"encoder {name}" if name.startswith("layer") else f"{name} encoder"


def layer_bars(found: Attention, query: int, width: int) -> Image.Image:
    """Shares of the encoder layers, mean over decoder layers: of the query, and of all queries of the task."""
    column = (width - 2 * GAP) // 2
    shares = reduce(found.weights, "d n l h w -> n l", "sum") / len(found.weights)
    blocks = []
    for title, values in ((f"query {spelt_out(found.queries[query])}", shares[query]), ("all queries", shares.mean(0))):
        bars = [Bar(_layer(name), float(value)) for name, value in zip(found.layers, values, strict=True)]
        heading = line(f"attention by encoder layer, {title}", column, INK)
        blocks.append(stack([heading, *drawn_parts([Bars(bars)], column)], column))
    return beside(blocks, gap=2 * GAP)
