"""The passport of a prepared data set: counts, hashes, label statistics and self-checks, as plain JSON."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np

from faceptor.datasets.base import Check, Reader, Record, Reject
from faceptor.datasets.labels import facts, landmark_scheme

SHOWN = 5  # rejects quoted in an error or a passport
UPRIGHT_SHARE = 0.9  # of faces whose image-left eye lies left of the other: heads turn, few turn over


def keys_hash(keys: Iterable[str]) -> str:
    """SHA-256 of the sorted keys, one per line: equal for equal splits, whatever the order they were read in."""
    digest = hashlib.sha256()
    for key in sorted(keys):
        digest.update(f"{key}\n".encode())
    return digest.hexdigest()


@dataclass
class SplitFacts:
    """What is known of one prepared split, gathered sample by sample."""

    keys: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    subsets: Counter = field(default_factory=Counter)
    formats: Counter = field(default_factory=Counter)
    identities: set[int] = field(default_factory=set)
    counted: dict[str, np.ndarray] = field(default_factory=dict)  # column -> tallies
    height: tuple[int, int] | None = None
    width: tuple[int, int] | None = None
    age: tuple[float, float, float] | None = None  # least, most, sum
    rotated: int = 0
    resized: int = 0
    upright: int = 0

    def add(self, record: Record, picture, resized: bool) -> None:
        """`picture` is the encoded image's header (faceptor.datasets.images.Picture)."""
        self.keys.add(record.key)
        self.groups.add(record.group or record.key)
        self.subsets.update(record.subsets)
        self.formats[picture.format] += 1
        self.rotated += picture.rotated
        self.resized += resized
        self.height = _widened(self.height, picture.height)
        self.width = _widened(self.width, picture.width)
        if record.age is not None:
            least, most, total = self.age or (record.age, record.age, 0.0)
            self.age = (min(least, record.age), max(most, record.age), total + record.age)
            self._tally("age", np.bincount([int(record.age)], minlength=101))
        if record.expression is not None:
            self._tally("expression", np.bincount([record.expression], minlength=16))
        if record.mask is not None:
            self._tally("mask", np.bincount(record.mask.ravel(), minlength=256))
        if record.attributes is not None:
            self._tally("attributes", np.stack([record.attributes == value for value in (1, 0, -1)]))
        if record.identity is not None:
            self.identities.add(record.identity)

    def _tally(self, column: str, amounts: np.ndarray) -> None:
        self.counted[column] = self.counted.get(column, 0) + amounts.astype(np.int64)

    def labels(self, classes: dict[str, tuple[str, ...]]) -> dict:
        """Statistics per label column."""
        found: dict = {}
        if self.age:
            least, most, total = self.age
            decades = [int(part.sum()) for part in np.array_split(self.counted["age"][:100], 10)]
            decades[-1] += int(self.counted["age"][100])
            found["age"] = {"range": [least, most], "mean": round(total / len(self.keys), 3), "decades": decades}
        if "expression" in self.counted:
            found["expression"] = _named(self.counted["expression"], classes["expression"])
        if "mask" in self.counted:
            pixels = self.counted["mask"] / self.counted["mask"].sum()
            found["mask"] = {name: round(float(part), 6) for name, part in zip(classes["mask"], pixels, strict=False)}
        if "attributes" in self.counted:
            yes, no, unknown = self.counted["attributes"]
            share = np.divide(yes, yes + no, out=np.full(len(yes), np.nan), where=yes + no > 0)
            found["attributes"] = {
                "prevalence": {
                    name: None if np.isnan(part) else round(float(part), 4)
                    for name, part in zip(classes["attributes"], share, strict=True)
                },
                "unknown": round(float(unknown.sum() / (yes + no + unknown).sum()), 6),
            }
        if self.identities:
            found["identity"] = {"identities": len(self.identities), "largest": max(self.identities)}
        return found

    def images(self) -> dict:
        return {
            "formats": dict(sorted(self.formats.items())),
            "height": list(self.height or ()),
            "width": list(self.width or ()),
            "rotated_by_exif": self.rotated,
            "resized_to_mask": self.resized,
        }


