"""Contact sheets: a tile for each face of many photographs or of a video, on pages of one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from faceptor.io.writing import write_whole
from faceptor.predict.files import encoded
from faceptor.predict.overlay import face_tile
from faceptor.predict.page import INK, banner, beside, caption, font, line, stack
from faceptor.predict.predictor import Face
from faceptor.tasks import kind_of

COLUMNS, ROWS = 6, 4  # tiles of a page
TILE_WIDTH, MARGIN, GAP = 300, 24, 16  # pixels
MAX_WORDS = 6  # lines of answers below a face
STEM = "sheet"


class Sheets:
    """Faces one after another; a page is written when it is full, and nothing but the page at hand is kept.

    Pages are `sheet-0001.png` and on; those of an earlier run stay.
    """

    def __init__(self, folder: Path, picture: str = "png"):
        self.folder, self.picture = folder, picture
        self.tiles: list[Image.Image] = []
        self.warning = ""
        used = [int(path.stem[len(STEM) + 1 :]) for path in folder.glob(f"{STEM}-[0-9][0-9][0-9][0-9].*")]
        self.number = max(used, default=0) + 1

    def add(self, rgb: np.ndarray, faces: Sequence[Face], name: str) -> None:
        """rgb: (H, W, 3) uint8, in whose pixels the faces are; name: of the photograph or frame."""
        for number, face in enumerate(faces, start=1):
            told = name if len(faces) == 1 else f"{name}, face {number}"
            self.warning = face.warning or self.warning
            self.tiles.append(tile(rgb, face, told))
            if len(self.tiles) == COLUMNS * ROWS:
                self.flush()

    def flush(self) -> None:
        """The page at hand, full or not."""
        if self.tiles:
            path = self.folder / f"{STEM}-{self.number:04d}.{self.picture}"
            write_whole(path, encoded(page(self.tiles, self.warning), self.picture))
            self.tiles, self.number = [], self.number + 1


def tile(rgb: np.ndarray, face: Face, name: str) -> Image.Image:
    """A face from near, what is drawn over it, whose it is and the first answers in words."""
    seen = face_tile(rgb, face, TILE_WIDTH)
    words = [line(text, TILE_WIDTH, INK) for text in _words(face)[:MAX_WORDS]]
    score = "box given" if face.score is None else f"score {face.score:.2f}"
    head = line(_ending(name, TILE_WIDTH), TILE_WIDTH, INK)
    return stack([seen, head, caption(score, TILE_WIDTH), *words], TILE_WIDTH)


def _words(face: Face) -> list[str]:
    """The first line of each answer that is told in words, under its kind, or its task's name where there are more."""
    kinds = {name: kind_of(face.specs[name]) for name in face.results}
    told = {name: kind for name, kind in kinds.items() if not kind.drawn and kind.head != "vector"}
    lines = []
    for name, kind in told.items():
        said = kind.describe(face.specs[name], face.results[name])
        alone = [*told.values()].count(kind) == 1
        if said and said[0].lower().startswith(kind.heading.lower()) and alone:
            lines.append(said[0].capitalize())
        elif said:
            lines.append(f"{kind.heading if alone else name}: {said[0]}")
    return lines


def _ending(name: str, width: int) -> str:
    """A path's end, which tells files apart, where the whole is too long."""
    if font(13).getlength(name) <= width:
        return name
    while name and font(13).getlength(f"…{name}") > width:
        name = name[1:]
    return f"…{name}"


def page(tiles: Sequence[Image.Image], warning: str = "") -> Image.Image:
    """Tiles in rows."""
    width = COLUMNS * TILE_WIDTH + (COLUMNS - 1) * GAP
    rows = [beside(tiles[start : start + COLUMNS], gap=GAP) for start in range(0, len(tiles), COLUMNS)]
    parts = [banner(warning, width)] if warning else []
    return ImageOps.expand(stack([*parts, *rows], width, gap=GAP), MARGIN, "white")
