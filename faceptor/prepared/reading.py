"""Samples of a prepared data set: decoded on access, labels as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.formats.images import decode_image, decode_mask
from faceptor.errors import DataError
from faceptor.prepared.integrity import REMEDY, SHARD_LIST
from faceptor.prepared.shards import FACTS, FINGERPRINT_CHARACTERS, Shards
from faceptor.prepared.storage import Folder

SPLITS = ("train", "val", "test")


def _label(name: str, value: pa.Scalar) -> object:
    """A stored label as numpy array or number."""
    column = COLUMNS[name]
    if column.picture:
        return decode_mask(value.as_py())
    return np.array(value.values, column.dtype).reshape(column.sizes) if column.shape else column.plain(value.as_py())


class Split(Sequence):
    """`split[i]` is a sample: key, image (H, W, 3) uint8 RGB, size (h, w), subsets, and the labels the set has, arrays
    and numbers as `faceptor.datasets.columns` says. Where a set publishes its masks smaller than its images, the image
    is resized to the mask (bilinear), so that all labels share one frame.
    """

    def __init__(self, folder: Path | str, split: str, *, check: bool = True):
        home = Folder(folder)
        self.folder, self.split = home.place, split
        self._shards = Shards(home / split, check=check)
        self.columns = self._shards.columns

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> dict:
        return self.sample(index)

    def __iter__(self) -> Iterator[dict]:
        return (self.sample(index) for index in range(len(self)))

    def __reduce__(self):
        # A worker process maps the files itself; this one has compared them with their hashes.
        return partial(Split, check=False), (self.folder, self.split)

    def sample(self, index: int, *, labels: Sequence[str] | None = None, image: bool = True) -> dict:
        """As `split[index]`, with only some labels or without the image (both save decoding)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.folder}/{self.split}: sample {index} of {len(self)}")
        columns, row = self._shards.row(index % len(self))
        size = (columns["height"][row].as_py(), columns["width"][row].as_py())
        sample = {"key": columns["key"][row].as_py(), "group": columns["group"][row].as_py(), "size": size}
        sample["subsets"] = tuple(columns["subsets"][row].as_py())
        if image:
            sample["image"] = self.picture(index)
        for name in self.columns:
            if name not in FACTS and (labels is None or name in labels):
                sample[name] = _label(name, columns[name][row])
        return sample

    def encoded(self, index: int) -> bytes:
        """The image file of a sample, as published."""
        return self._shards.scalar(range(len(self))[index], "image").as_buffer().to_pybytes()

    def picture(self, index: int, *, fewer: int | None = None) -> np.ndarray:
        """The image of a sample, (H, W, 3) uint8 RGB of its size. fewer: 1, 2, 4 or 8 is by how much a JPEG's sides may
        shrink as it is decoded, rounded up; without it all pixels are decoded first."""
        columns, row = self._shards.row(index % len(self))
        size = (columns["height"][row].as_py(), columns["width"][row].as_py())
        data = columns["image"][row].as_buffer().to_pybytes()
        wanted = (-(-size[0] // (fewer or 1)), -(-size[1] // (fewer or 1)))
        pixels = decode_image(data, at_least=wanted if fewer else (0, 0))
        if pixels.shape[:2] not in (size, wanted):
            pixels = cv2.resize(pixels, wanted[::-1], interpolation=cv2.INTER_LINEAR)
        return pixels

    def column(self, name: str) -> np.ndarray | list:
        """All n values of a column without decoding an image: labels as one array (n, ...), numbers (n,); key, group,
        subsets (tuples) and the encoded image and mask as lists."""
        if name not in self.columns:
            expected = ", ".join(self.columns)
            raise DataError(f"{self.folder}/{self.split}: no column {name!r}; expected one of {expected}")
        values = self._shards.column(name)
        column = COLUMNS.get(name)
        if column and column.shape and not column.picture:
            flat = np.concatenate([np.asarray(chunk.flatten(), column.dtype) for chunk in values.chunks])
            return flat.reshape(len(values), *column.sizes)
        if name in ("height", "width") or (column and not column.shape):
            return values.to_numpy()
        return [tuple(value) for value in values.to_pylist()] if name == "subsets" else values.to_pylist()


class Verification(Sequence):
    """Face pairs: `images[2 * i]` and `images[2 * i + 1]` are pair i; `same` (pairs,) bool.

    `verification[j]` decodes image j to (H, W, 3) uint8 RGB.
    """

    def __init__(self, folder: Path | str, name: str, *, check: bool = True):
        home = Folder(folder)
        self.folder, self.name = home.place, name
        self._shards = Shards(home / "verification" / name, check=check)
        self.same = self._shards.column("same").to_numpy()[::2].astype(bool) if len(self._shards) else np.zeros(0, bool)
        self.pairs = len(self.same)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.folder}: verification image {index} of {len(self)}")
        return decode_image(self._shards.scalar(index % len(self), "image").as_buffer().to_pybytes())

    def __reduce__(self):
        return partial(Verification, check=False), (self.folder, self.name)


def _prepared(folder: Path | str) -> Folder:
    home = Folder(folder)
    if not home.exists("card.json"):
        raise DataError(f"{home}: not a prepared data set; run `faceptor preprocess {home.name}`")
    return home


def open_split(folder: Path | str, split: str) -> Split:
    """Samples of "train", "val" or "test" of a prepared data set: a folder, or any URL that fsspec knows."""
    home = _prepared(folder)
    if split not in SPLITS:
        raise DataError(f"{home}: no split {split!r}; expected one of {', '.join(SPLITS)}")
    if not (home / split).exists("state.json"):
        raise DataError(f"{home}: this data set has no {split} split")
    opened = Split(folder, split)
    _as_prepared(home, split, len(opened), "counts")
    return opened


def open_verification(folder: Path | str, name: str) -> Verification:
    """A verification set of a prepared recognition data set."""
    home = _prepared(folder)
    if not (home / "verification" / name).exists("state.json"):
        found = ", ".join(verification_sets(folder)) or "none"
        raise DataError(
            f"{home}: no verification set {name!r}, found {found}; put {name}.bin beside train.rec and run "
            f"`faceptor preprocess {home.name}`"
        )
    opened = Verification(folder, name)
    _as_prepared(home, f"verification/{name}", opened.pairs, "verification")
    return opened


def _as_prepared(home: Folder, name: str, found: int, counted: str) -> None:
    """Stop where a part is not the one that the dataset card counts, or hashes."""
    card, state = read_card(home.place), (home / name).read_json("state.json")
    expected = card.get("content_hashes", {}).get(name)
    stated = state.get("_fingerprint") if isinstance(state, dict) else None
    entry = card.get(counted, {}).get(name.removeprefix("verification/"))
    count = entry.get("pairs") if isinstance(entry, dict) else entry
    if not (home / name).exists(SHARD_LIST):
        return  # `datasets` wrote it, and a fingerprint of its own
    if count not in (None, found) or (expected is not None and stated != expected[:FINGERPRINT_CHARACTERS]):
        raise DataError(
            f"{home}/{name}: not the part that card.json was written with ({found} samples here, {count} there); "
            f"{REMEDY}"
        )


def content_hashes(folder: Path | str) -> dict[str, str]:
    """ "train", "val", "test", "verification/<set>" -> SHA-256 of everything in that part: keys, images and labels.

    Two prepared folders with equal hashes teach the same; one label changed is another hash. `open_split` fails where
    the files are not those that were hashed.
    """
    found = read_card(folder).get("content_hashes")
    if not isinstance(found, dict):
        raise DataError(f"{folder}/card.json: expected content_hashes, found none; {REMEDY}")
    return found


def held_out_split(folder: Path | str) -> str:
    """The split to look at a trained model with: "val", or "test" where `validation: 0` gave all else to training."""
    return "val" if "val" in content_hashes(folder) else "test"


def verification_sets(folder: Path | str) -> tuple[str, ...]:
    """Names of the verification sets of a prepared data set."""
    return (_prepared(folder) / "verification").subfolders()


def read_card(folder: Path | str) -> dict:
    """What was found when the data set was prepared: source, licence, counts, hashes, statistics, checks, rejects."""
    card = _prepared(folder).read_json("card.json")
    if not isinstance(card, dict):
        raise DataError(f"{folder}/card.json: expected facts by name, found {type(card).__name__}; {REMEDY}")
    return card
