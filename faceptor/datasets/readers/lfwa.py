"""LFWA: the 40 attributes of CelebA on Labeled Faces in the Wild; and how the files of the LFWA package are read."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from faceptor.datasets.formats.matlab import load_mat, matrix
from faceptor.datasets.formats.textfiles import lines
from faceptor.datasets.labels import CELEBA_40
from faceptor.datasets.reader import BadSample, Reader, Record, Reject, printable

SPLIT = "indices_train_test.mat"
LISTS = ("list_attr_lfwa.txt", "list_attr_lfwa.csv", "lfw_att_40.csv")  # copies in the form of CelebA's list
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv")
LABELLED_IMAGES = 13143  # images with labels


def bare(name: str) -> str:
    """A name without case, spaces and signs: the sources spell the same attribute differently."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Labels:
    """What a file says of the attributes of every image."""

    path: Path
    names: list[str]  # of the attributes, in the file's order
    rows: list[tuple[str, str, Any]]  # image, file:line, labels in that order
    values: Callable[[Any], np.ndarray]  # labels of a row -> (N,) int8; BadSample for what is no label


class LFWAPackage(Reader):
    """`lfw_att_<N>.mat` (labels 0/1), `indices_train_test.mat` and the images in `lfw/`.

    Subclasses name the attributes, which are matched by name, never by place.
    """

    names: ClassVar[tuple[str, ...]]
    columns = ("attributes",)

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self.labels = f"lfw_att_{len(self.names)}.mat"

    def read(self, split: str) -> Iterator[Record | Reject]:
        images = self.require("lfw", "LFW/lfw", "LFWA/lfw", what="the folder of images")
        _ = self._order  # a wrong header is found before the first row
        for name, where, row in self._labels.rows:
            side = self._side(name)
            if (side or "train") == split:
                yield self.attempt(name, where, self._record, name, row, images, side)

    def _record(self, name: str, row, images: Path, split: str | None) -> Record:
        if split is None:
            raise BadSample(f"the image is neither in the training nor in the test rows of {SPLIT}")
        values = self._labels.values(row)
        if len(values) != len(self.names):
            raise BadSample(f"expected {len(self.names)} attributes, found {len(values)}")
        return Record(
            key=name,
            split=split,
            image=self.image(name, folder=images),
            group=name.split("/")[0],
            attributes=values[self._order],
        )

    # --- labels ------------------------------------------------------------------------------------------------------

    @property
    def _labels(self) -> Labels:
        """Those that are read; subclasses know other files."""
        return self._mat

    @cached_property
    def _mat(self) -> Labels:
        path = self.require(self.labels, f"LFWA/{self.labels}", what="the attribute labels")
        content = load_mat(path, ("name", "label", "AttrName"))
        for name in ("name", "AttrName"):
            if not isinstance(content[name], list):
                raise self.wrong(path, expected=f"{name} to be cells of text", found="an array")
        names, label = content["name"], matrix(path, "label", content["label"])
        shape = (len(names), len(self.names))
        if label.shape == shape[::-1] != shape:
            label = label.T
        if label.shape != shape:
            raise self.wrong(path, expected=f"label of shape {shape}", found=str(label.shape))
        rows = [
            (str(name).replace("\\", "/"), f"{self.labels}:{number}", row)
            for number, (name, row) in enumerate(zip(names, label, strict=True), start=1)
        ]
        return Labels(path, [str(name) for name in content["AttrName"]], rows, flags)

    @cached_property
    def _order(self) -> np.ndarray:
        return self._order_in(self._labels)

    def _order_in(self, labels: Labels) -> np.ndarray:
        """Position in the file of every attribute."""
        found = [bare(name) for name in labels.names]
        if missing := [name for name in self.names if bare(name) not in found]:
            raise self.wrong(labels.path, expected=f"the {len(self.names)} attribute names", found=f"no {missing[0]!r}")
        return np.array([found.index(bare(name)) for name in self.names])

    # --- split -------------------------------------------------------------------------------------------------------

    def _split_of(self, labels: Labels) -> dict[str, str]:
        """Image -> "train" or "test" by the owner's indices (1-based rows of the label file)."""
        path = self.require(SPLIT, f"LFWA/{SPLIT}", what="the split of LFWA")
        indices = load_mat(path, ("indices_img_train", "indices_img_test"))
        names, side = [name for name, _, _ in labels.rows], {}
        for split in ("train", "test"):
            for row in matrix(path, f"indices_img_{split}", indices[f"indices_img_{split}"]).ravel().tolist():
                if not (1 <= row <= len(names) and row.is_integer()):
                    raise self.wrong(path, expected=f"rows in 1..{len(names)}", found=str(row))
                if side.setdefault(name := names[int(row) - 1], split) != split:
                    raise self.wrong(path, expected="every image in one split", found=f"{printable(name)} in both")
        return side

    def _side(self, name: str) -> str | None:
        return self._listed_split.get(name)


