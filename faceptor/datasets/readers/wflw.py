"""WFLW: 98 landmarks and six attributes (pose, expression, illumination, make-up, occlusion, blur) per face."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.textfiles import csv_rows, fields, lines
from faceptor.datasets.labels import facts, landmark_scheme
from faceptor.datasets.reader import Check, Reader, Record, Reject, box, integer, landmark_box, number, points
from faceptor.errors import ConfigError

POINTS = 98
SUBSETS: dict[str, int] = dict(facts()["landmarks"]["WFLW"]["test_subsets"])  # in the order of the attribute columns
TRAIN_OR_TEST_LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{split}.txt"
TEST_LIST = "WFLW_annotations/list_98pt_test/list_98pt_test.txt"
SUBSET_LIST = "WFLW_annotations/list_98pt_test/list_98pt_test_{subset}.txt"
CSV = "face_landmarks_wflw_{part}.csv"
XY = tuple(f"original_{point}_{axis}" for point in range(POINTS) for axis in "xy")


class WFLW(Reader):
    """`annotations="txt"` reads the owner's lists: per line 98 points, detector box, six flags, image name.

    "csv" reads the HRNet lists instead. `box="landmarks"` crops by the square about the landmarks, as the csv lists do;
    "detector" by the owner's rectangle. Coordinates are used as written, negative ones included.
    """

    name = "wflw"
    title = "WFLW (Wider Facial Landmarks in-the-Wild)"
    source = "https://wywu.github.io/projects/LAB/WFLW.html"
    licence = "non-commercial research"
    published: ClassVar = {"train": 7500, "test": 2500, **{f"test/{name}": count for name, count in SUBSETS.items()}}
    choices: ClassVar = {"annotations": ("txt", "csv"), "box": ("landmarks", "detector")}
    columns = ("landmarks", "box")
    scheme = "WFLW"
    classes: ClassVar = {"landmarks": tuple(landmark_scheme("WFLW").groups)}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self.flagged: Counter[str] = Counter()  # test faces per subset, by the flags
        if self.options["annotations"] == "csv" and self.options["box"] == "detector":
            raise ConfigError("datasets.wflw.options.box: the csv lists have no detector boxes; expected landmarks")

    def read(self, split: str) -> Iterator[Record | Reject]:
        if split == "test":
            self.flagged.clear()
        yield from (self._from_csv if self.options["annotations"] == "csv" else self._from_txt)(split)

    @cached_property
    def _images(self) -> Path:
        return self.require("WFLW_images", "data", what="the folder of images")

    # --- the owner's lists -----------------------------------------------------------------------------------------

    def _from_txt(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(
            TRAIN_OR_TEST_LIST.format(split=split),
            Path(TRAIN_OR_TEST_LIST).name.format(split=split),
            what=f"the {split} list",
        )
        for line, text in lines(path):
            values = text.split()
            key = key_of(values[-1], values)
            yield self.attempt(key, self.where(path, line), self._record, key, text, split)

    def _record(self, key: str, text: str, split: str) -> Record:
        values = fields(text, 2 * POINTS + 4 + len(SUBSETS) + 1)
        xy = points([number(value) for value in values[: 2 * POINTS]], POINTS)
        rectangle = box(*[number(value) for value in values[2 * POINTS : 2 * POINTS + 4]])
        flags = [integer(value, low=0, high=1, what="attribute flag") for value in values[2 * POINTS + 4 : -1]]
        subsets = tuple(name for name, flag in zip(SUBSETS, flags, strict=True) if flag and split == "test")
        self.flagged.update(subsets)
        chosen = rectangle if self.options["box"] == "detector" else landmark_box(xy)
        return self._make(key, values[-1], xy, chosen, split, subsets)

    def _make(self, key: str, name: str, xy: np.ndarray, face: np.ndarray, split: str, subsets: tuple) -> Record:
        return Record(
            key=key,
            split=split,
            image=self.image(name, folder=self._images),
            group=name,  # several faces share one photograph
            subsets=subsets,
            landmarks=xy,
            box=face,
        )

    # --- the HRNet lists -------------------------------------------------------------------------------------------

    def _from_csv(self, split: str) -> Iterator[Record | Reject]:
        subsets = self._csv_subsets() if split == "test" else {}
        path = self.require(CSV.format(part=split), what=f"HRNet list of the {split} split")
        for line, row in csv_rows(path, ("image_name", "scale", "center_w", "center_h", *XY)):
            key = _csv_key(row) if row else f"line {line}"
            yield self.attempt(key, self.where(path, line), self._csv_record, key, row, split, subsets.get(key, ()))

    def _csv_record(self, key: str, row: dict[str, str], split: str, subsets: tuple[str, ...]) -> Record:
        xy = points([number(row[column]) for column in XY], POINTS)
        x, y, half = number(row["center_w"]), number(row["center_h"]), 100 * number(row["scale"])
        self.flagged.update(subsets)
        face = box(x - half, y - half, x + half, y + half)
        return self._make(key, row["image_name"], xy, face, split, subsets)

    def _csv_subsets(self) -> dict[str, tuple[str, ...]]:
        """Key -> subsets of the test faces, from the lists of the subsets that are there."""
        found: dict[str, tuple[str, ...]] = {}
        for subset in SUBSETS:
            if path := self.find(CSV.format(part=f"test_{subset}")):
                for _, row in csv_rows(path, ("image_name", *XY)):
                    if row:
                        found[_csv_key(row)] = (*found.get(_csv_key(row), ()), subset)
        return found

    # --- checks ----------------------------------------------------------------------------------------------------

    def checks(self) -> Iterator[Check]:
        """The owner's lists of the subsets name as many faces as the flags."""
        for subset in SUBSETS:
            listed, name = SUBSET_LIST.format(subset=subset), f"{subset}: list and flags agree"
            if not (path := self.find(listed)):
                yield Check(name, "na", f"no {Path(listed).name}")
                continue
            listed = sum(1 for _ in lines(path))
            flagged = self.flagged[subset]
            yield Check.of(name, listed == flagged, f"{listed} listed, {flagged} flagged")


def key_of(name: str, values: list[str]) -> str:
    """Name of a face: its image and its first point, since one photograph may show several faces."""
    return f"{name}@{','.join(_short(value) for value in values[:2])}"


def _csv_key(row: dict[str, str]) -> str:
    return key_of(row["image_name"], [row[column] for column in XY[:2]])


def _short(text: str) -> str:
    """A coordinate with three decimals, whatever the file wrote; other text as it is."""
    try:
        return f"{float(text):.3f}"
    except ValueError:
        return text
