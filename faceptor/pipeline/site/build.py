"""`faceptor report`: writes docs/site, or says which of its pages are stale."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from faceptor.errors import FaceptorError
from faceptor.io.files import read_json
from faceptor.io.paths import replace_folder
from faceptor.io.words import few
from faceptor.io.writing import write_whole
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.notebooks import NOTEBOOKS, REPORTS, notebook_stages, read_notebook
from faceptor.pipeline.site.notebook_page import notebook_page
from faceptor.pipeline.site.page import Page
from faceptor.pipeline.site.pages import pages_of
from faceptor.pipeline.site.shell import GROUPS, body_of, faults, index_html, page_html, page_markdown, readme
from faceptor.pipeline.site.sources import changes, made_from

SITE = Path("docs/site")
MANIFEST = "site.json"  # what every page was made from
LARGEST_SITE_BYTES = 6_000_000
TOUR = "00_tour"
READING_ORDER = (  # of notebooks; others come after them
    TOUR, "data", "results", "ablations", "transfer", "layer_attention", "parameter_budget", "failure_cases",
    "robustness", "pipeline_truth", "crop_sensitivity", "benchmark",
)  # fmt: skip
FACTS = ("name", "title", "line", "group", "picture", "made_from", "stale")


def report(experiment: Experiment, root: Path = Path()) -> list[Page]:
    """Write docs/site; its pages. A notebook that is not executed here keeps its committed page.

    Raises FaceptorError where a page has a link or picture that is not there, a script or something from elsewhere, or
    where the site is too large for Git; the site that was there then stays.
    """
    pages = list(_pages(experiment, root))
    for page in pages:
        page.stale = changes(root, page.made_from)
    html = {page.file: page_html(page, pages) for page in pages} | {"index.html": index_html(pages)}
    other = {name: data for page in pages for name, data in page.files.items()}
    other |= {"style.css": files("faceptor.pipeline.site").joinpath("style.css").read_bytes()}
    other |= {MANIFEST: _manifest(pages), "README.md": readme(pages).encode()}
    other |= {f"{page.name}.md": page_markdown(page).encode() for page in pages}
    written = {name: text.encode() for name, text in html.items()} | other
    _check(html, written)
    partial = root / SITE.with_name(".site.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, data in sorted(written.items()):
        write_whole(partial / name, data)
    replace_folder(partial, root / SITE)
    return pages


def check(root: Path = Path()) -> dict[str, list[str]]:
    """Page -> what has changed since it was made, of the site that is there."""
    entries = _committed(root)
    if not entries:
        raise FaceptorError(f"{root / SITE}: no site; `faceptor report` writes it")
    return {name: changed for name, entry in entries.items() if (changed := changes(root, entry["made_from"]))}


def marked(root: Path = Path()) -> dict[str, list[str]]:
    """Page -> what it says has changed since it was made."""
    return {name: entry["stale"] for name, entry in _committed(root).items() if entry["stale"]}


def _check(html: dict[str, str], written: dict[str, bytes]) -> None:
    if wrong := faults(html, written):
        raise FaceptorError(f"{SITE}: {few(wrong, 5, between='; ')}; correct what the pages are made of")
    size = sum(map(len, written.values()))
    if size > LARGEST_SITE_BYTES:
        raise FaceptorError(f"{SITE}: {size:,} bytes, expected at most {LARGEST_SITE_BYTES:,}; draw fewer figures")


def _pages(experiment: Experiment, root: Path) -> Iterator[Page]:
    """Notebooks, the tour first, and what is made of results."""
    committed = _committed(root)
    made = list(pages_of(experiment, root))
    names = sorted(notebook_stages(root), key=lambda name: _place(name, READING_ORDER))
    found = [page for name in names if (page := _notebook(root, name, committed)) is not None]
    if twice := sorted({page.name for page in found} & {page.name for page in made}):
        raise FaceptorError(f"notebooks/{twice[0]}.ipynb: another page of the site has this name; choose another")
    yield from sorted(found + made, key=lambda page: _place(page.group, tuple(GROUPS)))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _notebook(root: Path, name: str, committed: dict[str, dict]) -> Page | None:
    """The page of a notebook: of the copy executed here, else the committed one, else none."""
    executed = root / REPORTS / f"{name}.ipynb"
    if (root / NOTEBOOKS / f"{name}.ipynb").is_file() and executed.is_file():
        notebook = read_notebook(executed)
        page = notebook_page(name, notebook, group="start" if name == TOUR else "notebooks")
        page.made_from = made_from(root, name, notebook)
        return page
    return _kept(root, committed[name]) if name in committed else None


def _kept(root: Path, entry: dict) -> Page:
    """A page as it is committed."""
    folder, name = root / SITE, entry["name"]
    body = body_of((folder / f"{name}.html").read_text(), f"{SITE}/{name}.html")
    pictures = {each: (folder / each).read_bytes() for each in entry["pictures"]}
    facts = {key: entry[key] for key in FACTS if key != "stale"}
    return Page(**facts, body=body, files=pictures, kept=True)


def _committed(root: Path) -> dict[str, dict]:
    path = root / SITE / MANIFEST
    return {entry["name"]: entry for entry in read_json(path)["pages"]} if path.is_file() else {}


def _manifest(pages: Sequence[Page]) -> bytes:
    entries = [{key: getattr(page, key) for key in FACTS} | {"pictures": sorted(page.files)} for page in pages]
    return (json.dumps({"pages": entries}, indent=1, ensure_ascii=False) + "\n").encode()
