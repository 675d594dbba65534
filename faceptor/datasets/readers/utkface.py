"""UTKFace: age, gender and race, all of them written in the file names `age_gender_race_date.jpg.chip.jpg`."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.formats.textfiles import lines
from faceptor.datasets.labels import AGE_DECADES, AGES, FACEXFORMER_RACES, GENDERS, UTKFACE_RACES
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, printable, share

# A time stamp has 17 digits; two files of the owner have 18.
NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d{17,18}\.jpg(?:\.chip\.jpg)?")
LISTS = ("label/{split}.csv", "utk_{split}.csv", "train-test-csv/utk_{split}.csv")
ALIGNED, WILD = ("UTKFace", "data"), ("part1", "part2", "part3")
TRAIN_SHARE = 0.8
UNUSABLE = "the name is not age_gender_race_date (a field is missing or broken)"
TOO_OLD = f"older than {AGES[-1]} years"


@dataclass(frozen=True)
class Entry:
    """One image as a list or a folder names it. `listed` is the list's age; `problem` says why it is unusable."""

    name: str
    where: str
    listed: str = ""
    problem: str = ""


class UTKFace(Reader):
    """`protocol="coral"` follows the lists of 21 to 60 years used in ordinal regression and by Faceptor.

    "random_80_20" takes every image in the folder, by a seeded draw. `images="wild"` reads the uncropped photographs
    of `part1/` to `part3/` instead of the aligned 200 x 200 faces. `races="facexformer"` numbers the five races in that
    paper's order, Indian before Asian, which FairFace's can be merged into as well.
    """

    name = "utkface"
    title = "UTKFace"
    source = "images: https://susanqq.github.io/UTKFace/; lists: https://github.com/Raschka-research-group/coral-cnn"
    licence = "non-commercial research; images belong to their owners"
    published: ClassVar = {"train": 13144, "test": 3287}
    choices: ClassVar = {
        "protocol": ("coral", "random_80_20"), "images": ("aligned", "wild"), "races": ("utkface", "facexformer"),
    }  # fmt: skip
    columns = ("age", "agegroup", "gender", "race")
    classes: ClassVar = {
        "age": tuple(str(age) for age in AGES),
        "agegroup": AGE_DECADES,
        "gender": GENDERS,
        "race": UTKFACE_RACES,
    }

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        if self.options["protocol"] != "coral":
            self.published = {}  # nobody publishes this split
        if self.options["races"] == "facexformer":
            self.classes = self.classes | {"race": FACEXFORMER_RACES}
        self._gaps: Counter[int] = Counter()

    @property
    def protocol(self) -> str:
        images = f"{self.options['images']} images"
        if self.options["protocol"] == "coral":
            return f"coral: published lists of 21 to 60 years, rows with an unusable name left out, {images}"
        return f"random_80_20: every image, drawn with seed {self.options['seed']}, not a published split, {images}"

    @property
    def redivided(self) -> bool:
        return self.options["protocol"] != "coral"

    def read(self, split: str) -> Iterator[Record | Reject]:
        coral = self.options["protocol"] == "coral"
        entries = self._listed(split) if coral else self._drawn(split)
        gap = usual_gap(entries)
        for entry in entries:
            labels = NAME.fullmatch(entry.name)
            if not entry.problem and (labels is None or int(labels["age"]) > AGES[-1]):
                self.dropped[UNUSABLE if labels is None else TOO_OLD] += 1
                continue
            yield self.attempt(entry.name, entry.where, self._record, entry, labels, gap, split)

    def _record(self, entry: Entry, labels: re.Match, gap: int | None, split: str) -> Record:
        if entry.problem:
            raise BadSample(entry.problem)
        age = int(labels["age"])
        if gap is not None and age_gap(entry) != gap:
            raise BadSample(f"age {age} in the name, {entry.listed!r} in the list, where other rows differ by {gap}")
        if gap is not None:
            self._gaps[gap] += 1
        return Record(
            key=entry.name,
            split=split,
            image=self._image(entry.name),
            age=float(age),
            agegroup=min(age // 10, len(AGE_DECADES) - 1),
            gender=int(labels["gender"]),
            race=self.classes["race"].index(UTKFACE_RACES[int(labels["race"])]),
        )

    # --- images ----------------------------------------------------------------------------------------------------

    @cached_property
    def _folders(self) -> list[Path]:
        if self.options["images"] == "aligned":
            return [self.require(*ALIGNED, what="the folder of aligned images")]
        return [self.require(part, what=f"folder {part}") for part in WILD]

    def _image(self, name: str) -> Path:
        if self.options["images"] == "wild":
            name = name.removesuffix(".chip.jpg")
            folder = next((folder for folder in self._folders if (folder / name).is_file()), self._folders[0])
            return self.image(name, folder=folder)
        return self.image(name, folder=self._folders[0])

    # --- splits ----------------------------------------------------------------------------------------------------

    def _listed(self, split: str) -> list[Entry]:
        """Rows `<number>,<file>,<age>` of a CORAL list, below one line of header."""
        _ = self._folders  # missing images are found before the first row
        names = [name.format(split=split) for name in LISTS]
        path = self.require(*names, what=f"CORAL list of the {split} split (or set protocol: random_80_20)")
        entries = [listed(text, self.where(path, line)) for line, text in lines(path)]
        headed = bool(entries) and not NAME.fullmatch(entries[0].name)
        if len(entries) == headed:
            raise self.wrong(path, expected="rows of number, file and age", found="none")
        return entries[headed:]

    def _drawn(self, split: str) -> list[Entry]:
        files = sorted((path for folder in self._folders for path in self.listing(folder)), key=lambda path: path.name)
        entries = [Entry(path.name, self.where(path)) for path in files if path.name.lower().endswith(".jpg")]
        if not entries:
            example = "21_0_1_20170117163203851.jpg.chip.jpg"
            raise self.wrong(self._folders[0], expected=f"files like {example}", found="none")
        train = split == "train"
        return [e for e in entries if (share(self.options["seed"], e.name) < TRAIN_SHARE) == train]

    def checks(self) -> Iterator[Check]:
        passed = set(self._gaps) in ({0}, {21}) if self._gaps else None
        found = ", ".join(f"{gap} in {count} rows" for gap, count in sorted(self._gaps.items()))
        yield Check.of("age in the file name - listed age is 0 or 21", passed, found)


def listed(text: str, where: str) -> Entry:
    """Entry of one row of a CORAL list."""
    try:
        _, name, age, *_ = next(csv.reader([text]))
        return Entry(name, where, age)
    except (csv.Error, ValueError):
        return Entry(printable(text[:60]), where, problem="expected a row of number, file and age")


def age_gap(entry: Entry) -> int | None:
    """Age in the file name minus age in the list; None where either is no number."""
    years, age = re.match(r"(\d{1,3})_", entry.name), re.fullmatch(r"\s*(\d{1,3})(\.0*)?\s*", entry.listed)
    return int(years[1]) - int(age[1]) if years and age else None


def usual_gap(entries: list[Entry]) -> int | None:
    """The commonest gap: lists count from 0 or from 21 years. None when no list gives ages."""
    gaps = Counter(gap for entry in entries if (gap := age_gap(entry)) is not None)
    return gaps.most_common(1)[0][0] if gaps else None
