"""One picture under several names: within a split it weighs more than others, across splits it is known before.

Pictures are told by a hash of their decoded pixels, so that a copy that was stored again without loss is found too;
where a set is so large that only headers are looked at (`verify: header`), by a hash of the encoded bytes. A picture
that was compressed anew, scaled or cut is another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa

from faceptor.datasets.reader import Check

DUPLICATES_FILE = "duplicates.jsonl"
PICTURE_BYTES = 16  # of the hash that stands for a picture


@dataclass
class Duplicates:
    """within: part -> samples whose picture an earlier sample of that part has; across: the same for pairs of parts."""

    within: dict[str, int] = field(default_factory=dict)
    across: dict[str, int] = field(default_factory=dict)  # "train/test" -> pictures that both have

    def shared(self, *pair: str) -> int:
        return self.across.get("/".join(pair), 0)

    def to_dict(self) -> dict:
        return {"within": self.within, "across": self.across, "file": DUPLICATES_FILE}


def find_duplicates(parts: Mapping[str, pa.Table], listed: Path) -> Duplicates:
    """Look for equal pictures among the rows (columns `key`, `picture`) of all parts, and list them in a file.

    The file has a line per picture: {"picture": hash, "samples": [{"part", "key"}, ...]}.
    """
    found = Duplicates(dict.fromkeys(parts, 0), {"/".join(pair): 0 for pair in combinations(parts, 2)})
    with open(listed, "w", encoding="utf-8") as handle:
        for picture, samples in _repeated(parts):
            for part in parts:
                found.within[part] += max(sum(part == other for other, _ in samples) - 1, 0)
            for pair in combinations(dict.fromkeys(part for part, _ in samples), 2):
                found.across["/".join(pair)] += 1
            entry = {"picture": picture, "samples": [{"part": part, "key": key} for part, key in samples]}
            handle.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return found


def _repeated(parts: Mapping[str, pa.Table]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(hash, [(part, key), ...]) of every picture that several samples have, by their first appearance."""
    halves = np.concatenate([_halves(table["picture"]) for table in parts.values()])
    order = np.lexsort(halves.T)  # stable: samples of one picture stay in order
    new = np.ones(len(order) + 1, bool)
    new[1:-1] = (halves[order[1:]] != halves[order[:-1]]).any(axis=1) if len(order) else ()
    starts = np.flatnonzero(new)
    several = np.flatnonzero(np.diff(starts) > 1)
    groups = sorted((order[starts[i] : starts[i + 1]] for i in several), key=lambda rows: rows[0])
    names, ends = list(parts), np.cumsum([len(table) for table in parts.values()])
    for rows in groups:
        samples = []
        for row in rows.tolist():
            number = int(np.searchsorted(ends, row, side="right"))
            inside = row - int(ends[number - 1] if number else 0)
            samples.append((names[number], parts[names[number]]["key"][inside].as_py()))
        yield halves[rows[0]].tobytes().hex(), samples


def _halves(pictures: pa.ChunkedArray) -> np.ndarray:
    """(n, 2) uint64 from hashes of 16 bytes."""
    return np.frombuffer(b"".join(pictures.to_pylist()), np.uint64).reshape(-1, 2)


def separation_checks(found: Duplicates, keys: int, groups: int) -> Iterator[Check]:
    """No sample may be in training (or validation) and test, by its key (`keys` are) or by its picture.

    `groups` that are on both sides are only reported: some protocols have them.
    """
    pictures = sum(found.shared(part, "test") for part in ("train", "val"))
    if any(pair.endswith("/test") for pair in found.across):
        detail = f"{keys} keys, {pictures} pictures and {groups} groups are on both sides"
        yield Check("train and test share no sample", "fail" if keys or pictures else "pass", detail)
    if "train/val" in found.across:
        pictures = found.shared("train", "val")
        status = "fail" if pictures else "pass"
        yield Check("train and validation share no picture", status, f"{pictures} pictures are on both sides")
