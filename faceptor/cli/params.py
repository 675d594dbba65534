"""`faceptor params diff`: what params.yaml does otherwise than a preset, and a preset otherwise than its paper."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

NARROWEST = 100  # characters that the table needs; a narrower terminal wraps it

Preset = Annotated[str | None, typer.Argument(help="The preset; none = the one that params.yaml is nearest to.")]
Paper = Annotated[bool, typer.Option("--paper", help="Compare with the paper: where it departs, and why.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.")]


def params_diff(
    preset: Preset = None, paper: Paper = False, json: Json = False, params: ParamsFile = Path("params.yaml")
) -> None:
    """Say what params.yaml does otherwise than a preset, key by key.

    With --paper: every place where a preset (with no name: params.yaml) does otherwise than its paper prints, or had to
    choose where the paper is silent or can be read in two ways.

    Example: `faceptor params diff base`, `faceptor params diff base --paper`
    """
    from faceptor.analysis import protocols
    from faceptor.config import load_preset
    from faceptor.pipeline import experiment

    named = load_preset(preset) if preset else None
    own = None if paper and named else experiment.load(params).params
    name = preset or protocols.nearest(own)
    if paper:
        rows = protocols.departures(name, None if named else own)
        held = len(protocols.printed(name)) - len({item.key for item in protocols.not_as_printed(name, own).values()})
        if json:
            print(
                jsonlib.dumps(
                    {"preset": name, "printed_and_held": held, "rows": [row.as_dict() for row in rows]}, indent=2
                )
            )
        else:
            _show_paper(name if named else f"{params} (as {name})", rows, held, len(protocols.printed(name)))
        return
    found = protocols.differences(own, named or load_preset(name))
    if json:
        differing = [{"key": key, "params": ours, "preset": theirs} for key, (ours, theirs) in found.items()]
        print(jsonlib.dumps({"preset": name, "differences": differing}, indent=2))
        return
    if not found:
        print(f"{params}: no difference from preset {name}")
    for key, (ours, theirs) in found.items():
        print(f"{key}: {protocols.shown(ours)} (preset {name}: {protocols.shown(theirs)})")


KINDS = {"departs": "otherwise than printed", "silent": "not printed", "reading": "can be read in two ways"}


def _show_paper(name: str, rows, held: int, printed: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from faceptor.analysis.protocols import compact

    console = Console(width=max(Console().width, NARROWEST), highlight=False)
    console.print(f"{name}: {held} of {printed} values that the paper prints are kept", soft_wrap=True)
    for kind, title in KINDS.items():
        chosen = [row for row in rows if row.kind == kind]
        if not chosen:
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_lines=True)
        for column, ratio in (("topic", 3), ("the paper says", 5), ("here", 6), ("why", 6)):
            table.add_column(column, ratio=ratio, overflow="fold")
        for row in chosen:
            here = row.ours.get("") or "\n".join(compact(row.ours))
            table.add_row(row.topic, row.paper, here, row.why)
        console.print(table)
