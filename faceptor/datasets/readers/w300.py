"""300W: 68 landmarks on the iBUG re-annotated AFW, HELEN, LFPW and iBUG photographs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.matlab import load_mat
from faceptor.datasets.formats.textfiles import csv_rows, pts
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import (
    IMAGE_SUFFIXES,
    BadSample,
    Check,
    Reader,
    Record,
    Reject,
    box,
    landmark_box,
    number,
    points,
)

TRAIN = ("afw", "helen/trainset", "lfpw/trainset")
TEST = {"helen/testset": "common", "lfpw/testset": "common", "ibug": "challenge"}
CSV = {"train": "face_landmarks_300w_train.csv", "test": "face_landmarks_300w_valid.csv"}
XY = tuple(f"original_{point}_{axis}" for point in range(68) for axis in "xy")


class W300(Reader):
    """`annotations="pts"` reads the owner's files (1-based: minus 1); "csv" the HRNet lists (minus 2).

    `box="landmarks"` crops by the square about the landmarks, "detector" by the owner's face detector, whose boxes lie
    in `Bounding_Boxes/bounding_boxes_<part>.mat` (1-based too; faces without one are rejected).
    """

    name = "300w"
    title = "300W (300 Faces in-the-Wild)"
    source = "https://ibug.doc.ic.ac.uk/resources/300-W/"
    licence = "research only; images keep their owners' rights"
    published: ClassVar = {"train": 3148, "test": 689, "test/common": 554, "test/challenge": 135}
    choices: ClassVar = {"annotations": ("pts", "csv"), "box": ("landmarks", "detector")}
    columns = ("landmarks", "box")
    scheme = "300W"
    classes: ClassVar = {"landmarks": tuple(landmark_scheme("300W").groups)}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self._detections: dict[str, dict[str, np.ndarray]] = {}  # folder -> image name -> box

    def read(self, split: str) -> Iterator[Record | Reject]:
        if self.options["annotations"] == "csv":
            yield from self._from_csv(split)
            return
        for folder in TRAIN if split == "train" else TEST:
            path = self.require(folder, what=f"folder {folder}")
            stems = files_by_stem(self.listing(path))
            if not stems:
                raise self.wrong(path, expected="images with .pts files", found="none")
            for name, files in stems.items():
                key = f"{folder}/{name}"
                where = self.where(path / f"{name}.pts")
                yield self.attempt(key, where, self._record, key, split, folder, files)

    def _record(self, key: str, split: str, folder: str, files: dict[str, Path]) -> Record:
        for kind in ("image", ".pts"):
            if kind not in files:
                raise BadSample(f"{kind} file is missing")
        xy = pts(self.inside(str(files[".pts"].relative_to(self.root))), 68) - 1  # the owner counts pixels from 1
        image = self.image(str(files["image"].relative_to(self.root)))
        return self._make(key, split, folder, image, xy, landmark_box(xy))

    def _make(self, key: str, split: str, folder: str, image: Path, xy: np.ndarray, face: np.ndarray) -> Record:
        # AFW and HELEN name faces <photograph>_<face>: one photograph stays on one side of a split.
        group = re.sub(r"_\d+$", "", key) if key.startswith(("afw/", "helen/")) else key
        subsets = () if split == "train" else (TEST[folder],)
        if self.options["box"] == "detector":
            face = self._detected(folder, image.name)
        return Record(key=key, split=split, image=image, group=group, subsets=subsets, landmarks=xy, box=face)

    def _detected(self, folder: str, name: str) -> np.ndarray:
        """The owner's detector box of an image."""
        if folder not in self._detections:
            file = f"bounding_boxes_{folder.replace('/', '_')}.mat"
            path = self.require(f"Bounding_Boxes/{file}", f"Bounding Boxes/{file}", what="the detector boxes")
            self._detections[folder] = detector_boxes(load_mat(path, ("bounding_boxes",))["bounding_boxes"])
        if (key := name.replace(" ", "").lower()) not in self._detections[folder]:
            raise BadSample(f"no detector box for {name}")
        return box(*self._detections[folder][key])

    def _from_csv(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(CSV[split], what=f"HRNet list of the {split} split")
        for line, row in csv_rows(path, ("image_name", "scale", "center_w", "center_h", *XY)):
            name = row.get("image_name", f"line {line}")
            yield self.attempt(stem(name), self.where(path, line), self._csv_record, row, split)

    def _csv_record(self, row: dict[str, str], split: str) -> Record:
        name = row["image_name"]
        folder = str(Path(name).parent)
        if folder not in (TRAIN if split == "train" else TEST):
            raise BadSample(f"folder {folder!r} is not part of the {split} split")
        try:
            image = self.image(name)
        except BadSample:  # the owner's archive has a space in ibug/image_092 _01
            image = self.image(re.sub(r"_(\d+\.\w+)$", r" _\1", name))
        x, y, half = number(row["center_w"]) - 2, number(row["center_h"]) - 2, 100 * number(row["scale"])
        xy = points([number(row[column]) for column in XY], 68) - 2
        return self._make(stem(name), split, folder, image, xy, box(x - half, y - half, x + half, y + half))

    def checks(self) -> Iterator[Check]:
        yield self._csv_agrees_with_pts()

    def _csv_agrees_with_pts(self) -> Check:
        name = "csv - 2 == pts - 1"
        if not (path := self.find(CSV["train"])):
            return Check(name, "na", f"no {CSV['train']}")
        for _, row in csv_rows(path, ("image_name", *XY)):
            try:
                labels = pts(self.inside(f"{stem(row['image_name'])}.pts"), 68) - 1
                listed = points([number(row[column]) for column in XY], 68) - 2
            except BadSample:
                continue
            gap = float(np.abs(labels - listed).max())
            return Check.of(name, gap < 0.01, f"{row['image_name']}: largest gap {gap:.3f} px")
        return Check(name, "na", "no face has both")


def stem(name: str) -> str:
    """Path without its extension: the key of a face."""
    return re.sub(r"\.\w+$", "", name)


def detector_boxes(cells: list | np.ndarray) -> dict[str, np.ndarray]:
    """Image name (lower case, no spaces) -> 0-based box, from structs with `imgName` and `bb_detector`."""
    found = {}
    for cell in cells if isinstance(cells, list) else ():
        names = getattr(getattr(cell, "dtype", None), "names", None) or ()
        if {"imgName", "bb_detector"} <= set(names) and np.size(cell) == 1:
            entry = cell.ravel()[0]
            rectangle = np.ravel(entry["bb_detector"])
            if rectangle.size == 4 and rectangle.dtype.kind in "iuf":
                found["".join(map(str, np.ravel(entry["imgName"]))).replace(" ", "").lower()] = rectangle - 1
    return found


def files_by_stem(paths: list[Path]) -> dict[str, dict[str, Path]]:
    """Image and .pts file of every face, by name without spaces (one published name has a stray one)."""
    found: dict[str, dict[str, Path]] = {}
    for path in paths:
        suffix = path.suffix.lower()
        kind = "image" if suffix in IMAGE_SUFFIXES else suffix
        if kind in ("image", ".pts") and not path.name.startswith("."):
            found.setdefault(path.stem.replace(" ", ""), {})[kind] = path
    return found
