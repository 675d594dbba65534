"""`faceptor bench`: what the models cost on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceptor.cli.options import Device, Json, as_json

FOLDER = Path("results/bench")

Sections = Annotated[
    list[str] | None,
    typer.Argument(
        help="latency, rates, growth, steps, photo, cost; none = all of these. stages only where it is named."
    ),
]
Presets = Annotated[list[str] | None, typer.Option("--preset", "-p", help="May be repeated; none = base and others.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds of every comparison at most; three are done even so.")]
Seconds = Annotated[float, typer.Option(min=0, help="Seconds after which a comparison begins no further round.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of a CPU; 0 = one for each core.")]
Quick = Annotated[bool, typer.Option("--quick", help="Toy sizes, which test this program and measure nothing.")]
Compiled = Annotated[bool, typer.Option("--compiled", help="Through torch.compile, too (minutes on a CPU).")]
Log = Annotated[Path | None, typer.Option(help="For stages: what `make repro` printed, instead of a run in a copy.")]
Out = Annotated[Path | None, typer.Option(help="Folder of <machine>.json [results/bench; with --quick: none].")]


def bench(
    sections: Sections = None,
    preset: Presets = None,
    rounds: Rounds = 7,
    seconds: Seconds = 40.0,
    threads: Threads = 0,
    device: Device = "auto",
    quick: Quick = False,
    compiled: Compiled = False,
    log: Log = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure latency, FLOP/s, growth with tasks, training steps, a photograph and what a paper's training would cost,
    as ratios of things that were called in turns, each with its interval.

    Writes results/bench/<machine>.json after every section; sections that are not run keep what is there. Models have
    random weights and pictures are drawn, so no data are needed. All of it takes a quarter of an hour on two cores.

    Example: `faceptor bench`, `faceptor bench latency --preset base`, `faceptor bench stages --log repro.txt`
    """
    import sys
    from functools import partial

    import torch

    from faceptor.analysis.bench_tables import summary_lines
    from faceptor.benchmark.bench import Bench
    from faceptor.benchmark.machine import cores
    from faceptor.benchmark.sections import run
    from faceptor.pipeline.device import pick_device

    torch.set_num_threads(threads or cores())
    how = Bench(
        device=pick_device(device),
        presets=tuple(preset or ()),
        rounds=rounds,
        seconds=seconds,
        quick=quick,
        compiled=compiled,
        say=partial(print, file=sys.stderr, flush=True),
    )
    found = run(how, sections or [], folder=out or (None if quick else FOLDER), log=log)
    print(as_json(found) if json else "\n".join(summary_lines(found)))
