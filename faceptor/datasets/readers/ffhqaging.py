"""FFHQ-Aging: gender and ten age groups of the 70,000 faces of FFHQ, for tests across data sets."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.formats.textfiles import csv_rows
from faceptor.datasets.labels import AGE_DECADES, FFHQ_AGE_TO_DECADE, FFHQ_AGES, GENDERS
from faceptor.datasets.reader import Reader, Record, Reject, integer
from faceptor.datasets.readers.fairface import one_of

LABELS = "ffhq_aging_labels.csv"
COLUMNS = ("image_number", "age_group", "gender")
FOLDERS = ("thumbnails128x128", "images1024x1024")
SPANNING = "the age group lies in two decades"
FIRST_TEST = 60000  # FFHQ's own division: the first 60,000 faces are for training


class FFHQAging(Reader):
    """`ffhq_aging_labels.csv` beside FFHQ's `thumbnails128x128/` or `images1024x1024/`.

    `protocol="all_test"` tests on every face; "ffhq" follows FFHQ's own first 60,000 / last 10,000. `groups="decades"`
    gives the decades of FaceXFormer instead of the owner's ten groups; faces of 50 to 69, which are of two decades, are
    left out.
    """

    name = "ffhqaging"
    title = "FFHQ-Aging"
    source = "labels: https://github.com/royorel/FFHQ-Aging-Dataset; images: https://github.com/NVlabs/ffhq-dataset"
    licence = "CC BY-NC-SA 4.0; single photographs under their own licences"
    redistribution = "non-commercial, with attribution, under the same terms"
    published: ClassVar = {"test": 70000}
    choices: ClassVar = {
        "protocol": ("all_test", "ffhq"), "images": ("any", *FOLDERS), "groups": ("ffhq", "decades"),
    }  # fmt: skip
    columns = ("gender", "agegroup")
    classes: ClassVar = {"gender": GENDERS, "agegroup": FFHQ_AGES}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        if self.options["protocol"] == "ffhq":
            self.published = {"train": FIRST_TEST, "test": 70000 - FIRST_TEST}
        if self.options["groups"] == "decades":
            self.classes = self.classes | {"agegroup": AGE_DECADES}
            self.published = {}  # nobody counts what remains

    @property
    def protocol(self) -> str:
        split = {"all_test": "every face is for testing", "ffhq": "first 60,000 / last 10,000 faces"}
        groups = "" if self.options["groups"] == "ffhq" else ", ages in decades, without those of 50 to 69"
        return f"{split[self.options['protocol']]}, images of {self._images.name}{groups}"

    @cached_property
    def _images(self) -> Path:
        folders = FOLDERS if self.options["images"] == "any" else (self.options["images"],)
        return self.require(*folders, what="the folder of images")

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(LABELS, what="the labels")
        _ = self._images  # missing images are found before the first row
        for line, row in csv_rows(path, COLUMNS):
            number = row.get("image_number", "").strip()
            if self._side(number) == split:
                if self._spans_decades(row.get("age_group", "").strip()):
                    self.dropped[SPANNING] += 1
                    continue
                yield self.attempt(number or f"line {line}", self.where(path, line), self._record, row, split)

    def _side(self, number: str) -> str:
        first = number.isdecimal() and len(number) <= 5 and int(number) < FIRST_TEST
        return "train" if self.options["protocol"] == "ffhq" and first else "test"

    def _spans_decades(self, group: str) -> bool:
        """Whether a face has to go because its group lies in no one decade."""
        known = self.options["groups"] == "decades" and group in FFHQ_AGES
        return known and FFHQ_AGE_TO_DECADE[FFHQ_AGES.index(group)] is None

    def _record(self, row: dict[str, str], split: str) -> Record:
        group = one_of(row["age_group"], FFHQ_AGES, "age group")
        number = integer(row["image_number"], low=0, high=99999, what="image_number")
        return Record(
            key=f"{number:05d}",
            split=split,
            image=self.image(f"{number // 1000 * 1000:05d}/{number:05d}.png", folder=self._images),
            gender=one_of(row["gender"], GENDERS, "gender"),
            agegroup=group if self.options["groups"] == "ffhq" else FFHQ_AGE_TO_DECADE[group],
        )
