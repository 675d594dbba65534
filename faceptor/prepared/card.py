"""The dataset card of a prepared data set: counts, hashes, label statistics and self-checks, as plain JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import Check, Reader, Record, Reject
from faceptor.datasets.tallies import Tally

REJECTS_QUOTED = 5  # in an error or a dataset card
UPRIGHT_SHARE = 0.9  # of the faces must have their image-left eye left of the other; some heads are upside down

Span = tuple[int, int]  # least, most


@dataclass
class SplitFacts:
    """What is known of one prepared split, gathered sample by sample, or block by block with `+=`."""

    count: int = 0
    groups: set[str] = field(default_factory=set)
    subsets: Counter = field(default_factory=Counter)
    formats: Counter = field(default_factory=Counter)
    spans: dict[str, Span] = field(default_factory=dict)  # height and width in pixels
    labels: dict[str, Tally] = field(default_factory=dict)  # column -> what was counted of it
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
        for name, column in COLUMNS.items():
            if column.statistic and (value := getattr(record, name)) is not None:
                self.count_labels(name, np.asarray(value)[None])

    def count_labels(self, name: str, values: np.ndarray) -> None:
        """Add some values (n, ...) of a column."""
        self._tally(name, COLUMNS[name].statistic.count(values))

    def _tally(self, name: str, tally: Tally) -> None:
        if name in self.labels:
            self.labels[name] += tally
        else:
            self.labels[name] = tally

    def widen(self, name: str, *values: int) -> None:
        self.spans[name] = (min((*values, *self.spans.get(name, ()))), max((*values, *self.spans.get(name, ()))))

    def __iadd__(self, other: SplitFacts) -> SplitFacts:
        for name in ("count", "rotated", "resized", "upright"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("groups", "subsets", "formats"):
            getattr(self, name).update(getattr(other, name))
        for name, span in other.spans.items():
            self.widen(name, *span)
        for name, tally in other.labels.items():
            self._tally(name, tally)
        return self

    def to_state(self) -> dict:
        """Plain data, fit for JSON; `from_state` is the inverse."""
        state = {part.name: getattr(self, part.name) for part in fields(self)}
        labels = {name: tally.to_state() for name, tally in self.labels.items()}
        return state | {"groups": sorted(self.groups), "labels": labels}

    @classmethod
    def from_state(cls, state: Mapping) -> SplitFacts:
        kinds = {"groups": set, "subsets": Counter, "formats": Counter}
        known = {name: kinds.get(name, lambda value: value)(value) for name, value in state.items()}
        known["labels"] = {name: Tally.from_state(tally) for name, tally in state["labels"].items()}
        return cls(**known | {"spans": {name: tuple(span) for name, span in state["spans"].items()}})

    def label_statistics(self, classes: Mapping[str, tuple[str, ...]]) -> dict:
        """Statistics per label column; classes: column -> names of its classes."""
        known = [name for name in COLUMNS if name in self.labels]
        return {name: COLUMNS[name].statistic.report(self.labels[name], classes.get(name, ())) for name in known}

    def images(self) -> dict:
        return {
            "formats": dict(sorted(self.formats.items())),
            "height": list(self.spans.get("height", ())),
            "width": list(self.spans.get("width", ())),
            "rotated_by_exif": self.rotated,
            "resized_to_mask": self.resized,
        }


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
        "first": [asdict(reject) for reject in rejects[:REJECTS_QUOTED]],
    }


def quoted(rejects: list[Reject]) -> str:
    """The first rejects in one line, for an error."""
    return "; ".join(f"{reject.where} ({reject.key}): {reject.reason}" for reject in rejects[:REJECTS_QUOTED])
