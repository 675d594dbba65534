"""How far a long verb is, on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

FEW = 3  # that need no progress
SECONDS_BETWEEN_LINES = 30.0

Thing = TypeVar("Thing")


def watched(things: Iterable[Thing], *, total: int | None, what: str) -> Iterator[Thing]:
    """The same things, with what has been done, how fast, and about how long the rest takes; total: None = unknown."""
    if total is not None and total <= FEW:
        yield from things
    elif sys.stderr.isatty():
        yield from _bar(things, total, what)
    else:
        yield from _lines(things, total, what)


def _bar(things: Iterable[Thing], total: int | None, what: str) -> Iterator[Thing]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=60) as progress:
        task = progress.add_task(what, total=total, rate="")
        for thing in things:
            speed = progress.tasks[0].speed
            progress.update(task, advance=1, rate=f"{speed:.1f}/s" if speed else "")
            yield thing


def _lines(things: Iterable[Thing], total: int | None, what: str) -> Iterator[Thing]:
    start = told = time.monotonic()
    for done, thing in enumerate(things, start=1):
        yield thing
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            print(line(done, total, now - start, what), file=sys.stderr, flush=True)


def line(done: int, total: int | None, seconds: float, what: str) -> str:
    """ "120 of 1,000 photographs, 4.0/s, about 3 min 40 s left" """
    rate = done / max(seconds, 1e-9)
    if total is None or total < done:
        return f"{done:,} {what}, {rate:.1f}/s"
    return f"{done:,} of {total:,} {what}, {rate:.1f}/s, about {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
