"""`faceptor synthesize`: generate faces."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, ParamsFile, chosen, load


def synthesize(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none = all under `synthesis`.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 = all cores.")] = 0,
    every: Annotated[bool, typer.Option("--all", help="Every data set, a few faces where no line says more.")] = False,
    params: ParamsFile = PARAMS,
):
    """Generate faces in the published layout of a data set, below `data.root`.

    Example: `faceptor synthesize 300w`
    """
    from faceptor.pipeline import all_datasets
    from faceptor.pipeline.data import sheet_of, synthesize_set

    found = all_datasets.load(params) if every else load(params)
    for name in chosen(names, found.params.synthesis, "synthesis"):
        counts = synthesize_set(found, name, workers=workers)
        told = ", ".join(f"{key} {value}" for key, value in counts.items())
        print(f"{name}: {told}; some of them, with their labels: {sheet_of(name)}")