def flags(row: np.ndarray) -> np.ndarray:
    """The labels 0 and 1 of a Matlab file, (N,)."""
    if not np.isin(row, (-1, 0, 1)).all():  # -1 (unknown) occurs in generated faces only
        raise BadSample(f"expected labels 0 or 1, found {row[~np.isin(row, (-1, 0, 1))][0]}")
    return row.astype(np.int8)


class LFWA(LFWAPackage):
    """`lfw_att_40.mat` and the owner's split, or a list in CelebA's form (`list_attr_lfwa.txt` or `.csv`).

    `protocol="all_test"` tests on every image, as a model that was trained on CelebA can.
    """

    name = "lfwa"
    title = "LFWA (40 attributes of Labeled Faces in the Wild)"
    source = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    licence = "research use"
    published: ClassVar = {"train": 6263, "test": 6880}
    choices: ClassVar = {"protocol": ("lfwa", "all_test")}
    names = CELEBA_40
    classes: ClassVar = {"attributes": CELEBA_40}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        if self.options["protocol"] == "all_test":
            self.published = {"test": LABELLED_IMAGES}

    @property
    def protocol(self) -> str:
        source = self._list.name if self._list else self.labels
        return f"{'split of LFWA' if self.options['protocol'] == 'lfwa' else 'every image is for testing'}, {source}"

    @property
    def redivided(self) -> bool:
        return self.options["protocol"] == "all_test"

    def _side(self, name: str) -> str | None:
        return "test" if self.options["protocol"] == "all_test" else super()._side(name)

    # --- a list instead of the Matlab file ---------------------------------------------------------------------------

    @cached_property
    def _list(self) -> Path | None:
        """The list, where there is no Matlab file."""
        return None if self.find(self.labels, f"LFWA/{self.labels}") else self.find(*LISTS)

    @cached_property
    def _listed(self) -> Labels:
        """An owner's count line is skipped. CelebA writes -1 for no; then 0 is unknown. The Matlab file writes 0."""
        header, rows = [], []
        for line, text in lines(self._list):
            row = [field.strip() for field in text.split("," if self._list.suffix == ".csv" else None)]
            if header:
                rows.append((row[0].replace("\\", "/"), self.where(self._list, line), row[1:]))
            elif len(row) >= len(self.names):
                header = row[-len(self.names) :]  # the column of the images may have a name, too
        if not header:
            raise self.wrong(self._list, expected=f"a header with {len(self.names)} attribute names", found="none")
        signed = any("-1" in values for _, _, values in rows)
        code = {"1": 1, "-1": 0, "0": -1} if signed else {"1": 1, "0": 0}
        return Labels(self._list, header, rows, partial(coded, code))

    @property
    def _labels(self) -> Labels:
        return self._listed if self._list else self._mat

    @cached_property
    def _listed_split(self) -> dict[str, str]:
        path = self.find(*PARTITIONS)
        if not (self._list and path):
            return self._split_of(self._labels)
        rows = (text.replace(",", " ").split() for _, text in lines(path))
        sides = {"0": "train", "1": "train", "2": "test"}
        return {row[0].replace("\\", "/"): sides[row[1]] for row in rows if len(row) == 2 and row[1] in sides}


def coded(code: Mapping[str, int], row: list[str]) -> np.ndarray:
    """The labels of a list, (N,), by what its texts mean."""
    if wrong := [value for value in row if value not in code]:
        raise BadSample(f"expected labels {', '.join(code)}, found {wrong[0][:20]!r}")
    return np.array([code[value] for value in row], np.int8)
