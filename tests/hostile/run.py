"""Damage small data sets in many ways, prepare every damaged copy, and tell what came of it.

>>> python -m tests.hostile.run --inputs 1000 --reader 300w --json hostile.json

Each reader runs in a process of its own with bounded memory, so that a crash or an endless loop is counted and the rest
goes on. Inputs are numbered: `--first 17 --inputs 1 --verbose` repeats the 18th alone. The exit status tells failures.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.hostile.bases import BASES
from tests.hostile.judge import Judge
from tests.hostile.mutations import mutate
from tests.hostile.outcome import prepared

PATIENCE = 120  # seconds for one input
ROOM = 6 << 30  # bytes of memory that a process may hold in all, so that a failure does not take the machine along
KINDS = ("kept", "rejected", "refused", "failed")


@dataclass(frozen=True)
class Verdict:
    """What came of one input: all samples kept, some rejected, all refused, or failed, and why."""

    reader: str
    base: str
    number: int
    damage: str
    outcome: str
    note: str = ""


class Attack:
    """Damaged inputs of one reader, by their number. `home` is a scratch folder; sound sets are written once."""

    def __init__(self, reader: str, home: Path):
        self.reader, self.home = reader, home
        self.judges: dict[str, Judge] = {}

    def judge(self, base) -> Judge:
        if base.name not in self.judges:
            self.judges[base.name] = Judge(base, self.home / base.name)
        return self.judges[base.name]

    def __call__(self, number: int) -> Verdict:
        rng = np.random.default_rng((zlib.crc32(self.reader.encode()), number))
        bases = BASES[self.reader]
        base = bases[0 if rng.random() < 0.5 else rng.integers(len(bases))]
        judge = self.judge(base)
        tree = judge.tree()
        damage = mutate(tree, rng)
        now = prepared(base, tree.root, self.home / "out")
        wrong = judge.verdict(tree, now)
        if not wrong and now.rejects and number % 8 == 0:
            wrong = self._unlimited(base, tree)
        note = wrong or now.refusal or (now.rejects[0]["reason"] if now.rejects else "")
        return Verdict(self.reader, base.name, number, damage, "failed" if wrong else now.kind, note)

    def _unlimited(self, base, tree) -> str:
        """Where no reject is allowed, the same set is refused."""
        strict = prepared(base, tree.root, self.home / "out", share=0.0)
        return "" if "samples cannot be used" in strict.refusal else f"no reject is allowed, and yet: {strict.kind}"


# --- processes --------------------------------------------------------------------------------------------------------


def work(reader: str, first: int, inputs: int) -> None:
    """Judge inputs and print a line of JSON before and after each."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (ROOM, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    with tempfile.TemporaryDirectory(prefix="hostile-") as home:
        attack = Attack(reader, Path(home))
        for number in range(first, first + inputs):
            print(json.dumps({"number": number}), flush=True)
            print(json.dumps(asdict(attack(number))), flush=True)
        if not all(judge.untouched for judge in attack.judges.values()):
            print(json.dumps(asdict(Verdict(reader, "", -1, "", "failed", "the sound set was written into"))))


def verdicts(reader: str, first: int, inputs: int) -> Iterator[Verdict]:
    """Verdicts of a worker process; one that dies or hangs fails its input and is replaced."""
    end, number = first + inputs, first
    while number < end:
        command = [sys.executable, "-m", "tests.hostile.run", "--worker", "--reader", reader]
        command += ["--first", str(number), "--inputs", str(end - number)]
        environment = os.environ | {"TQDM_DISABLE": "1"}
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0, env=environment) as worker,
        ):
            begun = None
            while line := _line(worker):
                entry = json.loads(line)
                begun = None if "outcome" in entry else entry["number"]
                if begun is None:
                    yield Verdict(**entry)
                    number = entry["number"] + 1
            if hung := line is None:
                worker.kill()
            status = worker.wait()
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {status}"]
        if status == 0 and begun is None:
            return
        reason = f"no answer in {PATIENCE} s" if hung else f"the process ended with {status}: {last[0][:300]}"
        yield Verdict(reader, "", number if begun is None else begun, "", "failed", reason)
        if begun is None:
            return  # not the fault of an input: the next worker would fare no better
        number = begun + 1


def _line(worker: subprocess.Popen) -> bytes | None:
    """The next line; empty at the end, None when the worker takes too long."""
    ready, _, _ = select.select([worker.stdout], [], [], PATIENCE)
    return worker.stdout.readline() if ready else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1000, help="damaged copies per reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--reader", action="append", choices=list(BASES), help="one reader (may be repeated)")
    parser.add_argument("--json", type=Path, help="write every verdict to this file")
    parser.add_argument("--verbose", action="store_true", help="print every verdict")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.reader[0], options.first, options.inputs)
        return 0
    every: list[Verdict] = []
    print(f"{'reader':<14}{'tried':>7}" + "".join(f"{kind:>10}" for kind in KINDS) + f"{'s':>8}")
    for reader in options.reader or BASES:
        begun, found = time.monotonic(), []
        for verdict in verdicts(reader, options.first, options.inputs):
            found.append(verdict)
            if options.verbose or verdict.outcome == "failed":
                print(f"  {verdict.base} {verdict.number}: {verdict.damage}: {verdict.outcome}: {verdict.note}")
        tally = Counter(verdict.outcome for verdict in found)
        counts = "".join(f"{tally[kind]:>10}" for kind in KINDS)
        print(f"{reader:<14}{len(found):>7}{counts}{time.monotonic() - begun:>8.0f}", flush=True)
        every += found
    if options.json:
        options.json.write_text(json.dumps([asdict(verdict) for verdict in every], indent=1) + "\n", encoding="utf-8")
    return int(any(verdict.outcome == "failed" for verdict in every))


if __name__ == "__main__":
    sys.exit(main())
