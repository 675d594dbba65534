"""`faceptor budget`: parameters, work and memory of the presets and of params.yaml, as tables to read or JSON."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, ParamsFile, as_json, wide_console

Presets = Annotated[
    list[str] | None,
    typer.Argument(help="Presets to show in detail; none = all of them side by side, and params.yaml if it differs."),
]
PresetOption = Annotated[
    list[str] | None, typer.Option("--preset", "-p", help="The same as an argument; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines: everything there is, in plain units.")]
Conventions = Annotated[bool, typer.Option("--conventions", help="Ways of counting GFLOPs, beside the printed ones.")]


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave out Python's search for cycles of garbage, a quarter of this verb's time, also when the process ends."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@uncollected()
def budget_command(
    presets: Presets = None,
    preset: PresetOption = None,
    json: Json = False,
    params: ParamsFile = PARAMS,
    conventions: Conventions = False,
) -> None:
    """Count what a model costs, without building its weights: parameters, work (MACs) and memory of activations, by
    component and by task, beside the figures that the papers print.

    Without a name: all presets side by side. Named presets are taken apart as well.

    MAC: a multiplication with its addition, 2 FLOPs, in products, convolutions and attention. G is 10^9.

    Kept: float32 bytes that the forward half of a training step holds for backward, without losses.

    Peak: the most activation bytes alive while one image is answered. Weights come on top of both.

    All tasks together take one call per input size.

    Example: `faceptor budget base naive facexformer`, `faceptor budget --preset full --json`,
    `faceptor budget --conventions`
    """
    if conventions:
        show_conventions(json=json)
        return
    from faceptor.analysis import comparison
    from faceptor.pipeline import experiment

    named = list(dict.fromkeys([*(presets or ()), *(preset or ())]))
    configured = experiment.side_by_side(named, file=params)
    found = comparison.reports(configured, alone=None if named or json else ())
    if json:
        print(as_json(found))
        return
    for name, facts in found.items() if named else ():
        show_parts(name, facts)
    show_comparison(found, comparison.growth(configured) if not named else None)
    if not named:
        print(f"Name presets to take them apart: faceptor budget {next(iter(found))}")


def show_conventions(*, json: bool, nearest: int = 6) -> None:
    """Ways of counting, the nearest to each printed figure; all of them as JSON. Takes half a minute."""
    from faceptor.analysis import conventions, paper
    from faceptor.pipeline import experiment

    counts = conventions.all_counts(experiment.preset("base"), experiment.preset("facexformer"))
    if json:
        found = {"counts": [count.as_dict() for count in counts], "other_tools": paper.GIGA_BY_TOOL}
        print(as_json(found))
        return
    console = wide_console()
    for model in dict.fromkeys(count.model for count in counts):
        mine = conventions.nearest(counts, model, most=nearest)
        title = f"{model}: {mine[0].printed} printed ({paper.GFLOPS_WHERE}), the nearest ways of counting"
        table = _table(
            title, "tasks", "calls", "input", "fused attention", "unit", "10^9", text=("calls", "input", "unit")
        )
        for count in mine:
            mark = "[green]=[/]" if count.reproduces else "[yellow]≠[/]"
            seen = "counted" if count.attention else "unseen"
            table.add_row(count.tasks, count.calls, count.size, seen, count.unit, f"{count.giga:,.1f} {mark}")
        console.print(table)
        if not any(count.reproduces for count in mine):
            console.print(f"None of {sum(count.model == model for count in counts)} ways gives {mine[0].printed}.\n")
    console.print(f"{paper.GFLOPS_CAUTION}.")


def show_parts(name: str, facts: dict) -> None:
    """One configuration: its components with their parts, its tasks, and what comes on top."""
    console = wide_console()
    console.print(_component_table(name, facts))
    console.print(_task_table(facts))
    for task, count in facts["training_only"].items():
        console.print(f"training only, not counted: classifier of {task}, {count:,} parameters")
    levels = ", ".join(f"{mode} {count:,}" for mode, count in facts["layer_attention_per_task"].items())
    if levels:
        console.print(f"Layer-Attention would add per task: {levels} parameters")
    for call in facts["compute"]["passes"]:
        console.print(f"one call at {call['size']} px answers {', '.join(call['tasks'])}")
    console.print()


def show_comparison(found: dict[str, dict], growth=None) -> None:
    """Configurations side by side, what more tasks add to them, and what is printed about them."""
    from faceptor.analysis.comparison import remarks

    console = wide_console()
    if len(found) > 1:
        console.print(_side_by_side(found))
    if growth:
        console.print(_growth_table(growth))
    if any(facts["printed"] for facts in found.values()):
        console.print(_printed_table(found))
    for remark in remarks(found):
        console.print(remark)


def _table(title: str, first: str, *columns: str, text: tuple[str, ...] = ()):
    """A table below its title; the first column and those of `text` are text, the others are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column in text else "right", no_wrap=column not in text)
    return table


