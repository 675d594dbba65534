"""The results block of README.md and the page docs/results.md: written from results/ by a command, never by hand."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from faceptor.config.sections import spelled
from faceptor.errors import FaceptorError
from faceptor.io.files import RESULTS, read_json
from faceptor.io.writing import write_whole
from faceptor.pipeline.experiment import Experiment
from faceptor.tasks import KINDS

README, PAGE = Path("README.md"), Path("docs/results.md")
BEGIN, END = "<!-- results: written by `faceptor readme` -->", "<!-- end of results -->"
ARROWS = {True: "↑", False: "↓"}  # which way is better
LINE = 120  # characters

MEANING = (
    "In brackets: 95 % intervals over the test samples of these trained models (bootstrap; pictures of one person "
    "together, pairs for verification, images for parsing); what another seed of training would change is not in them. "
    "The constant baseline is the best constant answer from the training labels."
)
HEAD = f"""# Results

Written by `faceptor readme` from `results/`, which `make repro` fills; do not edit. The short form is in the
[README](../README.md), the terms are in the [glossary](glossary.md).

{textwrap.fill(MEANING, LINE - 2)}
Skill is the share of the way from the constant baseline to a perfect answer."""


@dataclass(frozen=True)
class Found:
    """What the last run measured: model -> details of its evaluation, transfer task -> mode -> details of the transfer,
    task -> verdict on its second stage."""

    models: dict[str, dict]
    transfers: dict[str, dict[str, dict]]
    verdicts: dict[str, dict]


def found(experiment: Experiment) -> Found:
    """Read the results of the stages that params.yaml lists; FaceptorError where no model was evaluated yet."""
    params = experiment.params
    details, train = RESULTS / "evaluate" / "details", RESULTS / "train"
    models = {name: details / f"{name}.json" for name in params.evaluate.models}
    models = {name: read_json(path) for name, path in models.items() if path.exists()}
    if not models:
        raise FaceptorError(f"{details}: no results yet; run `make repro`")
    transfers = {
        name: {
            mode: read_json(RESULTS / "transfer" / "details" / f"{spelled(spec.dataset)}-{mode}.json")
            for mode in params.transfer.matrix.mode
        }
        for name, spec in experiment.specs_of(params.transfer.tasks).items()
    }
    verdicts = {name: train / f"stage2-{name}" / "verdict.json" for name in params.stage2.tasks}
    return Found(models, transfers, {name: read_json(path) for name, path in verdicts.items() if path.exists()})


def block(results: Found) -> str:
    """The README's tables: the headline metric of every test and transfer, and what they were measured on."""
    about = next(iter(results.models.values()))["about"]
    generated = {each["generated"] for each in about["data"].values()}
    faces = " and ".join(name for name, it in (("generated faces", True), ("photographs", False)) if it in generated)
    source = f"Seed {about['seed']}, one run, tested on {faces}. {MEANING} All metrics: [{PAGE}]({PAGE})."
    parts = [tests_table(results.models), transfer_table(results.transfers)]
    return "\n\n".join([part for part in parts if part] + [textwrap.fill(source, LINE, break_on_hyphens=False)])


def page(results: Found) -> str:
    """docs/results.md: everything that was measured."""
    parts = [HEAD, "## Models", models_table(results.models), "## Tests", tests_table(results.models, samples=True)]
    parts += ["## Skill", skill_table(results.models)]
    if results.verdicts:
        parts += ["## Layer-Attention, kept or not", verdict_table(results.verdicts)]
    if results.transfers:
        parts += ["## Transfer", transfer_table(results.transfers, parameters=True)]
    parts.append("## All metrics of every test")
    for test, row in tests_of(results.models).items():
        parts += [f"### `{test}`", metrics_table(test, results.models)]
        parts += [f"* {note}" for note in row.get("notes", ())]
    return "\n\n".join(parts) + "\n"


def tests_of(models: Mapping[str, dict]) -> dict[str, dict]:
    """Every test that any model answers, and its numbers in the first model that does."""
    rows: dict[str, dict] = {}
    for report in models.values():
        for test, row in report["tasks"].items():
            rows.setdefault(test, row)
    return rows


def tests_table(models: Mapping[str, dict], *, samples: bool = False) -> str:
    """Headline metrics of the models side by side on the same test faces; "-" where a model has no such task."""
    rows = []
    for test, row in tests_of(models).items():
        metric = row["headline"]
        told = [with_interval(report["tasks"].get(test), metric) for report in models.values()]
        rows.append([f"`{test}`", with_arrow(test, metric), with_interval(row, f"constant_{metric}"), *told])
        if samples:
            rows[-1].insert(1, str(row["samples"]))
    return table(["test", *(["samples"] if samples else []), "metric", "constant baseline", *models], rows)


