"""LaPa: 11-class maps with 106 landmarks, which also give the five alignment points."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.textfiles import label_text
from faceptor.datasets.labels import LAPA_11, landmark_scheme
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, number, points

FOLDERS = {"train": ("train", "val"), "test": ("test",)}
PARTS = tuple(part for parts in FOLDERS.values() for part in parts)


class LaPa(Reader):
    name = "lapa"
    title = "LaPa (Landmark guided face Parsing)"
    source = "https://github.com/jd-opensource/lapa-dataset"
    licence = "free for non-commercial use, see the LICENSE of the owner's repository"
    published: ClassVar = {"train": 20168, "test": 2000}
    columns = ("mask", "landmarks", "points5")
    scheme = "LaPa-106"
    classes: ClassVar = {"mask": LAPA_11, "landmarks": tuple(landmark_scheme("LaPa-106").groups)}

    def read(self, split: str) -> Iterator[Record | Reject]:
        for part in FOLDERS[split]:
            for path in self.listing(self._images(part)):
                if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
                    key = f"{part}/{path.stem}"
                    yield self.attempt(key, self.where(path), self._record, key, path, split)

    def _images(self, part: str) -> Path:
        return self.require(f"{part}/images", f"LaPa/{part}/images", what=f"images of {part}")

    def _record(self, key: str, path: Path, split: str) -> Record:
        home = path.parent.parent
        xy = self._landmarks(self.inside(f"landmarks/{path.stem}.txt", folder=home))
        return Record(
            key=key,
            split=split,
            image=self.inside(path.name, folder=path.parent),
            group=re.sub(r"_\d+$", "", path.stem),  # <photograph>_<face>
            mask=self._mask(self.inside(f"labels/{path.stem}.png", folder=home)),
            landmarks=xy,
            points5=landmark_scheme("LaPa-106").five_points(xy),
        )

    def _landmarks(self, path: Path) -> np.ndarray:
        values = label_text(path).split()
        if values[:1] != ["106"] or len(values) != 213:
            raise BadSample(f"{path.name}: expected 106 and then 106 points, found {len(values)} numbers")
        return points([number(value) for value in values[1:]], 106)

    def _mask(self, path: Path) -> np.ndarray:
        mask = read_gray(path)
        if mask.max() >= len(LAPA_11):
            raise BadSample(f"{path.name}: expected label values 0..10, found {mask.max()}")
        return mask

    def checks(self) -> Iterator[Check]:
        """Faces are found by their pictures, so that a missing picture shows only by what was left behind."""
        alone = [path for part in PARTS for path in self._alone(part)]
        detail = f"{len(alone)} have none" + (f", the first: {self.where(alone[0])}" if alone else "")
        yield Check.of("every label and landmark file has its picture", not alone, detail)

    def _alone(self, part: str) -> list[Path]:
        """Label and landmark files of a part without a picture."""
        home = self._images(part).parent
        pictures = {path.stem for path in self.listing(home / "images")}
        files = [
            path for kind in ("labels", "landmarks") if (home / kind).is_dir() for path in self.listing(home / kind)
        ]
        return [path for path in files if path.stem not in pictures]
