"""The sections of `faceptor bench`, in the order in which they run, and the file that they write."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from faceptor.benchmark.bench import Bench, Found
from faceptor.benchmark.cost import cost
from faceptor.benchmark.growth import growth
from faceptor.benchmark.latency import latency
from faceptor.benchmark.machine import describe
from faceptor.benchmark.photo import photo
from faceptor.benchmark.rates import rates
from faceptor.benchmark.stages import stages
from faceptor.benchmark.steps import steps
from faceptor.errors import FaceptorError
from faceptor.io.files import read_json, write_json

MEASURED = {"latency": latency, "rates": rates, "growth": growth, "steps": steps, "photo": photo}
DEFAULT = (*MEASURED, "cost")
SECTIONS = (*DEFAULT, "stages")  # the last runs `make repro`, or reads what it printed


def run(bench: Bench, names: Sequence[str], *, folder: Path | None, log: Path | None = None) -> dict[str, Any]:
    """Measure sections; what was found, with what the file of this machine had before.

    folder: where <kind of machine>.json is written, after every section, so that a stopped run keeps what it has; None
    writes nothing. log: of `make repro`, for `stages`.
    """
    machine = describe(bench.device)
    path = folder / f"{machine['kind']}.json" if folder else None
    before = read_json(path)["sections"] if path and path.is_file() else {}
    sections = dict(before)
    for name in names or DEFAULT:
        bench.say(f"--- {name}")
        sections[name] = _one(bench, name, sections, log).to_json()
        gc.collect()  # a model of one section must not share the memory with that of the next
        if path:
            write_json(path, _whole(machine, bench, sections))
            bench.say(f"written: {path}")
    return _whole(machine, bench, sections)


def _one(bench: Bench, name: str, sections: Mapping[str, Any], log: Path | None) -> Found:
    if name == "cost":
        return cost(bench, sections.get("steps"))
    if name == "stages":
        return stages(bench, log)
    if name not in MEASURED:
        raise FaceptorError(f"bench: section {name!r} is unknown; expected one of {', '.join(SECTIONS)}")
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.device)
    return MEASURED[name](bench)


def _whole(machine: Mapping, bench: Bench, sections: Mapping[str, Any]) -> dict[str, Any]:
    ordered = {name: sections[name] for name in (*SECTIONS, *sections) if name in sections}  # others add theirs
    return {"machine": dict(machine), "toy": bench.quick, "sections": ordered}
