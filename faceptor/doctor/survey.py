"""One data set on a disk, read by its own reader: what is listed, what was opened, what is wrong with it.

Nothing here knows a layout. Every reader makes its samples through `Reader.attempt`; a survey stands in for that
method, opens a sample or leaves it at its name, and so decides how much is read. Samples are opened all while that is
quick. Where it is not, one in 2, 4, 8, ... is, drawn by a hash of the key, so that the set is looked at from end to
end. Every listed sample counts, opened or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

from faceptor.datasets.formats.restricted_pickle import load_verification
from faceptor.datasets.reader import Check, Listed, Reader, Record, Reject, share
from faceptor.errors import FaceptorError
from faceptor.prepared.checks import Ready, checked

SPLITS = ("train", "test")
OPENED_IN_ANY_CASE = 200  # samples of a split that are opened in any case
IMAGES_DECODED = 16  # images per split that a quick look decodes to the end, about
MAX_OVERRUN = 4  # a split that takes so many times its seconds is not counted to the end
DECODED_AT_A_TIME = 512  # samples that are decoded by several threads at a time
UNKNOWN_SIZE = 10_000  # expected samples of a split whose size nobody published

Progress = Callable[[str, int], None]  # split, samples so far


@dataclass
class Pace:
    """Opens every sample, or one in `every` once the cost so far would exceed the seconds."""

    seconds: float
    expected: int
    every: int = 1
    named: int = 0
    opened: int = 0
    cost: float = 0.0

    def turn(self, key: str) -> bool:
        self.named += 1
        return self.every == 1 or share(0, key) < 1 / self.every

    def took(self, seconds: float) -> None:
        self.opened, self.cost = self.opened + 1, self.cost + seconds
        if self.opened % OPENED_IN_ANY_CASE == 0:
            left = max(self.expected - self.named, 0) * self.cost / self.opened
            while left / self.every > max(self.seconds - self.cost, self.seconds / 8):
                self.every *= 2


@dataclass
class Split:
    """What a survey found in one split."""

    listed: int = 0  # samples that the files name, opened or not
    opened: int = 0
    decoded: int = 0  # opened ones whose image was decoded to the end
    tried: int = 0  # opened ones and those that their labels then excluded
    stopped: bool = False  # not counted to the end
    subsets: Counter = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether `samples` is a count: no sample was left unopened whose labels might exclude it."""
        return not self.stopped and (self.opened == self.tried or self.complete)

    @property
    def complete(self) -> bool:
        """Whether every sample was opened."""
        return not self.stopped and self.listed == self.opened

    @property
    def samples(self) -> int:
        """Samples of the split, unusable ones included; an estimate unless `exact`."""
        kept = 1.0 if self.exact else self.opened / max(self.tried, 1)
        return self.opened + round((self.listed - self.opened) * kept)

    @property
    def unusable(self) -> float:
        """Share of the opened samples that cannot be used."""
        return len(self.rejects) / max(self.opened, 1)

    def to_dict(self) -> dict:
        return {
            "samples": self.samples,
            "exact": self.exact,
            "opened": self.opened,
            "decoded": self.decoded,
            "unusable": len(self.rejects),
        }


@dataclass
class Survey:
    """What was found in a data set's folder. `stops`: errors about the whole set, after which no more could be read."""

    splits: dict[str, Split] = field(default_factory=dict)
    stops: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    verification: dict[str, int | None] = field(default_factory=dict)  # pairs, where they were counted
    dropped: dict[str, int] = field(default_factory=dict)  # samples left out on purpose

    @property
    def counts(self) -> dict[str, int]:
        """Samples by split, by subset where all were opened, and by verification set; as `compare_published` wants."""
        found = {name: split.samples for name, split in self.splits.items() if split.exact}
        for name, split in self.splits.items():
            if split.complete:
                found |= {f"{name}/{subset}": count for subset, count in split.subsets.items()}
        return found | {f"verification/{name}": pairs for name, pairs in self.verification.items() if pairs is not None}