def _widened(span: tuple[int, int] | None, value: int) -> tuple[int, int]:
    return (value, value) if span is None else (min(span[0], value), max(span[1], value))


def _named(amounts: np.ndarray, names: Iterable[str]) -> dict[str, int]:
    return {name: int(amount) for name, amount in zip(names, amounts, strict=False)}


# --- checks -------------------------------------------------------------------------------------------------------


def common_checks(reader: Reader, split: SplitFacts) -> Iterator[Check]:
    """Checks of any data set: its flip permutations, and that image-left stays left in the mirror."""
    permutations = []
    if reader.scheme:
        permutations.append(landmark_scheme(reader.scheme).flip)
    if "mask" in reader.classes:
        count = len(reader.classes["mask"])
        entries = facts()["parsing"].values()
        permutations.append(next(e["flip_permutation"] for e in entries if e["count"] == count))
    for flip in map(np.asarray, permutations):
        good = np.array_equal(flip[flip], np.arange(len(flip)))
        yield Check(f"flip of {len(flip)} labels is an involution", "pass" if good else "fail", "")
    if reader.scheme and split.keys:
        share = split.upright / len(split.keys)
        status = "pass" if share >= UPRIGHT_SHARE else "fail"
        yield Check("mirrored image-left eye stays image-left", status, f"{share:.4f} of the training faces")


def separation_check(train: Iterable[SplitFacts], test: SplitFacts) -> Check:
    """No sample may be in training (or validation) and test; shared groups are reported, some protocols have them."""
    keys = sum(len(facts.keys & test.keys) for facts in train)
    groups = sum(len(facts.groups & test.groups) for facts in train)
    detail = f"{keys} samples and {groups} groups are on both sides"
    return Check("train and test share no sample", "fail" if keys else "pass", detail)


def upright(scheme: str, points: np.ndarray, width: int) -> bool:
    """Whether the image-left eye of the mirrored face lies left of the other one."""
    convention = landmark_scheme(scheme)
    eyes = convention.five_points(convention.mirrored(points, width))[:2]
    return bool(eyes[0, 0] < eyes[1, 0])


def generated_check(reader: Reader, found: dict[str, int]) -> Iterator[Check]:
    """Generated faces: as many as their marker says."""
    stated = reader.generated_counts
    for split, count in stated.items():
        have = sum(found.get(part, 0) for part in ("train", "test")) if split == "all" else found.get(split)
        if have is not None:
            yield Check(f"{split}: as many as generated", "pass" if have == count else "fail", f"{have} of {count}")


def compare_published(reader: Reader, found: dict[str, int], rejected: dict[str, int]) -> dict[str, dict]:
    """Listed samples (rejects included) against the published counts.

    A reject has lost its subset, so a subset may lack as many samples as its split has rejects.
    """
    enforced = reader.strict_counts and not reader.generated
    compared = {}
    for split, count in reader.published.items():
        if split in found or not split.startswith("verification/"):  # these are prepared on demand
            have = found.get(split, 0)
            lost = rejected.get(split.partition("/")[0], 0) if "/" in split else 0
            equal = count - lost <= have <= count
            compared[split] = {"published": count, "found": have, "equal": equal, "enforced": enforced}
    return compared


# --- rejects ------------------------------------------------------------------------------------------------------


def reject_summary(rejects: list[Reject], total: int, limit: float) -> dict:
    reasons = Counter(re.sub(r"\d+", "N", reject.reason) for reject in rejects)
    return {
        "count": len(rejects),
        "share": round(len(rejects) / total, 6) if total else 0.0,
        "limit": limit,
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:20]),
        "first": [asdict(reject) for reject in rejects[:SHOWN]],
    }


def quoted(rejects: list[Reject]) -> str:
    """The first rejects in one line, for an error."""
    return "; ".join(f"{reject.where} ({reject.key}): {reject.reason}" for reject in rejects[:SHOWN])
