"""What is around the body of a page: head, navigation, whether it is stale, what it was made from; and the index."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import unquote

from PIL import Image

from faceptor.errors import FaceptorError
from faceptor.pipeline.site.page import Page, table

BEGIN, END = "<!-- body -->", "<!-- end of body -->"
DIGITS = 16  # of a hash, as a page shows it
GROUPS = {  # of the index
    "start": "Start here",
    "notebooks": "Notebooks",
    "results": "What was measured",
    "made": "What it is made of",
}
ABOUT = (
    "One encoder and two small decoders answer many questions about a face; a task is a few learned queries. These "
    "pages show what the repository computes by itself, without licensed data and without a GPU: executed notebooks, "
    "results with their intervals, and the papers' claims with verdicts.",
    "Every number here is of small models that learned from generated faces. It shows that the machinery learns, and "
    "says nothing about photographs or about the papers' models at their size.",
)
WRITTEN = "<p>Written by <code>faceptor report</code>.</p>"
MARKDOWN = {"index": "README"}  # page -> its name for a code host, where that is another
PRE = re.compile(r"<pre\b.*?</pre>", re.DOTALL)
REFERENCES = re.compile(r'\b(?:src|href)="([^"]*)"')
LOADED = re.compile(r"<(?:script|iframe|object|embed)\b|<(?:img|source|link)\b[^>]*\b(?:src|href)=\"(?:\w+:)?//", re.I)


def page_html(page: Page, pages: Sequence[Page]) -> str:
    """A whole page; its body stands between markers, so that it can be kept."""
    inside = [f"<h1>{escape(page.title)}</h1>", stale_note(page), BEGIN, page.body, END]
    return _document(page.title, _navigation(page.name, pages), "\n".join(part for part in inside if part), _made(page))


def body_of(html: str, file: str) -> str:
    """The body of a page as it was written."""
    if BEGIN not in html or END not in html:
        raise FaceptorError(f"{file}: the marks of its body are gone; restore it with Git, or delete it")
    return html.split(BEGIN, 1)[1].rsplit(END, 1)[0].strip("\n")


def index_html(pages: Sequence[Page]) -> str:
    parts = ["<h1>faceptor</h1>", *(f"<p>{paragraph}</p>" for paragraph in ABOUT)]
    if old := [page for page in pages if page.stale]:
        listed = ", ".join(f'<a href="{page.file}">{escape(page.title)}</a>' for page in old)
        parts.append(
            f'<p class="stale">Stale, made from what has changed since: {listed}. <code>make repro</code> and '
            "<code>make report</code> make them anew.</p>"
        )
    for group, title in GROUPS.items():
        if mine := [page for page in pages if page.group == group]:
            parts.append(f'<h2 id="{group}">{title}</h2><ul class="cards">{"".join(map(_card, mine))}</ul>')
    return _document("faceptor", _navigation("index", pages), "\n".join(parts), WRITTEN)


def readme(pages: Sequence[Page]) -> str:
    """The index in Markdown, which a code host shows in the folder."""
    lines = ["# faceptor", "", *(f"{paragraph}\n" for paragraph in ABOUT)]
    lines += ["In a clone open `index.html` in a browser. Written by `faceptor report`.", ""]
    for group, title in GROUPS.items():
        mine = [page for page in pages if page.group == group]
        lines += [f"## {title}", ""] if mine else []
        for page in mine:
            mark = " (stale)" if page.stale else ""
            lines += [f"### [{page.title}]({page.name}.md){mark}", "", page.line, ""]
            if page.picture:
                lines += [f'<a href="{page.name}.md"><img src="{page.picture}" alt="" height="240"></a>', ""]
    return "\n".join(lines)


def page_markdown(page: Page) -> str:
    """A page for a code host, which shows HTML only within Markdown: no empty line, which would end it."""
    links = re.sub(r'href="(\w+)\.html', lambda found: f'href="{MARKDOWN.get(found[1], found[1])}.md', page.body)
    body = PRE.sub(lambda found: found[0].replace("\n", "&#10;"), links)
    parts = ["[faceptor](README.md)", f"# {page.title}", stale_note(page), re.sub(r"\n\s*\n", "\n", body)]
    return "\n\n".join(part for part in parts if part) + "\n"


def stale_note(page: Page) -> str:
    if not page.stale:
        return ""
    changed = ", ".join(f"<code>{escape(path)}</code>" for path in page.stale)
    return f'<p class="stale"><strong>Stale.</strong> Changed since this page was made: {changed}.</p>'


def _card(page: Page) -> str:
    tall = ' class="tall"' if page.picture and _is_tall(page.files[page.picture]) else ""
    picture = f'<img src="{page.picture}" alt="" loading="lazy"{tall}>' if page.picture else ""
    mark = ' <span class="badge" style="background:#946c00">stale</span>' if page.stale else ""
    return (
        f'<li><a href="{page.file}"><div class="thumb">{picture}</div><h3>{escape(page.title)}{mark}</h3>'
        f"<p>{escape(page.line)}</p></a></li>"
    )


def _is_tall(picture: bytes) -> bool:
    """Whether the whole of a picture would be too small in the index."""
    if size := re.search(rb'viewBox="0 0 (\d+) (\d+)"', picture[:500]):
        return int(size[2]) > int(size[1])
    if not picture.startswith(b"RIFF"):  # an SVG that says nothing
        return False
    with Image.open(io.BytesIO(picture)) as image:
        return image.height > image.width


def _navigation(current: str, pages: Iterable[Page]) -> str:
    targets = {"index": "faceptor"} | {page.name: page.title for page in pages}
    marks = {current: ' aria-current="page"'}
    links = [f'<a href="{name}.html"{marks.get(name, "")}>{escape(title)}</a>' for name, title in targets.items()]
    return f"<nav>{' '.join(links)}</nav>"


def _made(page: Page) -> str:
    found = page.made_from.items()
    rows = [(f"<code>{escape(path)}</code>", f"<code>{content[:DIGITS] or '-'}</code>") for path, content in found]
    made = table(("made from", "hash of its content"), rows)
    return f"<details><summary>What this page was made from</summary>{made}</details>{WRITTEN}"


def _document(title: str, navigation: str, main: str, footer: str) -> str:
    whole = title if title == "faceptor" else f"{title} · faceptor"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(whole)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="stylesheet" href="style.css">\n</head>\n<body>\n'
        f"<header>{navigation}</header>\n<main>\n{main}\n</main>\n<footer>{footer}</footer>\n</body>\n</html>\n"
    )


def faults(files: Mapping[str, str], others: Iterable[str]) -> list[str]:
    """What is wrong with pages (file -> HTML) beside other files: links and pictures that are not there, scripts, what
    a browser would load from elsewhere."""
    anchors = {name: set(re.findall(r'\bid="([^"]*)"', html)) for name, html in files.items()}
    there, found = {*files, *others}, []
    for name, html in files.items():
        found += [f"{name}: {loaded[0]} is not allowed" for loaded in LOADED.finditer(html)]
        for target in REFERENCES.findall(html):
            if re.match(r"(https?|mailto):", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            file = posixpath.normpath(path) if path else name
            if file not in there or (anchor and anchor not in anchors.get(file, ())):
                found.append(f"{name}: {target} is not there")
    return found
