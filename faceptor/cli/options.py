"""Options that several verbs have, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceptor.config.sections import unspelled
from faceptor.errors import FaceptorError

if TYPE_CHECKING:
    from faceptor.pipeline.experiment import Experiment

PARAMS = Path("params.yaml")
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def load(path: Path, *, every: bool = False) -> Experiment:
    """The experiment of a parameter file; every: with each data set that has a reader."""
    from faceptor.pipeline import experiment

    if not every:
        return experiment.load(path)
    from faceptor.config import load_params
    from faceptor.pipeline.all_datasets import with_every_data_set

    return experiment.resolve(with_every_data_set(load_params(path)), origin=str(path))


def in_processes(experiment: Experiment, arguments: list[str], device: str) -> bool:
    """Whether `train.processes` is more than 1 and they have done, by now, what `faceptor <arguments>` asks for."""
    settings = experiment.params.train
    if settings.processes == 1:
        return False
    from faceptor.pipeline.launch import launched

    return launched(settings, arguments, device=device)


def chosen(names: list[str] | None, known: Iterable[str], section: str) -> list[str]:
    """The data sets asked for, none = all; one that the section does not have is an error."""
    names = [unspelled(name) for name in names or []]
    for name in names:
        if name not in known:
            raise FaceptorError(f"{section} in params.yaml has no {name!r}; expected one of {', '.join(known)}")
    return names or list(known)
