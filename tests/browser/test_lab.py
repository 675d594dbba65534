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
    pytest.mark.skipif(chromium() is None, reason="no Chromium found; see CONTRIBUTING, Notebooks in a browser"),
]


TOUR, READ = "00_tour", ("ablations",)  # the one that JupyterLab opens with, and others that are read
EXPLORER = "explorer"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """All of them at once, so that their kernels start beside each other."""
    home = tmp_path_factory.mktemp("lab")
    (home / "repo").mkdir()
    with lab(checkout(home / "repo"), home) as server, browser() as found:
        yield {name: Notebook(found, server, name, start=name == TOUR) for name in (TOUR, EXPLORER, *READ)}


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_ran(cells, name: str) -> None:
    """Every code cell of the notebook ran to its end."""
    source = nbformat.read(ROOT / f"notebooks/{name}.ipynb", 4)
    assert [cell["id"] for cell in cells] == [cell["id"] for cell in source.cells if cell.cell_type == "code"]
    for cell in cells:
        failed = [output for output in cell["outputs"] if output["output_type"] == "error"]
        assert not failed, (cell["id"], failed[0]["ename"], failed[0]["evalue"])
        assert cell["execution_count"], cell["id"]


@pytest.mark.parametrize("name", [TOUR, *READ])
def test_all_cells_run(opened, shots, name):
    notebook = opened[name]
    cells = notebook.cells()
    notebook.shot(shots, name)
    check_ran(cells, name)
    assert not notebook.page.get_by_text("Jupyter news").count() and not notebook.page.locator("dialog").count()
    assert not notebook.elsewhere


def test_the_explorer_answers(opened, shots, tmp_path):
    notebook = opened[EXPLORER]
    page = notebook.page
    check_ran(notebook.cells(), EXPLORER)
    page.wait_for_selector(".explorer-status:has-text('answered in')")
    notebook.shot(shots, "explorer")
    picture = page.locator(".widget-image:visible").first
    before = picture.get_attribute("src")

    turn = page.locator(".widget-hslider", has_text="turn").locator(".noUi-handle")
    turn.focus()
    for _ in range(6):
        turn.press("ArrowRight")
    page.wait_for_selector(".widget-html table:has-text('as moved')")
    assert picture.get_attribute("src") != before

    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    (tmp_path / "no picture.jpg").write_text("not a picture")
    for file, said in (
        ("astronaut.png", ".explorer-warning:has-text('generated faces')"),
        ("no picture.jpg", ".explorer-error:has-text('no picture.jpg')"),
    ):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="upload a photograph").click()
        chooser.value.set_files(tmp_path / file)
        page.wait_for_selector(said)
        notebook.shot(shots, f"explorer, {file}")
    assert page.locator(".widget-html", has_text="astronaut.png: a photograph of 512 x 512").count()
    assert not page.locator(".jp-RenderedText[data-mime-type*=stderr]").count()
    assert not notebook.elsewhere