def skill_table(models: Mapping[str, dict]) -> str:
    rows = []
    for test in tests_of(models):
        here = [report["tasks"].get(test) for report in models.values()]
        rows.append([f"`{test}`", *(value_of(row, row["skill"], "skill", digits=3) if row else "-" for row in here)])
    return table(["test", *models], rows)


def models_table(models: Mapping[str, dict]) -> str:
    rows = []
    for name, about in ((name, report["about"]) for name, report in models.items()):
        rows.append([name, f"{about['parameters']:,}", str(about["seed"]), f"`{about['model_hash']}`"])
    return table(["model", "parameters", "seed", "hash of the weights"], rows)


def verdict_table(verdicts: Mapping[str, dict]) -> str:
    """The second stage of each task, judged on validation samples that did not choose its step."""
    rows = []
    for name, verdict in verdicts.items():
        judged = ["-"] * 4
        if verdict["judged"]:
            before, after = (f"{verdict[f'skill_stage{stage}']:.3f}" for stage in (1, 2))
            gain = f"{verdict['gain']:.3f} {ends(verdict['interval'], 3)}"
            judged = [str(verdict["samples"]), before, after, gain]
        rows.append([f"`{name}`", *judged, "kept" if verdict["kept"] else "not kept"])
    return table(["task", "samples", "skill before", "skill after", "gain", "verdict"], rows)


def transfer_table(transfers: Mapping[str, dict[str, dict]], *, parameters: bool = False) -> str:
    """Every transfer in its modes, and what it cost the tasks that the model had before; "" without transfers."""
    rows: list[list[str]] = []
    for modes in transfers.values():
        reports = list(modes.values())
        for test, row in reports[0]["tasks"].items():
            metric = row["headline"]
            told = [with_interval(report["tasks"][test], metric) for report in reports]
            rows.append([f"`{test}`", with_arrow(test, metric), with_interval(row, f"constant_{metric}"), *told])
        lost = [report["forgotten"] for report in reports]
        told = [f"{each['skill_lost']:.3f} {ends(each['interval'], 3)}" for each in lost]
        rows.append(["skill lost by the old tasks", ARROWS[False], "", *told])
        if parameters:
            rows.append(["parameters trained", "", "", *(f"{each['trainable_parameters']:,}" for each in reports)])
    header = list(next(iter(transfers.values()), ()))
    return table(["transfer to", "metric", "constant baseline", *header], rows) if rows else ""


def metrics_table(test: str, models: Mapping[str, dict]) -> str:
    """Every metric of a test; percent, years or degrees, as the docstring of its kind says."""
    here = {name: report["tasks"][test] for name, report in models.items() if test in report["tasks"]}
    names = {metric: None for row in here.values() for metric in row["metrics"]}
    rows = [
        [f"`{metric}`", *(with_interval(row if metric in row["metrics"] else None, metric) for row in here.values())]
        for metric in names
    ]
    return table(["metric", *here], rows)


def with_interval(row: dict | None, metric: str) -> str:
    """ "5.80 [5.43, 6.31]"; "-" where there is nothing."""
    return "-" if row is None else value_of(row, row["metrics"][metric], metric)


def value_of(row: dict, value: float, name: str, *, digits: int = 2) -> str:
    interval = row["intervals"].get(name)
    return f"{value:.{digits}f}" + (f" {ends(interval, digits)}" if interval else "")


def ends(interval: list, digits: int) -> str:
    """ "[5.43, 6.31]"; "?" for an end that too few samples tell."""
    return f"[{', '.join('?' if end is None else f'{end:.{digits}f}' for end in interval)}]"


def with_arrow(test: str, metric: str) -> str:
    """The metric and which way is better; a test is called `<kind>_<dataset>`, or so and `@<dataset>`."""
    return f"{metric} {ARROWS[KINDS[test.split('_')[0]].higher_is_better]}"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows))


def between_markers(text: str, new: str, path: Path = README) -> str:
    """`text` with what stands between the markers replaced."""
    if BEGIN not in text or END not in text:
        raise FaceptorError(f"{path}: the markers {BEGIN!r} and {END!r} are gone; put them back around the results")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n\n{new}\n\n{END}{rest.split(END, 1)[1]}"


def rewrite(experiment: Experiment) -> list[Path]:
    """Write the README's block and the page of results; return the files that changed."""
    results = found(experiment)
    wanted = {README: between_markers(README.read_text(), block(results)), PAGE: page(results)}
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, wanted[path])
    return changed
