"""`faceptor preprocess`: prepare data sets."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, ParamsFile, chosen, load


def preprocess(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none = all under `datasets`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every data set that lies below `data.root` too.")] = False,
    params: ParamsFile = PARAMS,
):
    """Read a data set in its owner's layout, check it, write prepared shards and a dataset card.

    Example: `faceptor preprocess 300w celeba`
    """
    from faceptor.pipeline import all_datasets
    from faceptor.pipeline.data import preprocess_set

    listed = load(params).params.datasets
    found = all_datasets.load(params) if every else load(params)
    for name in chosen(names, found.params.datasets, "datasets"):
        folder = found.params.data.root / found.params.datasets[name].path
        if not names and name not in listed and not folder.is_dir():
            print(f"{name}: not there ({folder}), left out")
            continue
        card = preprocess_set(found, name)
        counts = ", ".join(f"{split} {count}" for split, count in card["counts"].items())
        print(f"{name}: {counts}; rejected {card['rejects']['count']}")
