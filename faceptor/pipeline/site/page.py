"""A page of the site, and the pictures on it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape, unescape

from PIL import Image

WIDEST = 1100  # pixels of a picture
WIDE = 620  # pixels, from which a picture scrolls on a telephone
QUALITY = 82  # of WebP: text in figures stays sharp
LONGEST_ALT = 240  # characters
SHORT = 32  # characters of a cell that stay on one line
CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)


@dataclass
class Page:
    """name: of its file; line: what it shows, in a sentence; group: where the index lists it; body: HTML below the
    title; picture: the file that stands for it in the index; made_from: input -> hash of its content; files: pictures.

    kept: the page is the committed one, because what it is made of is not here.
    """

    name: str
    title: str
    line: str
    group: str
    body: str
    picture: str | None = None
    made_from: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    kept: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.html"


class Pictures:
    """The pictures of a page: recoded to WebP (or SVG as it is), at most `WIDEST` pixels wide, numbered in order."""

    def __init__(self, page: str):
        self.page, self.files = page, {}

    def add(self, data: bytes, alt: str, *, widest: int = WIDEST, stem: str | None = None) -> str:
        """HTML of a picture in any format that Pillow reads; `alt` says what it shows."""
        picture = Image.open(io.BytesIO(data))
        encoded, (width, height) = recoded(picture, widest=widest)
        facts = f' width="{width}" height="{height}"' + (' class="wide"' if width > WIDE else "")
        return self._element(f"{self._stem(stem)}.webp", encoded, alt, facts)

    def add_svg(self, text: str, alt: str, *, stem: str | None = None) -> str:
        return self._element(f"{self._stem(stem)}.svg", text.encode(), alt, "")

    @property
    def first(self) -> str | None:
        return next(iter(self.files), None)

    def _stem(self, stem: str | None) -> str:
        return f"{self.page}-{stem or len(self.files) + 1}"

    def _element(self, name: str, data: bytes, alt: str, size: str) -> str:
        self.files[name] = data
        return f'<img src="{name}" alt="{escape(shortened(alt))}"{size} loading="lazy">'


def recoded(picture: Image.Image, *, widest: int) -> tuple[bytes, tuple[int, int]]:
    """WebP bytes of a picture on white, and its size (width, height)."""
    picture = on_white(picture)
    if picture.width > widest:
        size = (widest, round(picture.height * widest / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=QUALITY, method=6)
    return data.getvalue(), picture.size


def on_white(picture: Image.Image) -> Image.Image:
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def shortened(text: str, longest: int = LONGEST_ALT) -> str:
    """One line of at most so many characters, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"


def first_sentence(text: str) -> str:
    """The first sentence of a paragraph of Markdown, without its marks."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(text.split()))
    plain = plain.replace("`", "").replace("**", "")
    return re.split(r"(?<=[.!?])\s+(?=[A-Z(])", plain, maxsplit=1)[0].rstrip(":;")


def figure(image: str, caption: str = "") -> str:
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><div class="scroll">{image}</div>{below}</figure>'


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose cells are HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return boxed(f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>")


def boxed(inside: str) -> str:
    """A table in a box in which it scrolls; short cells stay on one line."""
    inside = CELL.sub(lambda found: f'<td class="short">{found[1]}</td>' if _is_short(found[1]) else found[0], inside)
    return f'<div class="scroll" tabindex="0"><table>{inside}</table></div>'


def _is_short(cell: str) -> bool:
    return len(plain(cell)) <= SHORT


def plain(html: str) -> str:
    """The words of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
