"""MS1MV3: identities on aligned 112 x 112 faces in a RecordIO file, with verification sets beside it."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.recordio import RecordFile, unpack
from faceptor.datasets.formats.textfiles import lines
from faceptor.datasets.labels import VERIFICATION
from faceptor.datasets.reader import BadSample, Bulk, Check, Listed, Record, Reject
from faceptor.datasets.readers.pairs import WithPairs

MAX_RECORDS_SKIMMED = 5000  # records that a quick look opens at most
LARGEST_LABEL = 1 << 24  # labels are float32: exact up to here
RECORDS_AT_A_TIME = 4096  # read at once


class MS1MV3(WithPairs):
    """Record 0 tells how many images there are; without such a record every key is an image.

    `verification` lists the `.bin` sets to prepare; without it, those that are there. `verify="full"` decodes every
    image to its end, "header" looks at start, size and end of each and decodes one in a hundred; "auto" does that from
    half a million images on.
    """

    name = "ms1mv3"
    title = "MS1MV3 (MS1M-RetinaFace)"
    source = "https://github.com/deepinsight/insightface/tree/master/recognition/_datasets_"
    licence = "research only; derived from MS-Celeb-1M, which its owner withdrew: check whether use is allowed"
    published: ClassVar = {"train": 5179510, **{f"verification/{name}": pairs for name, pairs in VERIFICATION.items()}}
    choices: ClassVar = {"verify": ("auto", "full", "header")}
    columns = ("identity",)

    @property
    def protocol(self) -> str:
        return "all images train; verification by the pairs in the .bin files"

    @cached_property
    def _file(self) -> RecordFile:
        rec = self.require("train.rec", "faces_emore/train.rec", "ms1m-retinaface-t1/train.rec", what="train.rec")
        return RecordFile(rec, self.require(str(rec.with_suffix(".idx").relative_to(self.root)), what="train.idx"))

    @cached_property
    def _classes(self) -> int | None:
        """Number of identities that `property` states."""
        path = self._file.path.with_name("property")
        if not (path := self.find(str(path.relative_to(self.root)))):
            return None
        values = next((text for _, text in lines(path)), "")[:100].split(",")
        if len(values) != 3 or not all(value.strip().isdecimal() for value in values):
            raise self.wrong(path, expected="classes,height,width", found=repr(",".join(values)[:40]))
        return int(values[0])

    @cached_property
    def _images(self) -> np.ndarray:
        """Positions in the index that hold images."""
        keys = self._file.keys
        if keys[0] != 0 or not (labels := self._first):
            return np.arange(len(keys))
        images = np.flatnonzero((keys >= 1) & (keys < labels[0]))
        if len(images) != labels[0] - 1:
            found = f"{len(images)} of them in train.idx"
            raise self.wrong(self._file.path, expected=f"keys 1..{labels[0] - 1:.0f} as record 0 says", found=found)
        return images

    @cached_property
    def _first(self) -> list[float]:
        """What record 0 counts: images + 1, and that + identities; empty where it is an image itself."""
        try:
            labels, flag, _ = unpack(self._file.content(0))
        except BadSample as error:
            raise self.wrong(self._file.path, expected="a readable record 0", found=str(error)) from error
        return labels if flag else []

    def read(self, split: str) -> Iterator[Record | Reject]:
        if split == "train":
            self._largest = -1
            yield from self._at(self._images)

    def skim(self, split: str) -> Iterator[Record | Reject | Listed]:
        """Records evenly spread over the file; millions of others lie where the index says."""
        if split == "train":
            self._largest = -1
            some = self._images[:: len(self._images) // MAX_RECORDS_SKIMMED + 1]
            yield from self._at(some)
            if left := len(self._images) - len(some):
                yield Listed("others", self._file.path.name, left)

    def _at(self, positions: np.ndarray) -> Iterator[Record | Reject]:
        for position in positions:
            key = str(self._file.keys[position])
            yield self.attempt(key, f"{self._file.path.name}:{key}", self._record, key, position)

    def _record(self, key: str, position: int) -> Record:
        labels, _, image = unpack(self._file.content(position))
        identity, limit = labels[0], self._classes or LARGEST_LABEL
        if not (np.isfinite(identity) and identity == int(identity) and 0 <= identity < limit):
            raise BadSample(f"expected an identity in 0..{limit - 1}, found {identity}")
        self._largest = max(self._largest, int(identity))
        return Record(key=key, split="train", image=image, group=str(int(identity)), identity=int(identity))

    def bulk(self, split: str, start: int, done: Iterable[int]) -> Iterator[Bulk] | None:
        return self._bulk(start, done) if split == "train" else None

    def _bulk(self, start: int, done: Iterable[int]) -> Iterator[Bulk]:
        self._largest, file = max(done, default=-1), self._file.path.name
        for first in range(start, len(self._images), RECORDS_AT_A_TIME):
            positions = self._images[first : first + RECORDS_AT_A_TIME]
            names = list(map(str, self._file.keys[positions].tolist()))
            places = [f"{file}:{name}" for name in names]
            labels, images = self._file.scan(positions)
            plain = np.isfinite(labels) & (labels >= 0) & (labels < (self._classes or LARGEST_LABEL))
            plain &= labels == np.floor(labels)
            identities = np.where(plain, labels, -1).astype(np.int32)
            rejects, kept = [], []
            for row, usual in enumerate(plain.tolist()):
                if not usual:  # in several parts, with several labels, or damaged
                    item = self.attempt(names[row], places[row], self._record, names[row], positions[row])
                    if isinstance(item, Reject):
                        rejects.append(item)
                        continue
                    identities[row], images[row] = item.identity, item.image
                kept.append(row)
            identities = identities[kept]
            self._largest = max(self._largest, int(identities.max(initial=-1)))
            yield Bulk(
                items=len(positions),
                keys=[names[row] for row in kept],
                groups=list(map(str, identities.tolist())),
                places=[places[row] for row in kept],
                images=[images[row] for row in kept],
                labels={"identity": identities},
                rejects=rejects,
            )

    @property
    def images(self) -> int:
        """How many images the index lists."""
        return len(self._images)

    @property
    def pairs_folder(self) -> Path:
        return self._file.path.parent

    def checks(self) -> Iterator[Check]:
        yield self._as_many_people("classes in property", "property", self._classes)
        labels = self._first if self._file.keys[0] == 0 else []
        stated = int(labels[1] - labels[0]) if len(labels) > 1 and np.isfinite(labels[:2]).all() else None
        yield self._as_many_people("identities that record 0 counts", "record 0", stated)

    def _as_many_people(self, what: str, source: str, stated: int | None) -> Check:
        name, found = "largest label + 1", self._largest + 1
        passed = None if stated is None else stated == found
        return Check.of(f"{what} == {name}", passed, f"{source} {stated}, {name} = {found}")
