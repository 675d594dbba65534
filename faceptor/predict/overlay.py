"""A picture of what was found: the photograph with its faces, and a card per face beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from faceptor.figures.plots import PALETTE
from faceptor.predict.page import banner, beside, caption, font, line, stack, text_size, title
from faceptor.predict.panels import answer_panel, drawn_parts
from faceptor.predict.predictor import Face
from faceptor.tasks import kind_of
from faceptor.transforms.geometry import rotation

MAX_PHOTO_SIDE, MIN_PHOTO_SIDE = 1600, 860  # pixels the photograph's longer side is brought to
MARGIN, GAP = 24, 14  # pixels, about the whole picture and between its parts
CARD_WIDTH, CARD_COLUMNS = 620, 3  # a card for each face
PAGE_WIDTH = CARD_COLUMNS * CARD_WIDTH + (CARD_COLUMNS - 1) * 2 * GAP  # of several faces
MAX_PAGE_HEIGHT, MAX_PHOTO_HEIGHT = 2600, 1100  # pixels of such a page without its margins; of the photograph on it
MAX_BESIDE, MAX_CARDS = 2, 60  # faces beside their photograph, others are below it; cards of one photograph
PANEL_COLUMNS, MAX_TILES_PER_ROW = 2, 3  # of a card
TILE_SIDE = 2.1  # of the part of the photograph that a tile shows, in sides of the face box


def draw_pages(rgb: np.ndarray, faces: Sequence[Face]) -> Iterator[Image.Image]:
    """(H, W, 3) uint8 RGB and its faces -> one picture of up to two faces; of more, pages of one width with the
    photograph on the first."""
    shown = list(faces)[:MAX_CARDS]
    cards = (_card(rgb, face, number) for number, face in enumerate(shown, start=1))
    if len(shown) <= MAX_BESIDE:
        parts = [_photo(rgb, faces), *([stack(list(cards), CARD_WIDTH, gap=2 * GAP)] if shown else [])]
        yield _finished(beside(parts, gap=2 * GAP), faces)
        return
    photo = _photo(rgb, faces, longest=(PAGE_WIDTH, MAX_PHOTO_HEIGHT))
    rows = [[photo]]
    while row := list(islice(cards, CARD_COLUMNS)):
        if len(rows) > 1 and sum(_tall(each) + 2 * GAP for each in rows) + _tall(row) > MAX_PAGE_HEIGHT:
            yield _page(rows, faces)
            rows = []
        rows.append(row)
    if len(faces) > len(shown):
        rows.append([line(f"{len(faces) - len(shown)} more faces: see the JSON file", PAGE_WIDTH)])
    yield _page(rows, faces)


def _tall(row: Sequence[Image.Image]) -> int:
    return max(part.height for part in row)


def _page(rows: Sequence[Sequence[Image.Image]], faces: Sequence[Face]) -> Image.Image:
    return _finished(stack([beside(row, gap=2 * GAP) for row in rows], PAGE_WIDTH, gap=2 * GAP), faces)


def _finished(picture: Image.Image, faces: Sequence[Face]) -> Image.Image:
    """With what the answers are worth above them, and a margin."""
    if faces and faces[0].warning:
        picture = stack([banner(faces[0].warning, picture.width), picture], picture.width, gap=GAP)
    return ImageOps.expand(picture, MARGIN, "white")


# --- the photograph --------------------------------------------------------------------------------------------------


def _photo(rgb: np.ndarray, faces: Sequence[Face], *, longest: tuple[int, int] | None = None) -> Image.Image:
    """The photograph with its faces; longest: (w, h) that it fits into, else as its longer side says."""
    longer = max(rgb.shape[:2])
    most = min(longest[0] / rgb.shape[1], longest[1] / rgb.shape[0]) if longest else MAX_PHOTO_SIDE / longer
    scale = min(max(1.0, MIN_PHOTO_SIDE / longer), most)
    matrix = _matrix(0.0, 0.0, scale)
    canvas = _view(rgb, matrix, tuple(max(1, round(side * scale)) for side in rgb.shape[1::-1]))
    for face in faces:
        canvas = _answered(face, canvas, matrix)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for number, face in enumerate(faces, start=1):
        corners = (_corners(face) + 0.5) * scale - 0.5
        colour, outline = _colour(number), [tuple(point) for point in [*corners, corners[0]]]
        draw.line(outline, fill="white", width=4)
        draw.line(outline, fill=colour, width=2)
        _tag(draw, corners, str(number), colour, picture.size)
    return picture


def _answered(face: Face, canvas: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A view of the photograph with the first of the face's answers over it that is drawn on photographs."""
    first = next((name for name in face.results if kind_of(face.specs[name]).on_photograph), None)
    if first is None:
        return canvas
    seen = face.results[first].windowed(matrix, canvas.shape[1::-1])
    return kind_of(face.specs[first]).draw(face.specs[first], canvas, seen)


