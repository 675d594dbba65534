"""`faceptor params`: write a preset, check params.yaml, say what it does otherwise than a preset or the paper."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Json, ParamsFile, as_json, load, wide_console

params_app = typer.Typer(
    no_args_is_help=True, help="Show, check or switch `params.yaml`.\n\nExample: `faceptor params use base`"
)

Preset = Annotated[str | None, typer.Argument(help="The preset; none = the one that params.yaml is nearest to.")]
Paper = Annotated[bool, typer.Option("--paper", help="Compare with the paper: where it departs, and why.")]


@params_app.command("use")
def params_use(
    preset: Annotated[str, typer.Argument(help="embedded, base, full, naive, ...")],
    params: ParamsFile = PARAMS,
):
    """Rewrite params.yaml with a preset, complete; Git shows the difference.

    Example: `faceptor params use base`
    """
    from faceptor.config import load_preset, preset_text
    from faceptor.io.writing import write_whole

    load_preset(preset)
    write_whole(params, preset_text(preset))
    print(f"{params} now holds the preset {preset!r}")


@params_app.command("check")
def params_check(params: ParamsFile = PARAMS):
    """Validate params.yaml and say which preset it equals, and whether the weights that trainings start from are there.

    `model.init: released` must name a file of weights; one that is not there yet is told, and training refuses it.

    Example: `faceptor params check`
    """
    from faceptor.config import load_preset, preset_names
    from faceptor.pipeline.patterns import check_patterns
    from faceptor.pipeline.starting_weights import missing_weights
    from faceptor.pipeline.variants import Variants

    found = load(params)
    check_patterns(found)
    Variants.of(params).check()
    absent = missing_weights(found.params)
    same = [name for name in preset_names() if load_preset(name) == found.params]
    print(f"{params}: valid" + (f", equals preset {same[0]}" if same else ", differs from every preset"))
    for line in absent:
        print(f"not there yet: {line}")


@params_app.command("diff")
def params_diff(preset: Preset = None, paper: Paper = False, json: Json = False, params: ParamsFile = PARAMS) -> None:
    """Say what params.yaml does otherwise than a preset, key by key.

    With --paper: every place where a preset (with no name: params.yaml) does otherwise than its paper prints, or had to
    choose where the paper is silent or can be read in two ways.

    Example: `faceptor params diff base`, `faceptor params diff base --paper`
    """
    from faceptor.analysis import protocols
    from faceptor.config import load_preset

    named = load_preset(preset) if preset else None
    own = None if paper and named else load(params).params
    name = preset or protocols.nearest(own)
    if paper:
        _tell_paper(name, own, title=name if named else f"{params} (as {name})", json=json)
        return
    found = protocols.differences(own, named or load_preset(name))
    if json:
        differing = [{"key": key, "params": ours, "preset": theirs} for key, (ours, theirs) in found.items()]
        print(as_json({"preset": name, "differences": differing}))
        return
    if not found:
        print(f"{params}: no difference from preset {name}")
    for key, (ours, theirs) in found.items():
        print(f"{key}: {protocols.shown(ours)} (preset {name}: {protocols.shown(theirs)})")


def _tell_paper(preset: str, own, *, title: str, json: bool) -> None:
    """own: the parameters of a file, judged by that preset's paper; None: the preset itself."""
    from faceptor.analysis import protocols

    rows = protocols.departures(preset, own)
    otherwise = {item.key for item in protocols.not_as_printed(preset, own).values()}
    printed = len(protocols.printed(preset))
    held = printed - len(otherwise)
    if json:
        told = {"preset": preset, "printed_and_held": held, "rows": [row.as_dict() for row in rows]}
        print(as_json(told))
    else:
        _show_paper(title, rows, held, printed)


KINDS = {"departs": "otherwise than printed", "silent": "not printed", "reading": "can be read in two ways"}


def _show_paper(name: str, rows, held: int, printed: int) -> None:
    from rich import box
    from rich.table import Table

    from faceptor.analysis.protocols import compact

    console = wide_console()
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
