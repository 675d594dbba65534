"""The site: pages of notebooks and results, what they were made from, what is refused; and the committed one."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from faceptor.errors import FaceptorError
from faceptor.pipeline import experiment, notebooks
from faceptor.pipeline.site import build, pages, shell, sources
from faceptor.pipeline.site.markup import markdown, tidy
from faceptor.pipeline.site.notebook_page import notebook_page
from faceptor.pipeline.site.page import Page, recoded

ROOT = Path(__file__).parents[1]
NAME = "layer_attention"
STAGE = {
    "deps": [f"notebooks/{NAME}.ipynb", "faceptor/analysis", "results/numbers.json", "models/stage1"],
    "params": [f"notebooks.{NAME}"],
}


def png(width=900) -> str:
    data = io.BytesIO()
    Image.new("RGBA", (width, 20), (0, 0, 0, 0)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def source_cells():
    tagged = new_code_cell("faces = 1\nbatch = 2", id="parameters", metadata={"tags": ["parameters"]})
    return [
        new_markdown_cell("# A toy\n\nIt shows. And [more](../docs/glossary.md) or [a log](../L.md).", id="title"),
        tagged,
        new_markdown_cell("A figure of nothing.", id="told"),
        new_code_cell("draw()", id="draw"),
    ]


def executed_notebook(root=ROOT, **other):
    """As papermill leaves it: values of params.yaml in a cell of their own, outputs of several kinds."""
    cells = source_cells()
    given = sources.notebook_parameters(root, NAME) | other
    assigned = "".join(f"{name} = {value!r}\n" for name, value in given.items())
    values = new_code_cell(f"# Parameters\n{assigned}", metadata={"tags": ["injected-parameters"]})
    frame = "<style scoped>td {}</style><table border='1'><tr><td>1<script>x()</script></td></tr></table>"
    cells[3].outputs = [
        new_output("display_data", {"image/png": png(), "text/plain": "<Figure>"}),
        new_output("display_data", {"text/html": frame}),
        new_output("display_data", {"text/markdown": "**undecided**"}),
        new_output("stream", name="stderr", text="a warning"),
    ]
    return new_notebook(cells=[*cells[:2], values, *cells[2:]])


@pytest.fixture
def checkout(tmp_path):
    """A repository with one notebook, executed, and what it was made from."""
    for folder in ("notebooks", "reports", "results/evaluate/details", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {f"report_{NAME}": STAGE}}))
    (tmp_path / "docs/glossary.md").write_text("# Terms\n\nNone.\n")
    (tmp_path / "results/numbers.json").write_text("{}")
    judge(tmp_path, "one")
    nbformat.write(new_notebook(cells=source_cells()), tmp_path / f"notebooks/{NAME}.ipynb")
    nbformat.write(executed_notebook(), tmp_path / f"reports/{NAME}.ipynb")
    return tmp_path


def judge(root, model):
    (root / "results/evaluate/details/stage1.json").write_text(json.dumps({"about": {"model_hash": model}}))


@pytest.fixture(scope="module")
def embedded():
    return experiment.load(ROOT / "params.yaml")


def site(root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / build.SITE).iterdir()}


def test_a_page_of_a_notebook():
    page = notebook_page(NAME, executed_notebook(), group="notebooks")
    assert (page.title, page.line, page.picture) == ("A toy", "It shows.", f"{NAME}-1.webp")
    assert 'alt="A figure of nothing."' in page.body and "<strong>undecided</strong>" in page.body
    assert '<a href="glossary.html">more</a> or a log' in page.body  # what the site does not have is no link
    assert "# Parameters\nfaces = " in page.body and "faces = 1\nbatch = 2" not in page.body
    assert not re.search("script|style scoped|warning", page.body)
    assert "<details><summary>code</summary><pre><code>draw()" in page.body
    with Image.open(io.BytesIO(page.files[page.picture])) as picture:
        assert picture.format == "WEBP" and picture.getpixel((5, 5)) == (255, 255, 255)


def test_a_failed_cell_and_a_notebook_without_a_title_make_no_page():
    notebook = executed_notebook()
    notebook.cells[-1].outputs = [new_output("error", ename="ValueError", evalue="", traceback=[])]
    with pytest.raises(FaceptorError, match="cell draw failed"):
        notebook_page(NAME, notebook, group="")
    with pytest.raises(FaceptorError, match="expected a first cell"):
        notebook_page(NAME, new_notebook(cells=notebook.cells[1:]), group="")


def test_wide_pictures_become_narrower():
    _, size = recoded(Image.new("RGB", (400, 100)), widest=200)
    assert size == (200, 50)


def test_what_changed_is_told_and_a_page_without_its_notebook_is_kept(checkout, embedded):
    made = build.report(embedded, checkout)
    assert [page.name for page in made] == [NAME, "glossary"] and not any(page.stale for page in made)
    first = site(checkout)
    assert "Stale" not in first["index.html"].decode() and build.check(checkout) == {}
    build.report(embedded, checkout)
    assert site(checkout) == first  # the same inputs, the same bytes
    (checkout / f"reports/{NAME}.ipynb").unlink()
    build.report(embedded, checkout)
    assert site(checkout) == first  # as right after a clone
    (checkout / "results/numbers.json").write_text("{ }")
    judge(checkout, "another")
    values = yaml.safe_load((checkout / "params.yaml").read_text())
    values["notebooks"][NAME]["faces"] += 1
    (checkout / "params.yaml").write_text(json.dumps(values))
    cells = [*source_cells()[:-1], new_code_cell("draw(2)", id="draw")]
    nbformat.write(new_notebook(cells=cells), checkout / f"notebooks/{NAME}.ipynb")
    changed = [f"notebooks/{NAME}.ipynb", f"params.yaml: notebooks.{NAME}", "results/numbers.json", "models/stage1"]
    assert build.check(checkout) == {NAME: changed} != build.marked(checkout)
    build.report(embedded, checkout)
    assert build.marked(checkout) == {NAME: changed}
    now = site(checkout)
    assert all(path in now[f"{NAME}.html"].decode() for path in changed)
    assert "Stale, made from" in now["index.html"].decode()
    assert now[f"{NAME}-1.webp"] == first[f"{NAME}-1.webp"]


def test_an_executed_copy_of_other_inputs_is_stale_at_once(checkout, embedded):
    executed = executed_notebook(checkout, faces=7)
    executed.metadata[notebooks.READ] = {"results/numbers.json": "then", "models/stage1": "gone"}
    nbformat.write(executed, checkout / f"reports/{NAME}.ipynb")
    (page, _) = build.report(embedded, checkout)
    assert page.stale == [f"params.yaml: notebooks.{NAME}", "results/numbers.json"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<img src="gone.webp" alt="">', "gone.webp is not there"),
        ('<a href="toy.html#gone">x</a>', "toy.html#gone is not there"),
        ('<a href="../../README.md">x</a>', "README.md is not there"),
        ('<script src="a.js"></script>', "<script is not allowed"),
        ('<img src="https://example.org/a.png">', "is not allowed"),
    ],
)
def test_links_that_lead_nowhere_and_scripts_are_refused(body, message):
    html = {"toy.html": f'<h2 id="here">x</h2><a href="#here">x</a><a href="https://example.org">x</a>{body}'}
    assert any(message in fault for fault in shell.faults(html, []))
    page = Page("toy", "Toy", "", "", body)
    with pytest.raises(FaceptorError, match=re.escape(message)):
        build._check({"toy.html": shell.page_html(page, [])}, {"style.css": b"", "index.html": b""})


def test_tables_and_headings():
    html = markdown("## Two words\n\n| a | b |\n| --- | --- |\n| `1` | 2 |")
    assert '<h2 id="two-words">' in html and '<div class="scroll" tabindex="0"><table>' in html
    pandas = "<table><thead><tr><th></th><th>x</th></tr><tr><th>task</th><th></th></tr></thead></table>"
    assert "<thead><tr><th>task</th><th>x</th></tr></thead>" in tidy(pandas)


def test_experiments_are_told_by_mean_and_interval(checkout, embedded):
    runs = checkout / "results/experiments/runs"
    runs.mkdir(parents=True)
    for variant, seed, error in (("faceptor", 1, 6.0), ("faceptor", 2, 8.0), ("naive", 1, 9.0)):
        test = {"dataset": "300w", "headline": "nme_inter_ocular", "skill": 1 / error, "metrics": {}}
        test["metrics"]["nme_inter_ocular"] = error
        run = {"variant": variant, "seed": seed, "tests": {"landmarks_300w": test}}
        (runs / f"{variant}-{seed}.json").write_text(json.dumps(run))
    page = pages.experiments_page(embedded, checkout)
    assert "7.00 [-5.71, 19.71]" in page.body and '<td class="short">9.00</td>' in page.body  # Student's t, 1 degree
    drawing = page.files["experiments-1.svg"].decode()
    assert drawing.count("<circle") == 2 and drawing.index(">faceptor<") < drawing.index(">naive<")


def test_a_code_host_shows_a_page_as_one_block_within_markdown():
    page = notebook_page(NAME, executed_notebook(), group="")
    page.body += '<a href="index.html#notebooks">x</a><pre>a\n\nb</pre>\n\n<p>c</p>'
    head, title, body = shell.page_markdown(page).split("\n\n")
    assert (head, title) == ("[faceptor](README.md)", "# A toy")
    assert '"README.md#notebooks"' in body and '"glossary.md"' in body and "a&#10;&#10;b</pre>\n<p>c" in body


def test_inputs_are_those_of_the_stage():
    for name in notebooks.notebook_stages(ROOT):
        assert not any("$" in path for path in notebooks.notebook_inputs(ROOT, name))
    assert "models/stage2" in notebooks.notebook_inputs(ROOT, "layer_attention")
    assert notebooks.notebook_inputs(ROOT, "explorer") == []  # no stage


# --- the committed site ----------------------------------------------------------------------------------------------


def test_committed_pages_lead_somewhere_and_load_nothing_from_elsewhere():
    files = site(ROOT)
    html = {name: data.decode() for name, data in files.items() if name.endswith(".html")}
    assert shell.faults(html, files) == []
    assert sum(map(len, files.values())) <= build.LARGEST_SITE_BYTES
    assert all('lang="en"' in text and "viewport" in text for text in html.values())


def test_committed_pages_are_of_what_is_here_or_say_what_changed():
    assert build.check(ROOT) == build.marked(ROOT), "run `faceptor report`"
