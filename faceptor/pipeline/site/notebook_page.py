"""An executed notebook as a page: its words, figures and tables; its code folded away."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from faceptor.errors import FaceptorError
from faceptor.pipeline.site.markup import code, markdown, tidy
from faceptor.pipeline.site.page import Page, Pictures, figure, first_sentence, plain

TITLE = re.compile(r"^#\s+(.+?)\s*\n+(.*)", re.DOTALL)
EMBEDDED = re.compile(r'<img[^>]*?src="data:image/[a-z+]+;base64,([^"]+)"[^>]*>')


def notebook_page(name: str, notebook: Any, *, group: str) -> Page:
    """The page of notebooks/<name>.ipynb, executed. Raises FaceptorError where a cell failed, or nothing was made."""
    title, line, rest = _heading(name, notebook)
    pictures = Pictures(name)
    parts, told = [markdown(rest)], line
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            parts.append(markdown(cell.source))
            told = plain(parts[-1]) or told
        elif cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", ()):
            given = "injected-parameters" in cell.metadata.get("tags", ())
            outputs = list(_outputs(name, cell, pictures, told))
            parts += [code(cell.source, "parameters, from params.yaml" if given else "code"), *outputs]
    return Page(name, title, line, group, "\n".join(parts), picture=pictures.first, files=pictures.files)


def _heading(name: str, notebook: Any) -> tuple[str, str, str]:
    """(title, what it shows in a sentence, the text below the title) of a notebook's first cell."""
    found = TITLE.match(notebook.cells[0].source + "\n") if notebook.cells else None
    if not found or notebook.cells[0].cell_type != "markdown":
        raise FaceptorError(f"notebooks/{name}.ipynb: expected a first cell with `# Title` and a sentence; add it")
    return plain(markdown(found[1])), first_sentence(found[2].strip().split("\n\n")[0]), found[2]


def _outputs(name: str, cell: Any, pictures: Pictures, told: str) -> Iterator[str]:
    for output in cell.get("outputs", ()):
        if output.output_type == "error":
            raise FaceptorError(f"reports/{name}.ipynb: cell {cell.id} failed ({output.ename}); execute it again")
        if output.output_type == "stream":
            if output.name == "stdout" and output.text.strip():
                yield f'<pre class="said">{escape(_without_colours(output.text.rstrip()))}</pre>'
        else:
            yield _shown(output.data, pictures, told)


def _shown(data: Any, pictures: Pictures, told: str) -> str:
    """The richest form of an output that a page without script can show."""
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return figure(pictures.add(base64.b64decode(data[kind]), told))
    if "image/svg+xml" in data:
        return figure(pictures.add_svg(data["image/svg+xml"], told))
    if "text/markdown" in data:
        return f'<div class="conclusion">{markdown(data["text/markdown"])}</div>'
    if "text/html" in data:
        html = EMBEDDED.sub(lambda found: pictures.add(base64.b64decode(found[1]), told), data["text/html"])
        return tidy(html)
    text = _without_colours(data.get("text/plain", ""))
    return f'<pre class="said">{escape(text)}</pre>' if text else ""


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
