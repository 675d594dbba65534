"""The dataset card of a prepared data set: counts, hashes, label statistics and self-checks, as plain JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from faceptor.datasets.base import Check, Reader, Record, Reject
from faceptor.datasets.description import MOST_CLASSES
from faceptor.datasets.labels import landmark_scheme

CLASS_COLUMNS = ("expression", "gender", "race", "agegroup")  # one class per sample
SHOWN = 5  # rejects quoted in an error or a dataset card
ANGLES = ("pitch", "yaw", "roll")
UPRIGHT_SHARE = 0.9  # of faces whose image-left eye lies left of the other: heads turn, few turn over


Span = tuple[float, float]  # least, most


@dataclass
class SplitFacts:
    """What is known of one prepared split, gathered sample by sample, or block by block with `+=`."""

    count: int = 0
    groups: set[str] = field(default_factory=set)
    subsets: Counter = field(default_factory=Counter)
    formats: Counter = field(default_factory=Counter)
    identities: set[int] = field(default_factory=set)
    counted: dict[str, np.ndarray] = field(default_factory=dict)  # column -> tallies
    spans: dict[str, Span] = field(default_factory=dict)  # height, width, age and each angle -> least and most
    years: float = 0.0  # sum of the ages
    rated: dict[str, float] = field(default_factory=dict)  # number of a scale -> sum of its ratings
    rotated: int = 0
    resized: int = 0
    upright: int = 0

    def add(self, record: Record, picture, resized: bool) -> None:
        """`picture` is the encoded image's header (faceptor.datasets.formats.images.Picture)."""
        self.count += 1
        self.groups.add(record.group or record.key)
        self.subsets.update(record.subsets)
        self.formats[picture.format] += 1
        self.rotated += picture.rotated
        self.resized += resized
        self.widen("height", picture.height)
        self.widen("width", picture.width)
        if record.age is not None:
            self.widen("age", record.age)
            self.years += record.age
            self._tally("age", np.bincount([int(record.age)], minlength=101))
        for column in CLASS_COLUMNS:
            if (value := getattr(record, column)) is not None:
                self._tally(column, np.bincount([value], minlength=MOST_CLASSES))
        if record.mask is not None:
            self._tally("mask", np.bincount(record.mask.ravel(), minlength=256))
        if record.attributes is not None:
            self._tally("attributes", np.stack([record.attributes == value for value in (1, 0, -1)]))
        if record.visibility is not None:
            self._tally("visibility", np.array([(record.visibility == value).sum() for value in (1, 0, -1)]))
        if record.pose is not None:
            for angle, value in zip(ANGLES, record.pose, strict=True):
                self.widen(angle, float(value))
        if record.ratings is not None:
            for scale, value in enumerate(record.ratings.tolist()):
                if not np.isnan(value):
                    self.widen(f"rating {scale}", value)
                    self.rated[str(scale)] = self.rated.get(str(scale), 0.0) + value
            self._tally("ratings", ~np.isnan(record.ratings))
        if record.identity is not None:
            self.identities.add(record.identity)

    def widen(self, name: str, *values: float) -> None:
        self.spans[name] = (min((*values, *self.spans.get(name, ()))), max((*values, *self.spans.get(name, ()))))

    def __iadd__(self, other: SplitFacts) -> SplitFacts:
        for name in ("count", "years", "rotated", "resized", "upright"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("groups", "identities", "subsets", "formats"):
            getattr(self, name).update(getattr(other, name))
        for name, span in other.spans.items():
            self.widen(name, *span)
        for scale, total in other.rated.items():
            self.rated[scale] = self.rated.get(scale, 0.0) + total
        for column, amounts in other.counted.items():
            self._tally(column, amounts)
        return self

    def to_state(self) -> dict:
        """Plain data, fit for JSON; `from_state` is the inverse."""
        state = {part.name: getattr(self, part.name) for part in fields(self)}
        state["counted"] = {column: amounts.tolist() for column, amounts in self.counted.items()}
        return state | {name: sorted(state[name]) for name in ("groups", "identities")}

    @classmethod
    def from_state(cls, state: Mapping) -> SplitFacts:
        kinds = {"groups": set, "identities": set, "subsets": Counter, "formats": Counter}
        known = {name: kinds.get(name, lambda value: value)(value) for name, value in state.items()}
        known["counted"] = {column: np.array(amounts, np.int64) for column, amounts in state["counted"].items()}
        return cls(**known | {"spans": {name: tuple(span) for name, span in state["spans"].items()}})

    def _tally(self, column: str, amounts: np.ndarray) -> None:
        self.counted[column] = self.counted.get(column, 0) + amounts.astype(np.int64)

    def labels(self, classes: dict[str, tuple[str, ...]]) -> dict:
        """Statistics per label column."""
        found: dict = {}
        if "age" in self.spans:
            least, most = self.spans["age"]
            decades = [int(part.sum()) for part in np.array_split(self.counted["age"][:100], 10)]
            decades[-1] += int(self.counted["age"][100])
            found["age"] = {"range": [least, most], "mean": round(self.years / self.count, 3), "decades": decades}
        for column in CLASS_COLUMNS:
            if column in self.counted:
                found[column] = _named(self.counted[column], classes[column])
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
        if "visibility" in self.counted:
            found["visibility"] = _named(self.counted["visibility"], ("visible", "occluded", "unknown"))
        if "ratings" in self.counted:
            found["ratings"] = {
                name: {
                    "known": int(known),
                    "range": list(self.spans.get(f"rating {scale}", ())),
                    "mean": round(self.rated[str(scale)] / known, 4) if known else None,
                }
                for scale, (name, known) in enumerate(zip(classes["ratings"], self.counted["ratings"], strict=True))
            }
        if ANGLES[0] in self.spans:
            found["pose"] = {angle: [round(end, 3) for end in self.spans[angle]] for angle in ANGLES}
        if self.identities:
            found["identity"] = {"identities": len(self.identities), "largest": max(self.identities)}
        return found

    def images(self) -> dict:
        return {
            "formats": dict(sorted(self.formats.items())),
            "height": list(self.spans.get("height", ())),
            "width": list(self.spans.get("width", ())),
            "rotated_by_exif": self.rotated,
            "resized_to_mask": self.resized,
        }


def _named(amounts: np.ndarray, names: Iterable[str]) -> dict[str, int]:
    return {name: int(amount) for name, amount in zip(names, amounts, strict=False)}


# --- checks -------------------------------------------------------------------------------------------------------


def common_checks(reader: Reader, split: SplitFacts) -> Iterator[Check]:
    """The check of any data set with eyes: that image-left stays left in the mirror."""
    if reader.scheme and landmark_scheme(reader.scheme).five and split.count:
        share = split.upright / split.count
        status = "pass" if share >= UPRIGHT_SHARE else "fail"
        yield Check("mirrored image-left eye stays image-left", status, f"{share:.4f} of the faces")


def upright(scheme: str | dict, points: np.ndarray, width: int) -> bool:
    """Whether the image-left eye of the mirrored face lies left of the other one; False where no point is an eye."""
    convention = landmark_scheme(scheme)
    if not convention.five:
        return False
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
