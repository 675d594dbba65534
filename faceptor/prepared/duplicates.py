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

import pyarrow as pa
import pyarrow.compute as pc

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
        for picture, samples in _repeated(parts).items():
            for part in parts:
                found.within[part] += max(sum(part == other for other, _ in samples) - 1, 0)
            for pair in combinations(dict.fromkeys(part for part, _ in samples), 2):
                found.across["/".join(pair)] += 1
            entry = {"picture": picture, "samples": [{"part": part, "key": key} for part, key in samples]}
            handle.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return found


def _repeated(parts: Mapping[str, pa.Table]) -> dict[str, list[tuple[str, str]]]:
    """Hash -> [(part, key), ...] of every picture that several samples have, by their first appearance."""
    pictures = pa.concat_tables(table.select(["picture"]) for table in parts.values())["picture"]
    counts = pictures.value_counts()
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    found: dict[str, list[tuple[str, str]]] = {}
    for part, table in parts.items():
        own = table.filter(pc.is_in(table["picture"], value_set=several))
        for key, picture in zip(own["key"].to_pylist(), own["picture"].to_pylist(), strict=True):
            found.setdefault(picture.hex(), []).append((part, key))
    return found


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
