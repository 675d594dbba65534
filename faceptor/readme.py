"""The results block of README.md, written from results/*.json by a command, never by hand."""

from pathlib import Path

from faceptor.config import Params
from faceptor.errors import FaceptorError
from faceptor.evaluate import headline_of
from faceptor.sections import spelled
from faceptor.stages.files import RESULTS, read_json
from faceptor.tasks import KINDS, task
from faceptor.writing import write_whole

BEGIN, END = "<!-- results: written by `faceptor readme` -->", "<!-- end of results -->"
UNITS = {True: "↑", False: "↓"}


def block(params: Params) -> str:
    """Markdown tables of what the last run of the pipeline measured."""
    models = [name for name in params.evaluate.models if (RESULTS / "evaluate" / f"{name}.json").exists()]
    if not models:
        raise FaceptorError("results/evaluate: no results yet; run `make repro`")
    reports = {name: read_json(RESULTS / "evaluate" / f"{name}.json") for name in models}
    parts = [evaluation_table(params, reports), transfer_table(params)]
    about = reports[models[-1]]["about"]
    facts = [(name, report["about"]) for name, report in reports.items()]
    source = (
        f"Seed {about['seed']}; "
        + ", ".join(f"{name} `{f['model_hash'][:12]}` ({f['parameters']:,} parameters)" for name, f in facts)
        + ". One run on generated faces of unseen identities; the trivial guess is the best constant answer from the "
        "training labels. Table rows: `results/evaluate/*.json`, `results/transfer/*.json`."
    )
    return "\n\n".join([*parts, source])


def evaluation_table(params: Params, reports: dict) -> str:
    """Models side by side on the same test faces; "-" where a model has no such task."""
    sizes = [f"{report['about']['parameters'] / 1e6:.2f} M" for report in reports.values()]
    rows = [["parameters", "", "", "", *sizes]]
    for name in {task_name: None for model in reports for task_name in params.variant(model).stage1.tasks}:
        spec = task(name)
        headline = headline_of(spec)
        first = next(report[name] for report in reports.values() if name in report)
        rows.append(
            [f"`{name}`", str(first["samples"]), f"{headline} {UNITS[KINDS[spec.kind].higher_is_better]}"]
            + [f"{first['trivial_' + headline]:.2f}"]
            + [f"{report[name][headline]:.2f}" if name in report else "-" for report in reports.values()]
        )
    return markdown(["task", "samples", "metric", "trivial guess", *reports], rows)


def transfer_table(params: Params) -> str:
    modes = params.transfer.matrix.mode
    rows = []
    for name in params.transfer.tasks:
        spec = task(name)
        headline = headline_of(spec)
        reports = [read_json(RESULTS / "transfer" / f"{spelled(spec.dataset)}-{mode}.json") for mode in modes]
        trivial = reports[0][name][f"trivial_{headline}"]
        rows.append(
            [f"`{name}`", f"{headline} {UNITS[KINDS[spec.kind].higher_is_better]}", f"{trivial:.2f}"]
            + [f"{r[name][headline]:.2f} ({r['trainable_parameters']:,})" for r in reports]
        )
    return markdown(["transfer to", "metric", "trivial guess", *(f"{m} (parameters trained)" for m in modes)], rows)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def rewrite(params: Params, path: Path = Path("README.md")) -> bool:
    """Replace the block between the markers; return whether the file changed."""
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise FaceptorError(f"{path}: the markers {BEGIN!r} and {END!r} are gone; put them back around the results")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    new = f"{head}{BEGIN}\n\n{block(params)}\n\n{END}{tail}"
    if new == text:
        return False
    write_whole(path, new)
    return True
