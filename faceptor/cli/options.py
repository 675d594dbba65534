"""Options that several verbs have, and what they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceptor.config.sections import unspelled
from faceptor.errors import FaceptorError

if TYPE_CHECKING:
    from faceptor.pipeline.experiment import Experiment

NARROWEST = 100  # characters that the tables need; a narrower terminal wraps them, which loses no digit
PARAMS = Path("params.yaml")
ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def load(path: Path) -> Experiment:
    """The experiment of a parameter file."""
    from faceptor.pipeline import experiment

    return experiment.load(path)


def as_json(value: Any) -> str:
    """What `--json` prints."""
    return json.dumps(value, indent=2)


def wide_console():
    """A console for tables of numbers, which are not broken where the terminal is narrow."""
    from rich.console import Console

    return Console(width=max(Console().width, NARROWEST), highlight=False)


def chosen(names: list[str] | None, known: Iterable[str], section: str) -> list[str]:
    """The data sets asked for, none = all; one that the section does not have is an error."""
    names = [unspelled(name) for name in names or []]
    for name in names:
        if name not in known:
            raise FaceptorError(f"{section} in params.yaml has no {name!r}; expected one of {', '.join(known)}")
    return names or list(known)