def survey(reader: Reader, *, deep: bool = False, seconds: float = 3.0, progress: Progress | None = None) -> Survey:
    """Look at the data set that `reader` reads. `deep` opens and decodes everything, however long it takes."""
    found = Survey()
    for name in SPLITS:
        split = found.splits[name] = Split()
        with_care(found, lambda name=name, split=split: _read(reader, name, split, deep, seconds / 2, progress))
        if not split.listed and not found.stops:
            del found.splits[name]
    with_care(found, lambda: _verification(reader, found, deep))
    if not found.stops and not found.splits:
        found.stops.append(f"{reader.name}: {reader.root}: no sample found; {reader.remedy}")
    if not found.stops and all(split.complete for split in found.splits.values()):
        with_care(found, lambda: found.checks.extend(reader.checks()))
    found.dropped = dict(reader.dropped)
    return found


def with_care(found: Survey, step: Callable[[], None]) -> None:
    """Run a step; what stops it is a finding about this set, and the next set's turn comes."""
    try:
        step()
    except (FaceptorError, OSError) as error:
        if str(error) not in found.stops:  # both splits may miss the same file
            found.stops.append(str(error))


def _read(reader: Reader, name: str, split: Split, deep: bool, seconds: float, progress: Progress | None) -> None:
    stated = reader.generated_counts if reader.generated else reader.published
    expected = stated.get(name) or stated.get("all") or UNKNOWN_SIZE
    pace = Pace(float("inf") if deep else seconds, expected)
    original = reader.attempt

    def attempt(key: str, where: str, build: Callable[..., Record], *args) -> Record | Reject | Listed:
        if not pace.turn(key):
            return Listed(key, where)
        split.tried += 1
        start = perf_counter()
        try:
            return original(key, where, build, *args)
        finally:
            pace.took(perf_counter() - start)

    reader.attempt = attempt  # on this one reader, in place of its class's method
    begun = perf_counter()
    keys: set[str] | None = set() if deep else None
    try:
        items = reader.read(name) if deep else reader.skim(name)
        for item in _checked(reader, items, deep, expected, split):
            _count(item, split, keys)
            if progress and split.listed % 1000 == 0:
                progress(name, split.listed)
            if not deep and perf_counter() - begun > MAX_OVERRUN * seconds + 1:
                split.stopped = True
                return
    finally:
        reader.attempt = original


def _checked(reader: Reader, items: Iterable, deep: bool, expected: int, split: Split) -> Iterator:
    """The items; images of all (deep) or of some decoded to the end and their labels checked, as preparation does."""
    if deep:
        items = iter(items)
        with ThreadPoolExecutor() as pool:  # decoding releases Python's lock
            while some := list(islice(items, DECODED_AT_A_TIME)):
                yield from pool.map(lambda item: checked(reader, item), some)
        return
    for item in items:
        wanted = split.decoded < IMAGES_DECODED / 4
        if isinstance(item, Record) and (wanted or share(1, item.key) < IMAGES_DECODED / expected):
            split.decoded += 1
            item = checked(reader, item)
        yield item


def _count(item: Record | Reject | Ready | Listed, split: Split, keys: set[str] | None) -> None:
    if isinstance(item, Listed):
        split.listed += item.count
        return
    split.listed, split.opened = split.listed + 1, split.opened + 1
    record = item.record if isinstance(item, Ready) else item
    if keys is not None and isinstance(item, Ready):
        split.decoded += 1
        if record.key in keys:
            record = Reject(record.key, record.key, "the key was seen before: the list names a sample twice")
        keys.add(record.key)
    if isinstance(record, Reject):
        split.rejects.append(record)
    else:
        split.subsets.update(record.subsets)


def _verification(reader: Reader, found: Survey, deep: bool) -> None:
    if found.stops:
        return
    for name, path in reader.verification().items():
        found.verification[name] = len(load_verification(path)[1]) if deep else None
