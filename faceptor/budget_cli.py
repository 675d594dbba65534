"""`faceptor budget`: parameters of the presets and of params.yaml, as tables to read or JSON."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

Presets = Annotated[
    list[str] | None, typer.Argument(help="Presets; none = all of them, and params.yaml if it differs.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.")]


def budget_command(preset: Presets = None, json: Json = False, params: ParamsFile = Path("params.yaml")) -> None:
    """Count the parameters of a model by component and task, without building its weights.

    Example: `faceptor budget base --json`
    """
    from faceptor.analysis.budget import configurations, summary

    summaries = {name: summary(values) for name, values in configurations(preset or (), file=params).items()}
    if json:
        print(jsonlib.dumps(summaries, indent=2))
    else:
        show(summaries)


def show(summaries: dict[str, dict]) -> None:
    """One table of components per configuration, one of tasks beside it."""
    from rich.columns import Columns
    from rich.console import Console

    console = Console()
    for name, facts in summaries.items():
        console.print(Columns([_component_table(name, facts), _task_table(facts)], padding=(0, 3)))
        for task, count in facts["training_only"].items():
            console.print(f"training only, not counted: classifier of {task}, {count:,}")
        levels = ", ".join(f"{mode} {count:,}" for mode, count in facts["layer_attention_per_task"].items())
        console.print(f"Layer-Attention would add per task: {levels}\n")


def _component_table(name: str, facts: dict):
    from rich.table import Table

    table = Table(title=name, title_justify="left", title_style="bold")
    table.add_column("component")
    table.add_column("parameters", justify="right")
    for component, count in facts["components"].items():
        table.add_row(f"[bold]{component}", f"[bold]{count:,}")
        for part, size in facts["parts"][component].items():
            table.add_row(f"  {part}", f"{size:,}")
    table.add_section()
    table.add_row("[bold]total", f"[bold]{facts['total']:,}")
    table.add_row("  float32 weights", f"{facts['megabytes']:,.1f} MB")
    return table


def _task_table(facts: dict):
    from rich.table import Table

    table = Table(title="what a task owns", title_justify="left")
    table.add_column("task")
    for column in ("queries", "parameters", "kB"):
        table.add_column(column, justify="right")
    for task, row in facts["tasks"].items():
        table.add_row(task, str(row["queries"]), f"{row['parameters']:,}", f"{row['kilobytes']:,.1f}")
    return table
