"""Execute a notebook as a stage: parameters in from params.yaml, .ipynb and offline .html out."""

import os
import re
import sys
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.files import content_hash
from faceptor.io.writing import write_whole
from faceptor.pipeline.experiment import Experiment

NOTEBOOKS = Path("notebooks")
REPORTS = Path("reports")
READ = "inputs"  # in the metadata of an executed notebook: what it read -> hash of the content
INPUTS = ("results/", "models/", "experiments/", "faceptor/shipped/")  # of a stage's dependencies; no code, no data
KERNEL = re.compile(r"\bipykernel_\d+\b")  # in the place that a warning names: the number of a process
REFERENCE = re.compile(r"\$\{([^}]+)\}")  # of dvc.yaml to params.yaml


def execute(experiment: Experiment, name: str) -> Path:
    """Run notebooks/<name>.ipynb with its section of params.yaml; return the HTML report.

    A failing cell fails the stage, with the half-run notebook and report left for reading. A parameter that
    the notebook does not declare is an error (papermill alone would only warn).
    """
    nbformat = _nbformat()  # before papermill, which imports it too
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
    read = {path: content_hash(Path(path)) for path in notebook_inputs(Path(), name)}
    executed, report = REPORTS / f"{name}.ipynb", REPORTS / f"{name}.html"
    executed.unlink(missing_ok=True)  # that of another run must not pass for what this one leaves
    try:
        papermill.execute_notebook(
            str(source), str(executed), parameters=values, kernel_name="python3", progress_bar=False, cwd=".",
            request_save_on_cell_execute=False,  # once at the end or at a failure, not before and after every cell
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise FaceptorError(f"{source}: cell {error.exec_count} failed with {error.ename}: {error.evalue}") from error
    finally:
        if executed.exists():
            notebook = without_circumstances(read_notebook(executed))
            notebook.metadata[READ] = read
            write_whole(executed, nbformat.writes(notebook) + "\n")
            write_whole(report, _html(notebook))
    return report


def read_notebook(path: Path):
    """A notebook, in version 4 of the format."""
    return _nbformat().read(path, 4)


def section_of(name: str) -> str:
    """The section of params.yaml that belongs to a notebook: its name without a number in front ("00_tour": tour)."""
    return name.lstrip("0123456789_")


def notebook_stages(root: Path) -> list[str]:
    """Notebooks that are stages, in the order of dvc.yaml."""
    stages = _stages(root)
    return [name.removeprefix("report_") for name in stages if name.startswith("report_")]


def notebook_inputs(root: Path, name: str) -> list[str]:
    """What the stage of a notebook depends on, without code and data, as params.yaml fills it in."""
    if (stage := _stages(root).get(f"report_{name}")) is None:
        return []
    values = read_yaml(root / "params.yaml")
    if "foreach" in stage:
        found = _looked_up(REFERENCE.sub(r"\1", stage["foreach"]), values)
        first = next(iter(found.items() if isinstance(found, dict) else enumerate(found)), None)
        if first is None:  # a stage for nothing under these parameters
            return []
        stage, values = stage["do"], values | dict(zip(("key", "item"), first, strict=True))
    deps = [REFERENCE.sub(lambda key: str(_looked_up(key[1], values)), dep) for dep in stage["deps"]]
    return [dep for dep in deps if dep.startswith(INPUTS)]


def _stages(root: Path) -> dict[str, Any]:
    path = root / "dvc.yaml"
    return read_yaml(path)["stages"] if path.is_file() else {}


def _looked_up(dotted: str, values: Mapping) -> Any:
    return reduce(getitem, dotted.split("."), values)


def without_circumstances(notebook):
    """The executed notebook without when, where and by which Python it ran: the same inputs give the same bytes."""
    for number, cell in enumerate(notebook.cells):
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell["id"] = f"injected-parameters-{number}"  # papermill draws one at random
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = KERNEL.sub("ipykernel", output.text)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    return _nbformat().from_dict(notebook)


def _nbformat():
    """The module nbformat, without two of the seconds that it takes to import."""
    # jsonschema checks web addresses by a grammar that takes two seconds to parse; without that package it checks none,
    # and the schema of notebooks has none.
    sys.modules.setdefault("rfc3987_syntax", None)
    import nbformat

    return nbformat


def _html(notebook) -> str:
    """A page that needs no network: figures embedded, no script from elsewhere, code folded away."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="lab", embed_images=True, exclude_input=False, exclude_input_prompt=True)
    exporter.mathjax_url = exporter.require_js_url = exporter.mermaid_js_url = ""
    return exporter.from_notebook_node(notebook)[0]
