"""Damage small data sets in a thousand ways per reader and prepare them: `python -m tests.hostile.run --inputs 1000`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from tests.hostile.bases import BASES
from tests.hostile.judge import Judge, prepared
from tests.hostile.mutations import mutate


def attack(reader: str, home: Path, numbers, *, judges: dict) -> "list[dict]":
    for number in numbers:
        yield one(reader, home, number, judges)


def one(reader: str, home: Path, number: int, judges: dict) -> dict:
    """One damaged copy of one of the reader's bases, prepared and judged."""
    rng = np.random.default_rng((zlib.crc32(reader.encode()), number))
    bases = BASES[reader]
    base = bases[0 if rng.random() < 0.5 else rng.integers(len(bases))]
    if base.name not in judges:
        judges[base.name] = Judge(base, home / base.name)
    judge = judges[base.name]
    tree = judge.tree()
    what = mutate(tree, rng)
    now = prepared(base, tree.root, home / "out")
    wrong = judge.verdict(tree, now)
    kind = "failed" if wrong else "refused" if now.refusal else "rejected" if now.rejects else "kept"
    note = now.refusal or (now.rejects[0]["reason"] if now.rejects else "")
    return {"reader": reader, "base": base.name, "number": number, "what": what, "outcome": kind, "note": note, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--reader", action="append")
    parser.add_argument("--json")
    parser.add_argument("-v", action="store_true")
    a = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    results = []
    for reader in a.reader or BASES:
        t = time.time()
        with tempfile.TemporaryDirectory(prefix="hostile-") as home:
            tally = Counter()
            for r in attack(reader, Path(home), range(a.first, a.first + a.inputs), judges={}):
                tally[r["outcome"]] += 1
                results.append(r)
                if a.v:
                    print(r["number"], r["base"], r["what"][:150], "->", r["outcome"], r["note"][:200])
                if r["wrong"]:
                    print("FAIL", r["number"], r["base"], r["what"][:200], "\n     ", r["wrong"])
                    sys.stdout.flush()
        print(reader, dict(tally), f"{time.time() - t:.1f} s", flush=True)


if __name__ == "__main__":
    main()
