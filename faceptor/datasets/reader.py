"""What every data set gives: records, rejects and facts about itself. Readers import from here alone.

A reader turns one published layout into `Record`s. A sample that cannot be used becomes a `Reject` with file,
line and reason while the rest goes on; a missing folder or a wrong header is a `DataError`, since nothing
could be read. Points are xy in float pixels, pixel centres at integers, 0-based; boxes are (x1, y1, x2, y2) in
the same frame.
"""

from __future__ import annotations

import os
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, make_dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from faceptor.config.sections import spelled
from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.folders import Links, entries, may_follow
from faceptor.datasets.values import BadSample, box, brief, integer, landmark_box, number, points, printable, share
from faceptor.errors import ConfigError, DataError

__all__ = [
    "IMAGE_SUFFIXES", "MARKER", "BadSample", "Bulk", "Check", "LeftOut", "Listed", "Reader", "Record", "Reject",
    "box", "brief", "integer", "landmark_box", "number", "points", "printable", "share",
]  # fmt: skip

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
ODD_NAME = "the name is not valid UTF-8 or holds control characters; save the list as UTF-8"
ALLOW_LINKS = "allow it with data.follow_links: true, or [/the/other/folder]"
SUFFIXES = tuple(case(suffix) for suffix in IMAGE_SUFFIXES for case in (str, str.upper, lambda s: f".{s[1:].title()}"))
MARKER = "GENERATED"  # a file of this name says that the folder holds generated faces


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One image, still encoded."""

    key: str  # unique within the data set
    split: str  # "train" or "test"
    image: Path | bytes
    group: str = ""  # subject or photograph; validation never shares one with training ("" = key)
    subsets: tuple[str, ...] = ()  # named test subsets


# One labelled image: a sample and a field for every column of the table. Labels that a set does not have stay None.
Record = make_dataclass(
    "Record",
    [(name, Any, None) for name in COLUMNS],
    bases=(Sample,),
    namespace={"__module__": __name__},
    frozen=True,
    kw_only=True,
    eq=False,
)


@dataclass(frozen=True)
class Reject:
    """A sample that cannot be used: which, where it was found (file or file:line), and why."""

    key: str
    where: str
    reason: str


@dataclass(frozen=True)
class Listed:
    """Samples that the files name and nobody has opened yet: what a quick look (`Reader.skim`) may give."""

    key: str
    where: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Bulk:
    """Consecutive samples of one split as columns, from a reader that knows a faster way than one by one."""

    items: int  # samples and rejects
    keys: list[str]
    groups: list[str]
    places: list[str]  # where each lies, for a reject
    images: list[bytes]
    labels: dict[str, np.ndarray]
    rejects: list[Reject]


@dataclass(frozen=True)
class Check:
    """Outcome of one self-check: status is "pass", "fail" or "na" (nothing to compare)."""

    name: str
    status: str
    detail: str

    @classmethod
    def of(cls, name: str, passed: bool | None, detail: str) -> Check:
        """A check that is passed or not; None where there is nothing to compare."""
        return cls(name, "na" if passed is None else "pass" if passed else "fail", detail)


class LeftOut(Exception):
    """One sample is left out on purpose; `Reader.kept` counts it under this reason."""


class Reader(ABC):
    """One published layout under `root`. Subclasses fill the facts and `read`."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]  # where to ask for the data
    licence: ClassVar[str]
    redistribution: ClassVar[str] = "no"
    published: ClassVar[dict[str, int]] = {}  # samples per split, and per subset as "test/<subset>"
    choices: ClassVar[dict[str, tuple]] = {}  # option -> allowed values, the first is the default
    strict_counts: bool = True  # a count unlike the published one stops the preparation of real data
    columns: tuple[str, ...] = ()  # labels every record carries
    scheme: str | dict | None = None  # landmark scheme: name of a published one, or its facts
    classes: ClassVar[dict[str, tuple[str, ...]]] = {}  # column -> names of its classes
    ranges: ClassVar[dict[str, tuple[float, float]]] = {}  # scale -> lowest and highest rating, in order
    mask_flip: tuple[int, ...] | None = None  # class permutation of a mirrored mask; None = the published one
    mask_ignore: int | None = None  # value of pixels of which no class is known; None = every pixel has one
    task_options: ClassVar[dict[str, dict]] = {}  # kind -> what a protocol option changes in the options of its task

    def __init__(self, root: Path | str, *, follow_links: Links = False, **options):
        """follow_links: whether symbolic links may lead out of `root`, or the folders they may lead into."""
        self.follow_links = follow_links
        known = {"strict_counts": (type(self).strict_counts,), "seed": (0,), **self.choices}
        place = f"datasets.{spelled(self.name)}.options"
        for option, value in options.items():
            if option not in known:
                raise ConfigError(f"{place}.{option}: unknown option; expected one of {', '.join(known)}")
            if option in self.choices and value not in self.choices[option]:
                raise ConfigError(
                    f"{place}.{option}: expected one of {', '.join(map(str, self.choices[option]))}, found {value!r}"
                )
        if not isinstance(options.get("strict_counts", True), bool):
            raise ConfigError(f"{place}.strict_counts: expected true or false")
        if type(options.get("seed", 0)) is not int:
            raise ConfigError(f"{place}.seed: expected a whole number")
        self.options = {option: options.get(option, values[0]) for option, values in known.items()}
        self.strict_counts = self.options["strict_counts"]
        self.root = Path(root)
        self.dropped: Counter[str] = Counter()  # samples left out on purpose, by reason
        self._litter: dict[Path, str] = {}  # what was passed over in folders, by the pattern it matches
        self._real: dict[str, str] = {}  # one look per folder, not per file: sets have millions of files

    @abstractmethod
    def read(self, split: str) -> Iterator[Record | Reject]:
        """All samples of "train" or "test", in an order that depends on the files alone."""

    def skim(self, split: str) -> Iterator[Record | Reject | Listed]:
        """As `read`, for a quick look; sets where even naming the samples is dear give some of them as `Listed`."""
        return self.read(split)

    def bulk(self, split: str, start: int, done: Iterable[int]) -> Iterator[Bulk] | None:
        """The samples of a split from number `start` on, faster; None where only `read` gives them.

        Keys must be unique. `done` are the identities of the samples before.
        """
        return None

    def checks(self) -> Iterable[Check]:
        """Self-checks of this set, called after both splits were read."""
        return ()

    def verification(self) -> dict[str, Path]:
        """Verification sets (name -> .bin file) that lie beside the data."""
        return {}

    @property
    def protocol(self) -> str:
        """One line: how train and test were told apart."""
        return "published"

    @property
    def redivided(self) -> bool:
        """Whether the options divide the data in another way than its files do."""
        return False

    @property
    def generated(self) -> bool:
        return self.find(MARKER) is not None

    @cached_property
    def generated_counts(self) -> dict[str, int]:
        """Samples per split that the marker of generated faces states; empty for photographs."""
        text = ""
        if (marker := self.find(MARKER)) and marker.is_file():
            with open(marker, encoding="utf-8", errors="replace") as handle:
                text = handle.read(4096)
        stated = re.search(r"^counts: *(\{[^{}]*\})", text, re.MULTILINE)
        counts = re.findall(r"'(\w+)': *(\d{1,9})\b", stated[1]) if stated else []
        counts = {part: int(count) for part, count in counts}
        return {"all": sum(counts.values())} if counts and self.redivided else counts

    # --- errors about the whole set --------------------------------------------------------------------------------

    @property
    def remedy(self) -> str:
        return f"unpack {self.title} there ({self.source}), or generate faces with `faceptor synthesize`"

    def require(self, *candidates: str, what: str = "") -> Path:
        """First of the candidate paths below root that exists; DataError when none does."""
        if path := self.find(*candidates):
            return path
        expected = " or ".join(dict.fromkeys(str(self.root / candidate) for candidate in candidates))
        raise DataError(f"{self.name}: {what or 'the data'} not found: expected {expected}; {self.remedy}")

    def find(self, *candidates: str) -> Path | None:
        """First of the candidate paths below root that exists; DataError when a symbolic link there leads elsewhere."""
        for candidate in candidates:
            if self._exists(path := self.root / candidate):
                if not self._stays(path):
                    raise DataError(
                        f"{self.name}: {path}: leads outside the data set's folder through a symbolic link; "
                        f"copy the file there, or {ALLOW_LINKS}"
                    )
                return path
        return None

    def beside(self, path: Path) -> bool:
        """Whether a file of another data set, in the same data root, exists; DataError when a link leads out of it."""
        if not self._exists(path):
            return False
        home, real = os.path.realpath(self.root.parent), os.path.realpath(path)
        if not (real.startswith(home.rstrip(os.sep) + os.sep) or may_follow(real, self.follow_links)):
            raise DataError(f"{self.name}: {path}: leads out of {home} through a symbolic link; {ALLOW_LINKS}")
        return True

    def _exists(self, path: Path) -> bool:
        try:
            return path.exists()
        except OSError as error:  # a folder without permission to read, or a name that no file can have
            raise DataError(f"{self.name}: {brief(str(path))}: cannot be opened: {error.strerror}") from error

    def listing(self, folder: Path, pattern: str = "*", *, recursive: bool = False) -> list[Path]:
        """What lies in a folder, sorted by name, or with `recursive` also in its folders; DataError when it is none.

        What operating systems leave there (`faceptor.datasets.folders.LITTER`) is passed over and counted.
        """
        found = []
        try:
            for path, litter in entries(folder, recursive=recursive, links=self.follow_links is not False):
                if litter:
                    self._litter[path] = litter
                elif fnmatchcase(path.name, pattern):
                    found.append(path)
        except OSError as error:
            raise self.wrong(folder, expected="a folder", found=error.strerror or "none") from error
        return found

    @property
    def ignored(self) -> dict[str, int]:
        """Files and folders of operating systems that listings passed over: pattern -> how many."""
        return dict(sorted(Counter(self._litter.values()).items()))

    def _stays(self, path: Path) -> bool:
        """Whether a path leads into the data set's folder once every symbolic link is followed."""
        for each in {str(self.root), str(path.parent)} - self._real.keys():
            self._real[each] = os.path.realpath(each)
        home, folder = self._real[str(self.root)], self._real[str(path.parent)]
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(folder, path.name)
        inside = real == home or real.startswith(home + os.sep)
        return inside or may_follow(real, self.follow_links)

    def wrong(self, path: Path, *, expected: str, found: str) -> DataError:
        """The error for an index file that does not say what it should."""
        return DataError(f"{self.name}: {path}: expected {expected}, found {found}; {self.remedy}")

    # --- errors about one sample -----------------------------------------------------------------------------------

    def where(self, path: Path, line: int | None = None) -> str:
        """file[:line] for a reject, relative to the data set's folder."""
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return printable(str(shown)) + (f":{line}" if line else "")

    def attempt(self, key: str, where: str, build: Callable[..., Record], *args) -> Record | Reject:
        """The record that `build(*args)` gives, or the reject that says why there is none."""
        try:
            if key != printable(key):
                raise BadSample(ODD_NAME)
            return build(*args)
        except BadSample as reason:
            return Reject(brief(key), brief(where), brief(str(reason)))

    def kept(self, key: str, where: str, build: Callable[..., Record], *args) -> Iterator[Record | Reject]:
        """As `attempt`; nothing for a sample that `build` leaves out on purpose."""
        try:
            item = self.attempt(key, where, build, *args)
        except LeftOut as reason:
            self.dropped[str(reason)] += 1
        else:
            yield item

    def inside(self, relative: str, *, folder: Path | None = None) -> Path:
        """Path of a file named in an index; BadSample when it leaves the data set's folder."""
        pure = PurePosixPath(relative)
        if not relative or "\0" in relative or pure.is_absolute() or ".." in pure.parts:
            raise BadSample(f"path {relative!r} does not stay inside the data set's folder")
        if printable(relative) != relative:
            raise BadSample(ODD_NAME)
        path = (folder or self.root) / relative
        if not self._stays(path):
            raise BadSample(
                f"path {relative!r} leads outside the data set's folder through a symbolic link; {ALLOW_LINKS}"
            )
        return path

    def image(self, relative: str, *, folder: Path | None = None) -> Path:
        """An image named in an index: as written, else with / for Windows' \\, with accents in the other of their two
        forms, with another usual extension, or with its extension in another case."""
        for name in spellings(relative):
            path = self.inside(name, folder=folder)
            try:
                for other in (path, *(path.with_suffix(suffix) for suffix in SUFFIXES)):
                    if other.is_file():
                        return self.inside(str(other.relative_to(folder or self.root)), folder=folder)
            except (OSError, ValueError) as error:
                raise BadSample(f"image {relative!r} cannot be opened: {error}") from error
        raise BadSample(f"image {relative!r} is missing")


def spellings(name: str) -> tuple[str, ...]:
    """Ways in which other systems write the same file name, the one that is written first."""
    plain = (name, name.replace("\\", "/"))
    forms = [unicodedata.normalize(form, each) for each in plain for form in ("NFC", "NFD")]
    return tuple(dict.fromkeys((*plain, *forms)))
