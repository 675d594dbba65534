"""COFW (colour): faces behind hands, hair and things, 29 landmarks, and for each of them whether it is hidden."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.images import encode_mask as encode_png
from faceptor.datasets.formats.matlab import load_cell, load_mat, matrix
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import BadSample, Reader, Record, Reject, box, landmark_box, points
from faceptor.errors import DataError

FILES = {"train": ("COFW_train_color.mat", "Tr"), "test": ("COFW_test_color.mat", "T")}  # file, end of variable names
POINTS = 29
AUC_THRESHOLD = 0.10  # of AUC and failure rate, a fraction


class COFW(Reader):
    """Images and labels lie in two Matlab v7.3 files: `Is` images, `phis` x1..x29 y1..y29 hidden1..hidden29, `bboxes`.

    The owner counts pixels from 1, so 1 is subtracted; `origin="as_published"` keeps the numbers, as the code behind
    most published figures does (both agree in the NME, since box and points move together). `box="published"` crops by
    the owner's box instead of the square about the landmarks. Both NMEs are always measured; `normaliser` says whether
    the one by the outer eye corners or by the pupils stands for the task, with its AUC and failure rate.
    """

    name = "cofw"
    title = "COFW (Caltech Occluded Faces in the Wild, colour)"
    source = "https://data.caltech.edu/records/20099 (COFW_color.zip)"
    licence = "research use"
    published: ClassVar = {"train": 1345, "test": 507}
    choices: ClassVar = {
        "origin": ("zero_based", "as_published"),
        "box": ("landmarks", "published"),
        "normaliser": ("inter_ocular", "inter_pupil"),
    }
    columns = ("landmarks", "visibility", "box")
    scheme = "COFW"
    classes: ClassVar = {"landmarks": landmark_scheme("COFW").names}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self._loaded: dict[str, tuple[Path, np.ndarray, np.ndarray]] = {}
        if (normaliser := self.options["normaliser"]) != "inter_ocular":
            nme = f"nme_{normaliser}"
            self.task_options = {"landmarks": {"headline": nme, "auc": {nme: AUC_THRESHOLD}}}

    def _labels(self, split: str) -> tuple[Path, np.ndarray, np.ndarray]:
        """The file of a split, its labels (N, 87) and its boxes (N, 4) x, y, width, height; read once."""
        if split not in self._loaded:
            self._loaded[split] = self._load(split)
        return self._loaded[split]

    def _load(self, split: str) -> tuple[Path, np.ndarray, np.ndarray]:
        name, end = FILES[split]
        path = self.require(name, f"COFW_color/{name}", what=f"the {split} file")
        content = load_mat(path, (f"phis{end}", f"bboxes{end}"))
        phis, boxes = (matrix(path, name, value) for name, value in content.items())
        if phis.ndim != 2 or phis.shape[1] != 3 * POINTS or boxes.shape != (len(phis), 4):
            expected = f"phis{end} of N x {3 * POINTS} and bboxes{end} of N x 4"
            raise self.wrong(path, expected=expected, found=f"{phis.shape} and {boxes.shape}")
        return path, phis, boxes

    def read(self, split: str) -> Iterator[Record | Reject]:
        path, phis, boxes = self._labels(split)
        for row in range(len(phis)):
            key = f"{split}/{row + 1:04d}"
            yield self.attempt(key, f"{path.name}:{row + 1}", self._record, key, split, row, phis[row], boxes[row])

    def _record(self, key: str, split: str, row: int, phi: np.ndarray, rectangle: np.ndarray) -> Record:
        first = 1.0 if self.options["origin"] == "zero_based" else 0.0  # number of the top-left pixel
        xy = points(phi[: 2 * POINTS].reshape(2, POINTS).T - first, POINTS)
        hidden = phi[2 * POINTS :]
        if not np.isin(hidden, (0, 1)).all():
            raise BadSample(f"expected flags 0 (visible) or 1 (hidden), found {hidden[~np.isin(hidden, (0, 1))][0]:g}")
        x, y, width, height = rectangle - [first, first, 0, 0]
        return Record(
            key=key,
            split=split,
            image=self._image(split, row),
            landmarks=xy,
            visibility=(1 - hidden).astype(np.int8),
            box=landmark_box(xy) if self.options["box"] == "landmarks" else box(x, y, x + width, y + height),
        )

    def _image(self, split: str, row: int) -> bytes:
        """PNG of one image, (H, W, 3) or grey (H, W) in the file."""
        path, end = self._labels(split)[0], FILES[split][1]
        try:
            image = load_cell(path, f"Is{end}", row)
        except DataError as error:
            raise BadSample(str(error).replace(str(path), path.name)) from error
        grey = isinstance(image, np.ndarray) and image.ndim == 2
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or not (grey or image.shape[2:] == (3,)):
            raise BadSample("expected an image of 8 bits, grey or RGB")
        if min(image.shape[:2]) < 2:
            raise BadSample(f"expected an image, found {image.shape[1]} x {image.shape[0]} pixels")
        return encode_png(np.ascontiguousarray(image))
