"""Samples of a prepared data set: decoded on access, labels as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from faceptor.data.shards import FACTS, Shards, read_json
from faceptor.datasets.images import decode_image, decode_mask
from faceptor.errors import DataError

SPLITS = ("train", "val", "test")


# Labels stored as flat lists: their type, and whether they are x y pairs.
ARRAYS: dict[str, tuple[type, bool]] = {
    "landmarks": (np.float32, True),
    "points5": (np.float32, True),
    "box": (np.float32, False),
    "attributes": (np.int8, False),
}
SCALARS = {"age": float, "expression": int, "identity": int}


def _label(name: str, value: pa.Scalar) -> object:
    """A stored label as numpy array or number."""
    if name in ARRAYS:
        kind, pairs = ARRAYS[name]
        flat = np.array(value.values, kind)
        return flat.reshape(-1, 2) if pairs else flat
    return SCALARS[name](value.as_py()) if name in SCALARS else decode_mask(value.as_py())


class Split(Sequence):
    """`split[i]` is a sample: key, image (H, W, 3) uint8 RGB, size (h, w), subsets, and the labels the set has.

    landmarks (K, 2), box (4,), points5 (5, 2) float32 in pixels of that image; mask (H, W) uint8; age in years;
    expression and identity int; attributes (N,) int8 with -1 for unknown. Where a set publishes its masks smaller
    than its images, the image is resized to the mask (bilinear), so that all labels share one frame.
    """

    def __init__(self, folder: Path | str, split: str):
        self.folder, self.split = Path(folder), split
        self._shards = Shards(self.folder / split)
        self.columns = self._shards.columns

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> dict:
        return self.sample(index)

    def __iter__(self) -> Iterator[dict]:
        return (self.sample(index) for index in range(len(self)))

    def __reduce__(self):
        return open_split, (self.folder, self.split)  # a worker process maps the files itself

    def sample(self, index: int, *, labels: Sequence[str] | None = None, image: bool = True) -> dict:
        """As `split[index]`, with only some labels or without the image (both save decoding)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.folder / self.split}: sample {index} of {len(self)}")
        row = index % len(self)
        take = [name for name in self.columns if name not in FACTS and (labels is None or name in labels)]
        size = (self._value(row, "height").as_py(), self._value(row, "width").as_py())
        sample = {"key": self._value(row, "key").as_py(), "group": self._value(row, "group").as_py(), "size": size}
        sample["subsets"] = tuple(self._value(row, "subsets").as_py())
        if image:
            sample["image"] = self._image(row, size)
        return sample | {name: _label(name, self._value(row, name)) for name in take}

    def _value(self, row: int, column: str):
        return self._shards.scalar(row, column)

    def _image(self, row: int, size: tuple[int, int]) -> np.ndarray:
        pixels = decode_image(self._value(row, "image").as_buffer().to_pybytes())
        if pixels.shape[:2] != size:
            pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
        return pixels

    def column(self, name: str) -> np.ndarray | list:
        """All values of a column without decoding an image.

        landmarks (n, K, 2), points5 (n, 5, 2), box (n, 4), attributes (n, N) and numbers (n,) as arrays; key, group,
        subsets (tuples) and the encoded image and mask as lists.
        """
        if name not in self.columns:
            expected = ", ".join(self.columns)
            raise DataError(f"{self.folder / self.split}: no column {name!r}; expected one of {expected}")
        values = self._shards.column(name)
        if name in ARRAYS:
            kind, pairs = ARRAYS[name]
            flat = np.concatenate([np.asarray(chunk.flatten(), kind) for chunk in values.chunks])
            rows = len(values)
            return flat.reshape(rows, flat.size // rows // 2, 2) if pairs else flat.reshape(rows, flat.size // rows)
        if name in SCALARS or name in ("height", "width"):
            return values.to_numpy()
        return [tuple(value) for value in values.to_pylist()] if name == "subsets" else values.to_pylist()


class Verification(Sequence):
    """Face pairs: `images[2 * i]` and `images[2 * i + 1]` are pair i; `same` (pairs,) bool.

    `verification[j]` decodes image j to (H, W, 3) uint8 RGB.
    """

    def __init__(self, folder: Path | str, name: str):
        self.folder, self.name = Path(folder), name
        self._shards = Shards(self.folder / "verification" / name)
        self.same = self._shards.column("same").to_numpy()[::2].astype(bool) if len(self._shards) else np.zeros(0, bool)
        self.pairs = len(self.same)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.folder}: verification image {index} of {len(self)}")
        return decode_image(self._shards.scalar(index % len(self), "image").as_buffer().to_pybytes())

    def __reduce__(self):
        return open_verification, (self.folder, self.name)


def _prepared(folder: Path | str) -> Path:
    folder = Path(folder)
    if not (folder / "passport.json").exists():
        raise DataError(f"{folder}: not a prepared data set; run `faceptor preprocess {folder.name}`")
    return folder


def open_split(folder: Path | str, split: str) -> Split:
    """Samples of "train", "val" or "test" of a prepared data set."""
    folder = _prepared(folder)
    if split not in SPLITS:
        raise DataError(f"{folder}: no split {split!r}; expected one of {', '.join(SPLITS)}")
    if not (folder / split / "state.json").exists():
        raise DataError(f"{folder}: this data set has no {split} split")
    return Split(folder, split)


def open_verification(folder: Path | str, name: str) -> Verification:
    """A verification set of a prepared recognition data set."""
    folder = _prepared(folder)
    if not (folder / "verification" / name / "state.json").exists():
        found = ", ".join(verification_sets(folder)) or "none"
        raise DataError(
            f"{folder}: no verification set {name!r}, found {found}; put {name}.bin beside train.rec and run "
            f"`faceptor preprocess {folder.name}`"
        )
    return Verification(folder, name)


def verification_sets(folder: Path | str) -> tuple[str, ...]:
    """Names of the verification sets of a prepared data set."""
    home = _prepared(folder) / "verification"
    return tuple(sorted(path.name for path in home.iterdir())) if home.is_dir() else ()


def read_passport(folder: Path | str) -> dict:
    """What was found when the data set was prepared: source, licence, counts, hashes, statistics, checks, rejects."""
    return read_json(_prepared(folder) / "passport.json")


__all__ = ["FACTS", "Split", "Verification", "open_split", "open_verification", "read_passport", "verification_sets"]
