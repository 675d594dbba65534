"""Markdown and the HTML of notebooks' outputs as plain HTML: links that lead somewhere, tables in boxes, no script."""

from __future__ import annotations

import posixpath
import re
from html import escape, unescape

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from faceptor.pipeline.site.page import boxed

SCRIPT = re.compile(r"<script\b.*?</script\s*>|<script\b[^>]*/?>|\son\w+\s*=\s*(\"[^\"]*\"|'[^']*')", re.DOTALL | re.I)
OF_PANDAS = re.compile(r"<style scoped>.*?</style>", re.DOTALL)
LINK = re.compile(r'<a href="(?P<target>[^"]*)"[^>]*>(?P<words>.*?)</a>', re.DOTALL)
HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)
TABLE = re.compile(r"<table\b[^>]*>(.*?)</table>", re.DOTALL)
TWO_HEADS = re.compile(r"<thead>\s*<tr>(?P<columns>.*?)</tr>\s*<tr>(?P<index>.*?)</tr>\s*</thead>", re.DOTALL)
PAGES = {  # file of the repository -> its page on the site; a link to any other file becomes plain text
    "README.md": "index.html",
    "docs/results.md": "metrics.html",
    "docs/glossary.md": "glossary.html",
    "faceptor/shipped/embedded/README.md": "model.html",
}


def markdown(text: str, *, origin: str = "notebooks/") -> str:
    """HTML of Markdown in a file of the repository, from which its relative links start."""
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    return tidy(MarkdownWithMath(renderer=renderer).render(text), origin=origin)


def tidy(html: str, *, origin: str = "notebooks/") -> str:
    """HTML without scripts, with ids on headings, tables in boxes that scroll, and links to what the site has."""
    html = OF_PANDAS.sub("", SCRIPT.sub("", html))
    html = HEADING.sub(lambda found: f'<h{found[1]} id="{slug(found[2])}">{found[2]}</h{found[1]}>', html)
    html = re.sub(r'<t([rdh]) style="text-align: (?:right|left);">', r"<t\1>", html)
    html = TABLE.sub(lambda found: boxed(TWO_HEADS.sub(_one_head, found[1])), html)
    return LINK.sub(lambda found: _linked(found["target"], found["words"], origin), html)


def _one_head(found: re.Match) -> str:
    """A table's head in one row, where pandas writes the names of the index in a second one."""
    cells = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
    columns, index = cells.findall(found["columns"]), cells.findall(found["index"])
    names = [name for name in index if name]
    if len(columns) != len(index) or any(columns[: len(names)]) or "span=" in found["columns"]:
        return found[0]  # columns of several levels
    return f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in names + columns[len(names) :])}</tr></thead>"


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    words = unescape(re.sub(r"<[^>]+>", "", heading)).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", words))


def _linked(target: str, words: str, origin: str) -> str:
    if re.match(r"(https?:|mailto:|#)", target):
        return f'<a href="{target}">{words}</a>'
    path, _, anchor = unescape(target).partition("#")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    page = PAGES.get(file)
    if page is None and re.fullmatch(r"notebooks/\w+\.ipynb", file):
        page = f"{posixpath.basename(file).removesuffix('.ipynb')}.html"
    return f'<a href="{page}{f"#{anchor}" if anchor else ""}">{words}</a>' if page else words


def code(text: str, summary: str = "code") -> str:
    """Source, folded away."""
    return f"<details><summary>{summary}</summary><pre><code>{escape(text)}</code></pre></details>"
