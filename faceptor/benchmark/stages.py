"""(e) How long the stages of `make repro` take: from its output, or from a run in a fresh copy of this checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from faceptor.benchmark.bench import Bench, Found
from faceptor.errors import FaceptorError

DONE = re.compile(r"^(?P<stage>[\w@.-]+): done after (?P<seconds>\d+) s$")  # a line of `faceptor repro`


def stages(bench: Bench, log: Path | None) -> Found:
    """Seconds of every stage. log: what a run of `make repro` printed; None runs it in a copy, which takes its time."""
    lines = log.read_text().splitlines() if log else list(_repro(bench))
    found = Found()
    for stage, seconds in stage_times(lines).items():
        found.row(subject=stage, seconds=seconds)
    if not found.rows:
        where = log or "faceptor repro"
        raise FaceptorError(f"{where}: expected lines as 'stage: done after 12 s', found none; did a stage run?")
    found.facts["seconds of all stages"] = sum(row["seconds"] for row in found.rows)
    return found


def stage_times(lines: Iterable[str]) -> dict[str, int]:
    """Stage -> seconds, the longest first."""
    times = {match["stage"]: int(match["seconds"]) for line in lines if (match := DONE.match(line.strip()))}
    return dict(sorted(times.items(), key=lambda each: -each[1]))


def _repro(bench: Bench) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        subprocess.run(["git", "clone", "--quiet", "--local", ".", str(copy)], check=True)
        command = [sys.executable, "-m", "faceptor", "repro"]
        variables = os.environ | {"PYTHONPATH": str(copy)}
        with subprocess.Popen(command, cwd=copy, env=variables, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                bench.say(line.rstrip())
                yield line
        if process.returncode:
            raise FaceptorError(f"faceptor repro in a copy of this checkout: exit code {process.returncode}; see above")
