"""CelebA: 40 binary attributes on aligned 178 x 218 images."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.textfiles import lines, table
from faceptor.datasets.labels import CELEBA_40
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, printable

VALUES = {"1": 1, "-1": 0, "0": -1}  # published -> stored; 0 (unknown) occurs in generated faces only


class CelebA(Reader):
    """The owner's text files or the csv copies; in one folder or in Anno/, Eval/ and Img/."""

    name = "celeba"
    title = "CelebA (aligned and cropped)"
    source = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    licence = "non-commercial research"
    published: ClassVar = {"train": 182637, "test": 19962}
    columns = ("attributes",)
    classes: ClassVar = {"attributes": CELEBA_40}

    @property
    def protocol(self) -> str:
        return "published evaluation partition (train + val / test)"

    def _file(self, folder: str, stem: str) -> Path:
        names = [f"{prefix}{stem}{suffix}" for suffix in (".txt", ".csv") for prefix in ("", f"{folder}/")]
        return self.require(*names, what=stem)

    @cached_property
    def _partition(self) -> dict[str, str]:
        path = self._file("Eval", "list_eval_partition")
        rows = (text.replace(",", " ").split() for _, text in lines(path))
        return table(rows)

    @cached_property
    def _people(self) -> dict[str, str]:
        """Image -> person, where the owner's list is present: keeps one person on one side of the validation cut."""
        path = self.find("identity_CelebA.txt", "Anno/identity_CelebA.txt")
        rows = (text.split() for _, text in lines(path)) if path else ()
        return table(rows)

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self._file("Anno", "list_attr_celeba")
        images = self.require(
            "img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba", what="the folder of images"
        )
        for line, row in self._rows(path):
            part = self._partition.get(row[0])
            if (part == "2") == (split == "test"):
                yield self.attempt(row[0], self.where(path, line), self._record, row, part, images, split)

    def _rows(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """(line, fields) of the attribute list, after its header was checked."""
        separator = "," if path.suffix == ".csv" else None
        header = False
        for line, text in lines(path):
            row = [field.strip() for field in text.split(separator)]
            if header:
                yield line, row
            elif len(row) > 1:
                names = tuple(row[1:] if row[0] == "image_id" else row)
                if names != CELEBA_40:
                    found = " ".join(row)[:60]
                    raise self.wrong(path, expected="the 40 attribute names of CelebA in order", found=found)
                header = True
        if not header:
            raise self.wrong(path, expected="a header with 40 attribute names", found="none")

    def _record(self, row: list[str], part: str | None, images: Path, split: str) -> Record:
        if len(row) != 41:
            raise BadSample(f"expected a name and 40 values, found {len(row)} fields")
        if part not in ("0", "1", "2"):
            raise BadSample("the image has no place in list_eval_partition")
        if wrong := [value for value in row[1:] if value not in VALUES]:
            raise BadSample(f"expected attribute values -1 or 1, found {wrong[0][:20]!r}")
        return Record(
            key=row[0],
            split=split,
            image=self.image(row[0], folder=images),
            group=printable(self._people.get(row[0], "")),
            attributes=np.array([VALUES[value] for value in row[1:]], np.int8),
        )

    def checks(self) -> Iterator[Check]:
        path = self._file("Anno", "list_attr_celeba")
        declared = next((text.strip() for _, text in lines(path)), "")
        found = sum(1 for _ in self._rows(path))
        passed = int(declared) == found if declared.isdecimal() and len(declared) <= 9 else None
        yield Check.of("rows == count in the first line", passed, f"declared {declared[:20]!r}, found {found}")
