"""Notebooks opened in JupyterLab by a browser, as a visitor does right after a clone: every cell runs, controls answer.

`SCREENSHOTS=folder` keeps what was seen; `CHROMIUM=path` names a browser that is not on the path.
"""

import os
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from skimage import data

from tests.browser.lab import ROOT, Notebook, browser, checkout, chromium, lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium found; see CONTRIBUTING, Notebooks in a browser"),
]


TOUR, READ = "00_tour", ("ablations",)  # the one that JupyterLab opens with, and others that are read
EXPLORER = "explorer"


def test_a_visitor_runs_the_notebooks_and_uses_the_explorer(tmp_path):
    """One test, so that one server and one browser serve it; all notebooks at once, so that their kernels start beside
    each other."""
    shots, home = Path(os.environ.get("SCREENSHOTS") or tmp_path / "screenshots"), tmp_path / "lab"
    for folder in (shots, home / "repo"):
        folder.mkdir(parents=True, exist_ok=True)
    with lab(checkout(home / "repo"), home) as server, browser() as found:
        opened = {name: Notebook(found, server, name, start=name == TOUR) for name in (TOUR, EXPLORER, *READ)}
        for name, notebook in opened.items():
            check_ran(notebook, name)
            notebook.shot(shots, name)
        check_the_explorer_answers(opened[EXPLORER], shots, tmp_path)
        assert not any(notebook.elsewhere for notebook in opened.values())


def check_ran(notebook: Notebook, name: str) -> None:
    """Every code cell ran to its end, and nothing covers the page."""
    cells = notebook.cells()
    source = nbformat.read(ROOT / f"notebooks/{name}.ipynb", 4)
    assert [cell["id"] for cell in cells] == [cell["id"] for cell in source.cells if cell.cell_type == "code"]
    for cell in cells:
        failed = [output for output in cell["outputs"] if output["output_type"] == "error"]
        assert not failed, (cell["id"], failed[0]["ename"], failed[0]["evalue"])
        assert cell["execution_count"], cell["id"]
    assert not notebook.page.get_by_text("Jupyter news").count() and not notebook.page.locator("dialog").count()


def check_the_explorer_answers(notebook: Notebook, shots: Path, folder: Path) -> None:
    """A control is moved, files are uploaded; what is shown follows."""
    page = notebook.page
    page.wait_for_selector(".explorer-status:has-text('answered in')")
    picture = page.locator(".widget-image:visible").first
    before = picture.get_attribute("src")

    turn = page.locator(".widget-hslider", has_text="turn").locator(".noUi-handle")
    turn.focus()
    for _ in range(6):
        turn.press("ArrowRight")
    page.wait_for_selector(".widget-html table:has-text('as moved')")
    assert picture.get_attribute("src") != before

    Image.fromarray(data.astronaut()).save(folder / "astronaut.png")
    (folder / "no picture.jpg").write_text("not a picture")
    for file, said in (
        ("astronaut.png", ".explorer-warning:has-text('generated faces')"),
        ("no picture.jpg", ".explorer-error:has-text('no picture.jpg')"),
    ):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="upload a photograph").click()
        chooser.value.set_files(folder / file)
        page.wait_for_selector(said)
        notebook.shot(shots, f"explorer, {file}")
    assert page.locator(".widget-html", has_text="astronaut.png: a photograph of 512 x 512").count()
    assert not page.locator(".jp-RenderedText[data-mime-type*=stderr]").count()
