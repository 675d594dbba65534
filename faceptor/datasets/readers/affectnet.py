"""AffectNet: seven expressions (of eleven published labels) in any of the three layouts in use."""

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.textfiles import LARGEST_LABEL, csv_rows, fields, lines
from faceptor.datasets.labels import EXPRESSIONS, landmark_scheme
from faceptor.datasets.reader import (
    IMAGE_SUFFIXES,
    BadSample,
    LeftOut,
    Reader,
    Record,
    Reject,
    box,
    integer,
    number,
    points,
)
from faceptor.errors import ConfigError
from faceptor.io.words import one_line

_NAMES = {"train": ("training.csv", "train.csv"), "test": ("validation.csv", "valid.csv")}
_FOLDERS = ("", "Manually_Annotated_file_lists/")
CSV = {split: tuple(folder + name for folder in _FOLDERS for name in names) for split, names in _NAMES.items()}
COLUMNS = ("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "expression")
LANDMARKS = "facial_landmarks"  # x1;y1;...;x68;y68; the npy release has them in <id>_lnd.npy
NPY = {"train": "train_set", "test": "val_set"}
LISTS = {"train": "label/train.txt", "test": "label/test.txt"}
LAST_RAW_LABEL = 10
DROPPED = "label 7 or above (contempt, none, uncertain, no face)"


class AffectNet(Reader):
    """Layouts: `training.csv` + images with face boxes; `train_set/{images,annotations}`; `label/train.txt` + data."""

    name = "affectnet"
    title = "AffectNet (manually annotated)"
    source = "by request of a professor or lab manager: http://mohammadmahoor.com/affectnet/"
    licence = "research only, by signed agreement"
    published: ClassVar = {"train": 283901, "test": 3500}
    strict_counts = False  # the number of usable images differs between releases and papers
    classes: ClassVar = {"expression": EXPRESSIONS}
    choices: ClassVar = {"landmarks": (False, True)}  # True: read the 68 landmarks, for crops that align faces

    @property
    def columns(self) -> tuple[str, ...]:
        found = ("expression", "box") if self._release == "csv" else ("expression",)
        if not self.options["landmarks"]:
            return found
        if self._release == "lists":
            raise ConfigError(
                f"datasets.affectnet.options.landmarks: {self.root} has the lists layout ({LISTS['train']}), which "
                "comes without landmarks; set it to false and crop the whole image"
            )
        return (*found, "points5")

    @cached_property
    def _release(self) -> str:
        for release, marks in (("csv", CSV["train"]), ("npy", (NPY["train"],)), ("lists", (LISTS["train"],))):
            if any((self.root / mark).exists() for mark in marks):
                return release
        self.require(CSV["train"][0], NPY["train"], LISTS["train"], what="annotations")
        return ""

    @property
    def protocol(self) -> str:
        return f"published training / validation sets ({self._release} layout), seven expressions"

    def read(self, split: str) -> Iterator[Record | Reject]:
        layout = {"csv": self._from_csv, "npy": self._from_npy, "lists": self._from_lists}[self._release]
        for key, where, build, *args in layout(split):
            yield from self.kept(key, where, build, key, split, *args)

    def _from_csv(self, split: str) -> Iterator[tuple]:
        columns = (*COLUMNS, LANDMARKS) if self.options["landmarks"] else COLUMNS
        path = self.require(*CSV[split], what=f"list of the {split} split")
        folder = self.require(
            "Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", what="the folder of images"
        )
        for line, row in csv_rows(path, columns):
            key = row.get("subDirectory_filePath", f"{path.name}:{line}")
            yield key, self.where(path, line), self._csv_record, row, folder

    def _csv_record(self, key: str, split: str, row: dict[str, str], folder: Path) -> Record:
        label = seven(row["expression"])
        x, y, width, height = (number(row[column]) for column in COLUMNS[1:5])
        face = box(x, y, x + width, y + height)
        five = five_points(row[LANDMARKS].split(";"), LANDMARKS) if self.options["landmarks"] else None
        image = self.image(key, folder=folder)
        return Record(key=key, split=split, image=image, box=face, points5=five, expression=label)

    def _from_npy(self, split: str) -> Iterator[tuple]:
        images = self.require(f"{NPY[split]}/images", what=f"images of the {split} split")
        labels = self.require(f"{NPY[split]}/annotations", what=f"annotations of the {split} split")
        for path in self.listing(images):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                yield f"{NPY[split]}/{path.name}", self.where(path), self._npy_record, path, labels

    def _npy_record(self, key: str, split: str, path: Path, labels: Path) -> Record:
        label = seven(array(self.inside(f"{path.stem}_exp.npy", folder=labels), 1)[0])
        five = None
        if self.options["landmarks"]:
            placed = self.inside(f"{path.stem}_lnd.npy", folder=labels)
            five = five_points(array(placed, 136), placed.name)
        image = self.inside(path.name, folder=path.parent)
        return Record(key=key, split=split, image=image, points5=five, expression=label)

    def _from_lists(self, split: str) -> Iterator[tuple]:
        path = self.require(LISTS[split], what=f"list of the {split} split")
        folder = self.require("data", what="the folder of images")
        for line, text in lines(path):
            yield text.split()[0], self.where(path, line), self._listed_record, text, folder

    def _listed_record(self, key: str, split: str, text: str, folder: Path) -> Record:
        name, label = fields(text, 2)
        label = seven(label)
        return Record(key=key, split=split, image=self.image(name, folder=folder), expression=label)


def seven(text: str) -> int:
    """Published label -> index into EXPRESSIONS (the same numbers); LeftOut for one of the others."""
    label = integer(text, low=0, high=LAST_RAW_LABEL, what="expression")
    if label >= len(EXPRESSIONS):
        raise LeftOut(DROPPED)
    return label


def five_points(values: list[str], where: str) -> np.ndarray:
    """68 published landmarks -> (5, 2) float32 alignment points; BadSample for another count or not numbers."""
    if len(values) != 136:
        raise BadSample(f"{where}: expected 136 numbers, x1, y1, ..., y68, found {len(values)}")
    return landmark_scheme("300W").five_points(points([number(value) for value in values], 68))


def array(path: Path, count: int) -> list[str]:
    """The `count` values of a .npy file, as texts (owners store numbers and strings); BadSample for anything else."""
    if not path.is_file():
        raise BadSample(f"{path.name} is missing")
    if path.stat().st_size > LARGEST_LABEL:
        raise BadSample(f"{path.name} is larger than {LARGEST_LABEL} bytes")
    data = io.BytesIO(path.read_bytes())
    try:
        major, _ = np.lib.format.read_magic(data)
        header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, kind = header(data)  # before memory is taken
        if np.prod(shape, dtype=float) != count or kind.hasobject or kind.itemsize > 1024:
            raise BadSample(f"{path.name}: expected {count} value(s), found shape {shape} of {kind}")
        data.seek(0)
        return [str(value) for value in np.lib.format.read_array(data, allow_pickle=False).ravel().tolist()]
    except BadSample:
        raise
    except Exception as error:  # the header is Python source, which fails in as many ways
        raise BadSample(f"{path.name}: expected a .npy array: {one_line(error)}") from error
