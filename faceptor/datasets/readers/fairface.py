"""FairFace: gender, seven groups of race and nine age groups on loosely cropped faces."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.formats.textfiles import csv_rows
from faceptor.datasets.labels import (
    FACEXFORMER_RACES,
    FAIRFACE_AGES,
    FAIRFACE_RACE_TO_FACEXFORMER,
    FAIRFACE_RACES,
    GENDERS,
)
from faceptor.datasets.reader import BadSample, Reader, Record, Reject

LISTS = {"train": "fairface_label_train.csv", "test": "fairface_label_val.csv"}
COLUMNS = ("file", "age", "gender", "race", "service_test")
MARGINS = ("025", "125")  # of the crop, hundredths of the face; one archive each


class FairFace(Reader):
    """The owner's two lists beside `train/` and `val/`; `val` is the test split: the owner's test set is withheld.

    `races="facexformer"` merges the seven races into that paper's five, White, Black, Indian, Asian, Others: both Asian
    groups are Asian; Latino and Middle Eastern, which it does not place, are Others.
    """

    name = "fairface"
    title = "FairFace"
    source = "https://github.com/joojs/fairface"
    licence = "CC BY 4.0"
    redistribution = "yes, with attribution"
    published: ClassVar = {"train": 86744, "test": 10954}
    choices: ClassVar = {"margin": ("any", *MARGINS), "races": ("fairface", "facexformer")}
    columns = ("gender", "race", "agegroup")
    classes: ClassVar = {"gender": GENDERS, "race": FAIRFACE_RACES, "agegroup": FAIRFACE_AGES}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        if self.options["races"] == "facexformer":
            self.classes = self.classes | {"race": FACEXFORMER_RACES}

    @property
    def protocol(self) -> str:
        images = self._images.name if self._images != self.root else "train, val"
        merged = "" if self.options["races"] == "fairface" else ", races merged into the five of FaceXFormer"
        return f"published training / validation lists, images in {images}{merged}"

    @cached_property
    def _images(self) -> Path:
        """Folder that holds train/ and val/."""
        margin = self.options["margin"]
        archives = [f"fairface-img-margin{m}-trainval/train" for m in MARGINS if margin in ("any", m)]
        return self.require(*(["train"] if margin == "any" else []), *archives, what="the folder of images").parent

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(LISTS[split], what=f"list of the {split} split")
        _ = self._images  # missing images are found before the first row
        for line, row in csv_rows(path, COLUMNS):
            key = row.get("file", f"{path.name}:{line}")
            yield self.attempt(key, self.where(path, line), self._record, row, split)

    def _record(self, row: dict[str, str], split: str) -> Record:
        race = one_of(row["race"], FAIRFACE_RACES, "race")
        return Record(
            key=row["file"],
            split=split,
            image=self.image(row["file"], folder=self._images),
            subsets=("service_test",) if split == "test" and row["service_test"].strip() == "True" else (),
            gender=one_of(row["gender"], ("Male", "Female"), "gender"),
            race=race if self.options["races"] == "fairface" else FAIRFACE_RACE_TO_FACEXFORMER[race],
            agegroup=one_of(row["age"], FAIRFACE_AGES, "age group (a spreadsheet program turns 10-19 into a date)"),
        )


def one_of(text: str, names: tuple[str, ...], what: str) -> int:
    """Index of a name; BadSample when it is none of them."""
    if (name := text.strip()) not in names:
        raise BadSample(f"{what}: expected one of {', '.join(names)}, found {name[:20]!r}")
    return names.index(name)
