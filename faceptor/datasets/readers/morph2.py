"""MORPH II: age in years on police photographs; several per subject."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.formats.textfiles import csv_rows, fields, has_columns, lines
from faceptor.datasets.labels import AGES
from faceptor.datasets.reader import IMAGE_SUFFIXES, BadSample, Check, Reader, Record, Reject, integer, printable, share
from faceptor.errors import DataError

LISTS = "label/RANDOM_80_20"
OWNER_LIST = "morph_2008_nonCommercial.csv"
NAME = re.compile(r"(?P<id>\d+)_(?P<picture>\d+)(?P<gender>[MF])(?P<age>\d+)$")
TRAIN_SHARE = 0.8


@dataclass(frozen=True)
class Entry:
    """One image as a list names it; `age` is still text. `problem` says why it cannot be used."""

    photo: str
    age: str
    where: str
    problem: str = ""

    @property
    def subject(self) -> str:
        found = NAME.match(Path(self.photo).stem)
        return found["id"] if found else self.photo


class Morph2(Reader):
    """`protocol="random_80_20"` splits by image (one subject may be on both sides), "subject_exclusive" by subject.

    With lists in `label/RANDOM_80_20/{train,test}.txt` the random protocol follows them; without, it draws with
    `seed` and is then not the paper's split, whose lists are unpublished. Any csv with the columns age and photo names
    the images: `csv="owner"` wants the owner's, "cleaned" another one; "any" prefers the owner's. Without a csv the
    file names tell id and age.
    """

    name = "morph2"
    title = "MORPH II (academic)"
    source = "licence from the Face Aging Group, University of North Carolina Wilmington"
    licence = "by licence agreement, academic and non-commercial"
    published: ClassVar = {"train": 44194, "test": 11049}
    choices: ClassVar = {"protocol": ("random_80_20", "subject_exclusive"), "csv": ("any", "owner", "cleaned")}
    strict_counts = False  # releases and cleaned lists differ; the paper's own counts are rounded
    columns = ("age",)
    classes: ClassVar = {"age": tuple(str(age) for age in AGES)}

    @property
    def protocol(self) -> str:
        images = self._csv.name if self._csv else "file names"
        if self.options["protocol"] == "subject_exclusive":
            return f"subject_exclusive: 80/20 by subject, seed {self.options['seed']}; images of {images}"
        if self._lists:
            return f"random_80_20: lists in {LISTS} (by image: a subject may be in train and test)"
        return (
            f"random_80_20: drawn by image, seed {self.options['seed']}, not the paper's unpublished lists "
            f"(a subject may be in train and test); images of {images}"
        )

    @cached_property
    def _lists(self) -> dict[str, Path]:
        found = {split: self.find(f"{LISTS}/{split}.txt") for split in ("train", "test")}
        return found if all(found.values()) else {}

    def read(self, split: str) -> Iterator[Record | Reject]:
        if self._lists and self.options["protocol"] == "random_80_20":
            entries = list(listed(self._lists[split], self.where(self._lists[split])))
        else:
            entries = self._split[split]
        for entry in entries:
            yield self.attempt(entry.photo, entry.where, self._record, entry, split)

    def _record(self, entry: Entry, split: str) -> Record:
        if entry.problem:
            raise BadSample(entry.problem)
        age = integer(entry.age, low=AGES[0], high=AGES[-1], what="age")
        image = self.image(entry.photo, folder=self._images)
        return Record(key=entry.photo, split=split, image=image, group=entry.subject, age=float(age))

    @cached_property
    def _images(self) -> Path:
        return self.root / "data" if self._lists and (self.root / "data").is_dir() else self.root

    @cached_property
    def _entries(self) -> list[Entry]:
        if path := self._csv:
            return [entry_of(row, self.where(path, line)) for line, row in csv_rows(path, ("age", "photo"))]
        return list(self._by_file_name())

    @cached_property
    def _csv(self) -> Path | None:
        """The csv to follow: the owner's before others, these by name; None where file names must do."""
        if (wanted := self.options["csv"]) == "owner":
            return self.require(OWNER_LIST, what="the owner's csv")
        if wanted == "any" and (path := self.find(OWNER_LIST)):
            return path  # the owner's, even if other lists are there
        others = [
            path for path in self.listing(self.root, "*.csv") if path.name != OWNER_LIST and self._lists_images(path)
        ]
        if wanted == "cleaned" and len(others) != 1:
            found = ", ".join(path.name for path in others) or "none"
            raise self.wrong(self.root, expected="one more csv with columns age, photo", found=found)
        return others[0] if others else None

    def _lists_images(self, path: Path) -> bool:
        """Whether a file that nobody named is a csv to follow."""
        if path.name != printable(path.name) or not self._stays(path):
            return False
        with suppress(DataError):
            return has_columns(path, ("age", "photo"))
        return False

    def _by_file_name(self) -> Iterator[Entry]:
        self.require(".", what="the folder with albums")
        found = sorted(p for p in self.listing(self.root, recursive=True) if p.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise self.wrong(self.root, expected="a csv with columns age, photo or albums of .JPG files", found="none")
        for path in found:
            name = NAME.match(path.stem)
            problem = "" if name else "expected a name like 009055_1M54.JPG: <id>_<picture><M|F><age>"
            photo = str(path.relative_to(self.root))
            yield Entry(photo, name["age"] if name else "", self.where(path), problem)

    @cached_property
    def _split(self) -> dict[str, list[Entry]]:
        """Seeded 80/20, by image or by subject; depends on the names alone, not on their order."""
        by_subject = self.options["protocol"] == "subject_exclusive"
        unit = [entry.subject if by_subject else entry.photo for entry in self._entries]
        order = sorted(range(len(unit)), key=lambda row: (share(self.options["seed"], unit[row]), unit[row]))
        cut = round(TRAIN_SHARE * len(unit))
        while by_subject and 0 < cut < len(unit) and unit[order[cut]] == unit[order[cut - 1]]:
            cut += 1  # a subject is never divided
        return {
            name: [self._entries[row] for row in sorted(rows)]
            for name, rows in (("train", order[:cut]), ("test", order[cut:]))
        }

    def checks(self) -> Iterator[Check]:
        entries = [] if self._lists and self.options["protocol"] == "random_80_20" else self._entries
        names = [(NAME.match(Path(entry.photo).stem), entry.age) for entry in entries]
        both = [(int(name["age"]), age) for name, age in names if name and re.fullmatch(r" *\d{1,3} *", age)]
        wrong = sum(age != int(text) for age, text in both)
        passed = wrong == 0 if both else None
        yield Check.of("age in the file name == age column", passed, f"{wrong} of {len(both)} differ")


def listed(path: Path, where: str) -> Iterator[Entry]:
    """Entries of a user's list: `<relative path> <age>` per line."""
    for line, text in lines(path):
        try:
            photo, age = fields(text, 2)
            yield Entry(photo, age, f"{where}:{line}")
        except BadSample as error:
            yield Entry(printable(text[:60]), "", f"{where}:{line}", str(error))


def entry_of(row: dict[str, str], where: str) -> Entry:
    if not row:
        return Entry(where, "", where, "the row has another number of fields than the header")
    return Entry(row["photo"].strip(), row["age"], where)
