"""The results block of README.md, written from results/*.json by a command, never by hand."""

from pathlib import Path

from faceptor.config import Params
from faceptor.config.sections import spelled
from faceptor.errors import FaceptorError
from faceptor.io.files import RESULTS, read_json
from faceptor.io.writing import write_whole
from faceptor.tasks import KINDS, task

BEGIN, END = "<!-- results: written by `faceptor readme` -->", "<!-- end of results -->"
UNITS = {True: "↑", False: "↓"}


def block(params: Params) -> str:
    """Markdown tables of what the last run of the pipeline measured."""
    details = RESULTS / "evaluate" / "details"
    models = [name for name in params.evaluate.models if (details / f"{name}.json").exists()]
    if not models:
        raise FaceptorError(f"{details}: no results yet; run `make repro`")
    reports = {name: read_json(details / f"{name}.json") for name in models}
    parts = [evaluation_table(reports), transfer_table(params)]
    facts = [(name, report["about"]) for name, report in reports.items()]
    source = (
        f"Seed {facts[-1][1]['seed']}; "
        + ", ".join(f"{name} `{f['model_hash'][:12]}` ({f['parameters']:,} parameters)" for name, f in facts)
        + ". One run on generated faces of unseen identities. In brackets: 95 % intervals over the test samples of "
        "these trained models (bootstrap; pictures of one person together, pairs for verification, images for "
        "parsing); what another seed of training would change is not in them. The constant baseline is the best "
        "constant answer from the training labels. Table rows: `results/evaluate/details/*.json`, "
        "`results/transfer/details/*.json`."
    )
    return "\n\n".join([*parts, source])


def evaluation_table(reports: dict) -> str:
    """Models side by side on the same test faces; "-" where a model has no such task."""
    sizes = [f"{report['about']['parameters'] / 1e6:.2f} M" for report in reports.values()]
    rows = [["parameters", "", "", "", *sizes]]
    tests = {name: row for report in reversed(reports.values()) for name, row in report["tasks"].items()}
    for name in {name: None for report in reports.values() for name in report["tasks"]}:
        row = tests[name]
        told = [with_interval(report["tasks"].get(name), row["headline"]) for report in reports.values()]
        baseline = with_interval(row, f"constant_{row['headline']}")
        rows.append([f"`{name}`", str(row["samples"]), with_arrow(name, row["headline"]), baseline, *told])
    return markdown(["task", "samples", "metric", "constant baseline", *reports], rows)


def transfer_table(params: Params) -> str:
    modes, rows = params.transfer.matrix.mode, []
    for name in params.transfer.tasks:
        files = [f"{spelled(task(name).dataset)}-{mode}.json" for mode in modes]
        reports = [read_json(RESULTS / "transfer" / "details" / file) for file in files]
        for test, row in reports[0]["tasks"].items():
            told = [with_interval(r["tasks"].get(test), row["headline"]) for r in reports]
            counts = [f"{r['trainable_parameters']:,}" for r in reports]
            baseline = with_interval(row, f"constant_{row['headline']}")
            cells = [f"{value} ({count})" for value, count in zip(told, counts, strict=True)]
            rows.append([f"`{test}`", with_arrow(test, row["headline"]), baseline, *cells])
        lost = [r["forgotten"] for r in reports]
        told = [f"{one['skill_lost']:.3f} [{', '.join(f'{end:.3f}' for end in one['interval'])}]" for one in lost]
        rows.append(["skill lost by the old tasks", UNITS[False], "", *told])
    return markdown(["transfer to", "metric", "constant baseline", *(f"{m} (parameters trained)" for m in modes)], rows)


def with_interval(row: dict | None, metric: str) -> str:
    """ "5.80 [5.43, 6.31]"; "-" where there is nothing."""
    if row is None:
        return "-"
    ends = ["?" if end is None else f"{end:.2f}" for end in row["intervals"][metric]]
    return f"{row['metrics'][metric]:.2f} [{', '.join(ends)}]"


def with_arrow(test: str, metric: str) -> str:
    """The metric and which way is better; a test is a task, or `<task>@<dataset>`."""
    return f"{metric} {UNITS[KINDS[task(test.split('@')[0]).kind].higher_is_better]}"


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
