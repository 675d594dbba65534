"""Measure on a GPU what this project aims at there: at most five minutes, each section on its own.

    python tools/gpu_check.py                       # everything, into results/bench/gpu-<name>.json
    python tools/gpu_check.py --only step --only face
    python tools/gpu_check.py --cpu-dry-run         # every section at toy size on a CPU, which tests this program

A section that fails is named at the end, and the others run; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

say = partial(print, file=sys.stderr, flush=True)
LIMIT = 300.0  # seconds after which no further section begins


def main(arguments: list[str] | None = None) -> int:
    """Run sections; 0 where none failed."""
    import torch

    from faceptor.benchmark.bench import Bench, Found
    from faceptor.benchmark.gpu import SECTIONS
    from faceptor.benchmark.machine import describe
    from faceptor.io.files import RESULTS, read_json, write_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*SECTIONS], help="a section; may be repeated")
    parser.add_argument("--cpu-dry-run", action="store_true", help="toy sizes on the CPU")
    parser.add_argument("--out", type=Path, help="folder of the JSON file [results/bench; a dry run writes none]")
    parser.add_argument("--seconds", type=float, default=6.0, help="for every comparison [6]")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which no section begins [300]")
    given = parser.parse_args(arguments)
    if not given.cpu_dry_run and not torch.cuda.is_available():
        print("no GPU here; --cpu-dry-run runs every section at toy size", file=sys.stderr)
        return 2

    device = torch.device("cpu" if given.cpu_dry_run else "cuda")
    bench = Bench(device, rounds=15, seconds=given.seconds, quick=given.cpu_dry_run, say=say)
    machine = describe(device)
    folder = given.out or (None if given.cpu_dry_run else ROOT / RESULTS / "bench")
    path = folder / f"{machine['kind']}.json" if folder else None
    whole = read_json(path) if path and path.is_file() else {"machine": machine, "toy": bench.quick, "sections": {}}
    before = Found().to_json() | whole["sections"].get("gpu", {})
    failed = _sections(bench, given.only or [*SECTIONS], limit=given.limit, before=before)
    whole["machine"], whole["sections"]["gpu"] = machine, before
    if path:
        write_json(path, whole)
        say(f"written: {path}")
    for name, value in before["ratios"].items():
        print(f"{name}: {value['median']:.4g} [{value['low']:.4g}, {value['high']:.4g}], {value['rounds']} rounds")
    for name, value in before["facts"].items():
        print(f"{name}: {value}")
    print(f"failed: {', '.join(failed)}" if failed else "no section failed")
    return 1 if failed else 0


def _sections(bench, names: list[str], *, limit: float, before: dict) -> list[str]:
    """Run them, add what they find to `before`, and return those that failed or were not begun."""
    from faceptor.benchmark.bench import Found
    from faceptor.benchmark.gpu import SECTIONS

    failed, began = [], time.monotonic()
    for name in names:
        if time.monotonic() - began > limit:
            failed.append(f"{name} (not begun after {limit:.0f} s)")
            continue
        say(f"--- {name}")
        found = Found()
        try:
            SECTIONS[name](bench, found)
        except Exception as error:  # the other sections go on
            traceback.print_exc()
            failed.append(f"{name} ({type(error).__name__}: {str(error)[:200]})")
        new = found.to_json()
        before["rows"] = [row for row in before["rows"] if row.get("section") != name]
        before["rows"] += [{"section": name, **row} for row in new["rows"]]
        before["ratios"] |= new["ratios"]
        before["facts"] |= new["facts"]
    return failed


if __name__ == "__main__":
    sys.exit(main())
