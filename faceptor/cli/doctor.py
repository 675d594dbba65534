"""`faceptor doctor`, `faceptor doctor data`, `faceptor doctor model`: parse, examine, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Json, ParamsFile, as_json, load

doctor_app = typer.Typer(
    invoke_without_command=True,
    help="Say what is in place and what is missing: packages, GPU, DVC remote, data sets; see also the verbs below."
    "\n\n"
    "Example: `faceptor doctor`, `faceptor doctor data --root /data/faces`",
)


@doctor_app.callback()
def machine(context: typer.Context, params: ParamsFile = PARAMS, json: Json = False) -> None:
    if context.invoked_subcommand is not None:
        return
    from faceptor.datasets import reader_class
    from faceptor.doctor.machine import DatasetPlace, examine, show
    from faceptor.pipeline.starting_weights import model_sections

    config = load(params).params
    places = {
        name: DatasetPlace(
            folder=config.data.root / block.path,
            prepared=config.prepared(name),
            reader=reader_class(block.reader or name, key=name),
        )
        for name, block in config.datasets.items()
    }
    facts = examine(models=model_sections(config), datasets=places)
    if json:
        print(as_json(facts))
    else:
        show(facts)


@doctor_app.command("data")
def data(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none = all that have a reader.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that holds the data sets; none = data.root.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Open and decode every sample, as preprocess would.")] = False,
    seconds: Annotated[float, typer.Option(help="For a quick look at all data sets together.", min=1)] = 60.0,
    params: ParamsFile = PARAMS,
    json: Json = False,
) -> None:
    """Look at the data sets on a disk: found, incomplete or absent, and what is wrong, with file and line.

    Read by the same readers, with the same options, as `faceptor preprocess`; nothing is written. Exit code 1 if
    something is wrong with a data set that params.yaml lists, or that was named here.

    Example: `faceptor doctor data --root /data/faces`
    """
    from faceptor.doctor.data import examine_data
    from faceptor.doctor.show import console, data_report

    shown = console()
    settings = {"root": root, "names": names or (), "deep": deep, "seconds": seconds}
    if json or not shown.is_terminal:
        facts = examine_data(load(params).params, **settings)
    else:
        with shown.status("looking", spinner="dots") as status:

            def progress(name: str, split: str, count: int) -> None:
                status.update(f"{name}: {split} {count:,}")

            facts = examine_data(load(params).params, progress=progress, **settings)
    if json:
        print(as_json(facts))
    else:
        for part in data_report(facts):
            shown.print(part)
    if not facts["summary"]["ok"]:
        raise typer.Exit(1)


@doctor_app.command("model")
def model(
    folder: Annotated[Path, typer.Argument(help="A model folder, e.g. models/stage2.")],
    json: Json = False,
) -> None:
    """Say what a model answers, how a face becomes the input of every task, its input statistics, licence and hash.

    The weights are loaded and checked against their hash. `faceptor predict` and `faceptor.predict` crop by exactly
    what is printed here, for detected and for given boxes.

    Example: `faceptor doctor model models/stage2`
    """
    from faceptor.doctor.model import examine_model
    from faceptor.doctor.show import console, model_report

    facts = examine_model(folder)
    if json:
        print(as_json(facts))
        return
    shown = console()
    for part in model_report(facts):
        shown.print(part)
