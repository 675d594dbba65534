"""FERPlus: expressions voted by ten taggers on the 48 x 48 grey faces of FER2013."""

from collections.abc import Iterator
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.images import encode_mask
from faceptor.datasets.formats.textfiles import BrokenRow, csv_rows, fields, lines
from faceptor.datasets.labels import EXPRESSIONS, EXPRESSIONS_8, FERPLUS_TO_UNIFIED, FERPLUS_VOTES
from faceptor.datasets.reader import BadSample, LeftOut, Reader, Record, Reject, integer

SIDE_PIXELS = 48
TAGGERS = 10
VOTES, PIXELS = "fer2013new.csv", ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv")
# The owner's three parts; the second is the public test of the FER2013 contest, used for training since.
PARTS = {"train": ("Training", "PublicTest"), "test": ("PrivateTest",)}
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
LISTS = {"Training": "label/train.txt", "PublicTest": "label/val.txt", "PrivateTest": "label/test.txt"}
# (expressions, rule) -> samples of the three parts.
COUNTS = {
    (7, "majority"): (24941, 3186, 3137),
    (8, "majority"): (25060, 3199, 3153),
    (7, "argmax"): (28224, 3529, 3519),
    (8, "argmax"): (28389, 3553, 3546),
}


class FERPlus(Reader):
    """Layouts: `fer2013.csv` + `fer2013new.csv`; `FER2013{Train,Valid,Test}/` of png with votes; `label/*.txt` + data.

    `rule="majority"` is the owner's: votes of a single tagger are ignored, and an expression needs more than half of
    the rest. "argmax" takes the commonest answer, however few votes it has. `expressions=8` keeps contempt.
    """

    name = "ferplus"
    title = "FERPlus (FER2013 with crowd-sourced labels)"
    source = "votes: https://github.com/microsoft/FERPlus; images: FER2013 on Kaggle"
    licence = "votes: MIT; images: terms of the FER2013 contest"
    redistribution = "votes yes, images no"
    published: ClassVar = {"train": 28127, "test": 3137}
    choices: ClassVar = {"expressions": (7, 8), "rule": ("majority", "argmax")}
    columns = ("expression",)
    classes: ClassVar = {"expression": EXPRESSIONS}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self.classes = {"expression": EXPRESSIONS if self.options["expressions"] == 7 else EXPRESSIONS_8}
        train, valid, test = COUNTS[self.options["expressions"], self.options["rule"]]
        self.published = {"train": train + valid, "test": test, "train/Training": train, "train/PublicTest": valid}

    @property
    def protocol(self) -> str:
        rule = {
            "majority": "majority of the votes that more than one tagger gave",
            "argmax": "commonest of the votes (argmax, no outliers removed)",
        }[self.options["rule"]]
        rule = "labels as listed" if self._layout == "lists" else rule
        return f"{self.options['expressions']} expressions, {rule}; Training + PublicTest / PrivateTest"

    @cached_property
    def _layout(self) -> str:
        marks = {"pixels": PIXELS, "folders": FOLDERS.values(), "lists": LISTS.values()}
        for layout, paths in marks.items():
            if any((self.root / path).exists() for path in paths):
                return layout
        self.require(PIXELS[0], FOLDERS["Training"], LISTS["Training"], what="the images")
        return ""

    def read(self, split: str) -> Iterator[Record | Reject]:
        layout = {"pixels": self._from_pixels, "folders": self._from_folders, "lists": self._from_lists}[self._layout]
        for part in PARTS[split]:
            for key, where, build, *args in layout(part):
                yield from self.kept(key, where, build, key, split, part, *args)

    def _make(self, key: str, split: str, part: str, image: Path | bytes, label: int) -> Record:
        subsets = (part,) if split == "train" else ()
        return Record(key=key, split=split, image=image, subsets=subsets, expression=label)

    # --- fer2013.csv: grey values as text --------------------------------------------------------------------------

    def _from_pixels(self, part: str) -> Iterator[tuple]:
        votes, pixels = self.require(VOTES, what="the votes"), self.require(*PIXELS, what="the pixels")
        both = zip_longest(csv_rows(votes, ("Usage", *FERPLUS_VOTES)), csv_rows(pixels, ("Usage", "pixels")))
        for number, (voted, drawn) in enumerate(both):
            if voted is None or drawn is None:
                raise self.wrong(votes, expected=f"a row for every row of {pixels.name}", found=f"no row {number + 1}")
            usages = {row["Usage"].strip() for _, row in (voted, drawn) if row} & FOLDERS.keys()
            if len(usages) > 1:  # every row after a missing one would have the votes of another
                found = f"two in row {number + 1}; the files do not belong together"
                raise self.wrong(votes, expected=f"the same Usage as in {pixels.name}", found=found)
            if usages == {part} or (part == "Training" and not usages):
                key = f"fer{number:07d}.png"
                yield key, self.where(votes, voted[0]), self._pixel_record, voted[1], drawn[1]

    def _pixel_record(self, key: str, split: str, part: str, voted: dict, drawn: dict) -> Record:
        for usage in [row["Usage"] for row in (voted, drawn)]:
            if usage.strip() not in FOLDERS:
                raise BadSample(f"Usage: expected one of {', '.join(FOLDERS)}, found {usage[:20]!r}")
        label = self._label(voted)
        return self._make(key, split, part, encode_mask(grey(drawn["pixels"])), label)

    # --- folders of png, as the owner's tool writes them --------------------------------------------------------------

    def _from_folders(self, part: str) -> Iterator[tuple]:
        folder = self.require(FOLDERS[part], what=f"images of {part}")
        if path := self.find(f"{folder.relative_to(self.root)}/label.csv"):
            # name, "(0, 0, 48, 48)", ten votes; no header
            for line, text in lines(path):
                name, _, rest = text.partition(",")
                votes = rest.rpartition('"')[2].strip(",").split(",")
                row = dict(zip(FERPLUS_VOTES, votes, strict=True)) if len(votes) == len(FERPLUS_VOTES) else BrokenRow()
                yield name, self.where(path, line), self._folder_record, row, folder
            return
        path = self.require(VOTES, f"{FOLDERS[part]}/label.csv", what="the votes")
        for line, row in csv_rows(path, ("Usage", "Image name", *FERPLUS_VOTES)):
            usage = row.get("Usage", "").strip()
            if usage == part or (part == "Training" and usage not in FOLDERS):  # reported once
                name = row.get("Image name", "").strip()
                yield name or f"line {line}", self.where(path, line), self._folder_record, row, folder

    def _folder_record(self, key: str, split: str, part: str, row: dict, folder: Path) -> Record:
        if "Usage" in row and row["Usage"].strip() != part:
            raise BadSample(f"Usage: expected one of {', '.join(FOLDERS)}, found {row['Usage'][:20]!r}")
        label = self._label(row)
        return self._make(key, split, part, self.image(key, folder=folder), label)

    # --- lists of paths with the number of the vote column ----------------------------------------------------------

    def _from_lists(self, part: str) -> Iterator[tuple]:
        path = self.require(LISTS[part], what=f"list of {part}")
        folder = self.require("data", what="the folder of images")
        for line, text in lines(path):
            yield text.split()[0], self.where(path, line), self._listed_record, text, folder

    def _listed_record(self, key: str, split: str, part: str, text: str, folder: Path) -> Record:
        name, column = fields(text, 2)
        label = self._kept(integer(column, low=0, high=len(FERPLUS_TO_UNIFIED) - 1, what="label"))
        return self._make(key, split, part, self.image(name, folder=folder), label)

    # --- votes --------------------------------------------------------------------------------------------------------

    def _label(self, row: dict[str, str]) -> int:
        votes = np.array([integer(row[name], low=0, high=TAGGERS, what=name) for name in FERPLUS_VOTES])
        return self._kept((majority if self.options["rule"] == "majority" else commonest)(votes))

    def _kept(self, column: int | None) -> int:
        """Vote column -> index into the expressions; LeftOut where there is none."""
        if column is None:
            raise LeftOut("no expression has the majority of the votes")
        if column not in FERPLUS_TO_UNIFIED:
            raise LeftOut("voted unknown or not a face")
        label = FERPLUS_TO_UNIFIED[column]
        if label >= self.options["expressions"]:
            raise LeftOut("contempt, which is not among the seven expressions")
        return label


def majority(votes: np.ndarray) -> int | None:
    """(10,) votes -> the column with more than half of the votes that are not a single tagger's; None without one."""
    kept = np.where(votes > 1, votes, 0)
    best = int(kept.argmax())
    return best if 2 * kept[best] > kept.sum() else None


def commonest(votes: np.ndarray) -> int:
    """(10,) votes -> the first column with the most."""
    return int(votes.argmax())


def grey(text: str) -> np.ndarray:
    """(48, 48) uint8 from grey values separated by spaces, row by row."""
    try:
        values = np.array(text.split()).astype(np.int64)
    except (ValueError, OverflowError):
        raise BadSample("pixels: expected whole numbers") from None
    if values.size != SIDE_PIXELS * SIDE_PIXELS or values.min() < 0 or values.max() > 255:
        raise BadSample(f"pixels: expected {SIDE_PIXELS * SIDE_PIXELS} values in 0..255, found {values.size}")
    return values.astype(np.uint8).reshape(SIDE_PIXELS, SIDE_PIXELS)