def _component_table(name: str, facts: dict):
    work, step = facts["compute"]["passes"], facts["compute"]["training_step"]
    images = sum(step["samples"].values())
    sizes = [f"GMACs, {call['size']} px" for call in work]
    table = _table(
        f"{name}: parameters, work of one image, what a training step of {images} images keeps",
        "component", "parameters", *sizes, "MB kept",
    )  # fmt: skip
    used = [*facts["components"], *(part for call in work for part in call["components"]), *step["components"]]
    for component in dict.fromkeys(used):
        counts = [call["components"].get(component, 0) / 1e9 for call in work]
        kept = step["components"].get(component, 0) / 1e6
        cells = [f"{facts['components'].get(component, 0):,}", *(f"{count:,.3f}" for count in counts), f"{kept:,.1f}"]
        table.add_row(component, *cells, style="bold")
        for part, size in facts["parts"].get(component, {}).items():
            table.add_row(f"  {part}", f"{size:,}")
    table.add_section()
    macs = [f"{call['macs'] / 1e9:,.3f}" for call in work]
    table.add_row("total", f"{facts['total']:,}", *macs, f"{step['saved_bytes'] / 1e6:,.1f}", style="bold")
    table.add_row("  float32 weights", f"{facts['megabytes']:,.1f} MB")
    table.add_row("  peak of one image", "", *(f"{call['peak_bytes'] / 1e6:,.1f} MB" for call in work))
    return table


def _task_table(facts: dict):
    work = facts["compute"]
    title = "what a task owns (kB, and kB where it is the first of its kind), and what it costs alone"
    table = _table(title, "task", "labels", "own kB", "kind kB", "px", "GMACs", "MB kept")
    for task, row in facts["tasks"].items():
        cost = work["tasks"][task]
        table.add_row(
            task,
            str(row["labels"]),
            f"{row['kilobytes']:,.1f}",
            f"{row['kilobytes_with_kind']:,.1f}",
            str(cost["size"]),
            f"{cost['macs'] / 1e9:,.3f}",
            f"{cost['saved_bytes'] / 1e6:,.1f}",
        )
    table.add_section()
    table.add_row("all, one by one", *[""] * 4, f"{work['macs_one_by_one'] / 1e9:,.3f}")
    table.add_row("all, a call per px", *[""] * 4, f"{work['macs'] / 1e9:,.3f}")
    return table


SHORT = {  # column of `comparison.side_by_side` -> its head where width is scarce
    "tasks": "tasks",
    "input, px": "px",
    "parameters, M": "M",
    "GMACs": "GMACs",
    "GFLOPs": "GFLOPs",
    "inference peak, MB": "peak MB",
    "step, images": "images",
    "step keeps, GB": "kept GB",
}


def _side_by_side(found: dict[str, dict]):
    from faceptor.analysis.comparison import side_by_side

    title = "side by side: parameters; all tasks about one image; a training step of so many images"
    table = _table(title, "preset", *SHORT.values())
    for name, row in side_by_side(found).items():
        table.add_row(name, *(row[key] if isinstance(row[key], str) else _number(row[key]) for key in SHORT))
    return table


def _growth_table(growth):
    presets = sorted({row["preset"] for row in growth})
    table = _table("kB of weights that each task adds, in this order", "task", *presets)
    brought = {(row["preset"], row["task"]): row["kilobytes"] for row in growth if row["tasks"]}
    for task in dict.fromkeys(task for _, task in brought):
        table.add_row(task, *(f"{brought[name, task]:,.1f}" for name in presets))
    return table


def _printed_table(found: dict[str, dict]):
    columns = ("what", "ours", "printed", "difference", "unit", "where")
    table = _table("beside what is printed", "preset", *columns, text=("what", "unit", "where"))
    for name, facts in found.items():
        for row in facts["printed"]:
            mark = "[green]=[/]" if row["agrees"] else "[yellow]≠[/]"
            table.add_row(
                name, row["what"].replace("_", " "), f"{row['ours']:,.3f}", f"{row['printed']:,} {mark}",
                f"{row['difference']:+,.3f}", row["unit"], row["where"],
            )  # fmt: skip
        if facts["printed"]:
            table.add_section()
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}" if value < 10 else f"{value:,.1f}"
