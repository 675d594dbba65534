"""Execute a notebook as a stage: parameters in from params.yaml, .ipynb and offline .html out."""

import os
from pathlib import Path

import nbformat

from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.writing import write_whole
from faceptor.pipeline.experiment import Experiment

NOTEBOOKS = Path("notebooks")
REPORTS = Path("reports")


def execute(experiment: Experiment, name: str) -> Path:
    """Run notebooks/<name>.ipynb with its section of params.yaml; return the HTML report.

    A failing cell fails the stage, with the half-run notebook and report left for reading. A parameter that
    the notebook does not declare is an error (papermill alone would only warn).
    """
    import papermill

    # Progress bars in notebooks want widgets, which a static report cannot show; the kernel need not say so.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")

    source = NOTEBOOKS / f"{name}.ipynb"
    known = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    if name not in known:
        raise ConfigError(f"notebook {name!r}: expected one of {', '.join(known)}")
    section = getattr(experiment.params.notebooks, section_of(name), None)
    values = section.model_dump(mode="json") if section else {}
    declared = papermill.inspect_notebook(str(source))
    strangers = sorted(set(values) - set(declared))
    if strangers:
        known = ", ".join(declared)
        where = f"notebooks.{section_of(name)}"
        raise ConfigError(f"{where}: {', '.join(strangers)} not declared in {source}; it has {known}")
    REPORTS.mkdir(exist_ok=True)
    executed, report = REPORTS / f"{name}.ipynb", REPORTS / f"{name}.html"
    try:
        papermill.execute_notebook(
            str(source), str(executed), parameters=values, kernel_name="python3", progress_bar=False, cwd="."
        )
    except papermill.PapermillExecutionError as error:
        raise FaceptorError(f"{source}: cell {error.exec_count} failed with {error.ename}: {error.evalue}") from error
    finally:
        if executed.exists():
            notebook = without_circumstances(nbformat.read(executed, 4))
            write_whole(executed, nbformat.writes(notebook) + "\n")
            write_whole(report, _html(notebook))
    return report


def section_of(name: str) -> str:
    """The section of params.yaml that belongs to a notebook: its name without a number in front ("00_tour": tour)."""
    return name.lstrip("0123456789_")


def without_circumstances(notebook):
    """The executed notebook without when, where and by which Python it ran: the same inputs give the same bytes."""
    for number, cell in enumerate(notebook.cells):
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell["id"] = f"injected-parameters-{number}"  # papermill draws one at random
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    return nbformat.from_dict(notebook)


def _html(notebook) -> str:
    """A page that needs no network: figures embedded, no script from elsewhere, code folded away."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="lab", embed_images=True, exclude_input=False, exclude_input_prompt=True)
    exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = ""
    return exporter.from_notebook_node(notebook)[0]
