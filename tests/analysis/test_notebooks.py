import ast
from pathlib import Path

import nbformat
import papermill
import pytest

from faceptor.config.notebooks import LayerAttention, Notebooks
from faceptor.io.paths import find_root
from faceptor.pipeline import notebooks
from faceptor.pipeline.experiment import preset

ROOT = Path(__file__).parents[2]
NAMES = sorted({path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} - {"explorer"})  # which needs a page


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(ROOT / "notebooks" / f"{request.param}.ipynb", 4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_committed_form_is_stripped(notebook):
    nbformat.validate(notebook)
    ids = [cell["id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(notebook))
    assert notebook.metadata.kernelspec.name == "python3"
    assert not notebook.metadata.get("papermill")


def test_says_what_it_shows_reads_and_writes(notebook):
    title = notebook.cells[0]
    assert title.cell_type == "markdown" and title.source.startswith("# ")
    assert "**Reads**" in title.source and "**Writes**" in title.source
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        assert cell.cell_type == "markdown" or before.cell_type == "markdown", cell["id"]
    assert "Conclusion" in notebook.cells[-2].source


def test_cells_only_call(notebook):
    forbidden = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.If, ast.For, ast.While, ast.Try)
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= 15
        assert not any(isinstance(node, forbidden) for node in ast.walk(ast.parse(cell.source))), cell["id"]
        assert "%" not in cell.source and "!" not in cell.source


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_of_the_section(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    tagged = [cell for cell in nbformat.read(path, 4).cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    declared = [target.id for node in ast.parse(tagged[0].source).body for target in node.targets]
    assert sorted(papermill.inspect_notebook(str(path))) == sorted(declared)
    section = Notebooks.model_fields[notebooks.section_of(name)].annotation
    assert sorted(section.model_fields) == sorted(declared)


def test_root_is_found_from_anywhere_inside(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    inside = tmp_path / "notebooks"
    inside.mkdir()
    monkeypatch.chdir(inside)
    from faceptor.io.paths import ROOT as here

    assert here == find_root() == tmp_path.resolve()


def test_no_root_is_an_error(tmp_path):
    from faceptor.errors import ConfigError

    with pytest.raises(ConfigError, match="start inside the repository"):
        find_root(tmp_path)


def test_executed_again_elsewhere_it_is_the_same_file(tmp_path, monkeypatch):
    cells = [
        ("import pandas", {}), ("faces = 1\nbatch = 2\nnumber = 1\nqueries = []", {"tags": ["parameters"]}),
        ("from faceptor.analysis.canvas import Shown", {}), ("Shown(figsize=(1, 1))", {}),
        ("pandas.DataFrame({'faces': [faces]})", {}), ("import warnings\nwarnings.warn('beware', stacklevel=1)", {}),
    ]  # fmt: skip
    made = []
    for place in ("here", "there"):
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.chdir((tmp_path / place).mkdir() or tmp_path / place)
        Path("notebooks").mkdir()
        source = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(text, id=f"c{i}", metadata=m) for i, (text, m) in enumerate(cells)],
            metadata={"kernelspec": {"name": "python3", "display_name": place, "language": "python"}},
        )
        nbformat.write(source, "notebooks/tiny.ipynb")
        experiment = preset("embedded")
        experiment.params.notebooks.__dict__["tiny"] = LayerAttention(faces=7)
        html = notebooks.execute(experiment, "tiny")
        made.append((html.read_bytes(), html.with_suffix(".ipynb").read_bytes()))
    assert made[0] == made[1]
    text = made[0][1].decode()
    assert "image/png" in text and "7" in text and "beware" in text
    assert "papermill" not in text and str(tmp_path) not in text