def _corners(face: Face) -> np.ndarray:
    """(4, 2) corners of the face box, turned by the face's roll."""
    x1, y1, x2, y2 = face.box
    centre = np.array([x1 + x2, y1 + y2]) / 2
    turn = rotation(np.deg2rad(face.roll))
    return (np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) - centre) @ turn.T + centre


def _tag(draw: ImageDraw.ImageDraw, corners: np.ndarray, text: str, colour: str, size: tuple[int, int]) -> None:
    """A number on the box's upper left corner, kept inside the picture."""
    width, height = text_size(text, font(15, True))
    width, height = width + 12, height + 8
    x = float(np.clip(corners[:, 0].min() - 1, 0, size[0] - width))
    y = float(np.clip(corners[:, 1].min() - height, 0, size[1] - height))
    draw.rectangle([x, y, x + width, y + height], fill=colour)
    draw.text((x + width / 2, y + height / 2), text, fill="white", font=font(15, True), anchor="mm")


# --- cards -----------------------------------------------------------------------------------------------------------


def _card(rgb: np.ndarray, face: Face, number: int) -> Image.Image:
    """All answers about one face."""
    found = "box given" if face.score is None else f"detected, score {face.score:.2f}"
    head = f"{found}, {face.box[2] - face.box[0]:.0f} px wide"
    parts = [title(f"Face {number}", head, CARD_WIDTH, _colour(number))]
    drawn = [name for name in face.results if kind_of(face.specs[name]).drawn]
    abreast = 2 if len(drawn) <= 2 else MAX_TILES_PER_ROW
    width = (CARD_WIDTH - (abreast - 1) * GAP) // abreast
    tiles = [_tile(rgb, face, name, width) for name in drawn]
    parts += [beside(tiles[start : start + abreast], gap=GAP) for start in range(0, len(tiles), abreast)]
    width = (CARD_WIDTH - (PANEL_COLUMNS - 1) * GAP * 2) // PANEL_COLUMNS
    panels = [answer_panel(face.specs[name], face.results[name], width) for name in face.results if name not in drawn]
    if panels:
        parts.append(beside([stack(column, width, gap=GAP) for column in _balanced(panels)], gap=2 * GAP))
    return stack(parts, CARD_WIDTH, gap=GAP)


def _balanced(panels: Sequence[Image.Image]) -> list[list[Image.Image]]:
    """Columns of about equal height; within a column the order given is kept."""
    columns: list[list[int]] = [[] for _ in range(PANEL_COLUMNS)]
    for index in sorted(range(len(panels)), key=lambda index: -panels[index].height):
        min(columns, key=lambda column: sum(panels[item].height + GAP for item in column)).append(index)
    return [[panels[index] for index in sorted(column)] for column in sorted(columns, key=lambda c: min(c, default=99))]


# --- tiles: answers with a place in the image ------------------------------------------------------------------------


def _tile(rgb: np.ndarray, face: Face, name: str, width: int) -> Image.Image:
    """The face from near, with one answer drawn over it and its legend below."""
    spec, kind, size = face.specs[name], kind_of(face.specs[name]), (width, width)
    matrix = _window(face, width)
    seen = face.results[name].windowed(matrix, size)
    drawn = Image.fromarray(kind.draw(spec, _view(rgb, matrix, size), seen))
    picture = stack([drawn, caption(name, width)], width, gap=2)
    return stack([picture, *drawn_parts(kind.legend(spec, seen), width)], width)


def face_tile(rgb: np.ndarray, face: Face, width: int) -> Image.Image:
    """The face from near, (width, width), with the first answer drawn over it that is drawn on photographs."""
    matrix = _window(face, width)
    return Image.fromarray(_answered(face, _view(rgb, matrix, (width, width)), matrix))


def _window(face: Face, width: int) -> np.ndarray:
    """Photograph -> tile about a face, `width` pixels wide."""
    side = face.box[2] - face.box[0]
    centre = (face.box[:2] + face.box[2:]) / 2 - [0, 0.12 * side]
    return _matrix(*(centre - TILE_SIDE * side / 2), width / (TILE_SIDE * side))


def _matrix(x: float, y: float, scale: float) -> np.ndarray:
    """Photograph -> view from its corner (x, y), scaled; pixel centres at integers."""
    return np.array([[scale, 0, (0.5 - x) * scale - 0.5], [0, scale, (0.5 - y) * scale - 0.5]])


def _view(rgb: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Part of a photograph to which `_matrix` leads, as (h, w, 3) uint8; size: (w, h)."""
    scale = matrix[0, 0]
    if scale < 1:  # shrink by area, then cut
        small = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        k = small[0] / rgb.shape[1], small[1] / rgb.shape[0]
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        back = np.array([[1 / k[0], 0, 0.5 / k[0] - 0.5], [0, 1 / k[1], 0.5 / k[1] - 0.5], [0, 0, 1]])
        matrix = matrix @ back
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (238, 238, 238)}
    return cv2.warpAffine(np.ascontiguousarray(rgb), matrix, size, flags=method, **border)


def _colour(number: int) -> str:
    return PALETTE[(number - 1) % len(PALETTE)]
