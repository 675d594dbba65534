"""Samples by the thousand, for sets of millions: the checks of `faceptor.prepared.checks` on whole columns.

`verify="full"` decodes every image to its end. "header" looks at start, size and end mark of each and decodes one in
`ONE_DECODED_IN`; what looks unusual is decoded in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import simplejpeg

from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.formats.images import LARGEST_IMAGE, MARKS, Picture, content_of, verify
from faceptor.datasets.reader import BadSample, Bulk, Reject
from faceptor.prepared.card import SplitFacts
from faceptor.prepared.shards import FACTS, SAMPLE_TYPES

ONE_DECODED_IN = 100
USUAL_COLOURS = ("YCbCr", "Gray")
MANY_IMAGES = 500_000
IMAGES_PER_THREAD = 64  # images that one thread decodes at a time

Examined = list[Picture | BadSample]


def header(data: bytes) -> Picture | BadSample:
    """Size from the header of a JPEG that begins and ends as one and cannot be turned; everything else is decoded."""
    if data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9" and not any(mark in data for mark in MARKS["JPEG"]):
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        except (ValueError, KeyError):  # KeyError where the file ends within its header
            return whole(data)
        if colours in USUAL_COLOURS and 0 < height * width <= LARGEST_IMAGE:
            return upright_jpeg(height, width)
    return whole(data)


@cache
def upright_jpeg(height: int, width: int) -> Picture:
    """One object for all images of a size."""
    return Picture(height, width, "JPEG", False)


def whole(data: bytes) -> Picture | BadSample:
    try:
        return verify(data)
    except BadSample as reason:
        return reason


def hash_of(data: bytes, picture: Picture, mode: str) -> bytes:
    """The hash by which pictures are told apart: of the pixels, or of the file where most are not decoded."""
    return content_of(data) if mode == "header" else picture.content


def examine(images: Sequence[bytes], first: int, mode: str, pool: ThreadPoolExecutor) -> Examined:
    """What each image is, or why it cannot be used. `first` is the number of the first one."""
    if mode == "header":
        return [(header if (first + i) % ONE_DECODED_IN else whole)(data) for i, data in enumerate(images)]
    slices = [images[start : start + IMAGES_PER_THREAD] for start in range(0, len(images), IMAGES_PER_THREAD)]
    return [found for part in pool.map(lambda some: [whole(data) for data in some], slices) for found in part]


class Columns(NamedTuple):
    """Samples of one part: column -> values, what is known of them, and the hashes of their pictures."""

    arrays: dict[str, pa.Array]
    facts: SplitFacts
    pictures: list[bytes]


class Converter:
    """Bulk -> columns of every part. `part_of` tells where a group belongs."""

    def __init__(self, parts: tuple[str, ...], columns: tuple[str, ...], part_of: Callable[[str], str], mode: str):
        self.parts, self.columns, self.mode = parts, columns, mode
        self._part = cache(part_of)

    def __call__(self, bulk: Bulk, first: int, pool: ThreadPoolExecutor) -> tuple[dict[str, Columns], list[Reject]]:
        """By part; and what cannot be used."""
        found = examine(bulk.images, first, self.mode, pool)
        chosen, rejects = {part: [] for part in self.parts}, [*bulk.rejects]
        for row, picture in enumerate(found):
            if isinstance(picture, BadSample):
                rejects.append(Reject(bulk.keys[row], bulk.places[row], str(picture)))
            else:
                chosen[self._part(bulk.groups[row])].append(row)
        return {part: self._columns(bulk, found, rows) for part, rows in chosen.items()}, rejects

    def _columns(self, bulk: Bulk, found: Examined, rows: list[int]) -> Columns:
        hashes = [hash_of(bulk.images[row], found[row], self.mode) for row in rows]
        return Columns(self._arrays(bulk, found, rows), self._facts(bulk, found, rows), hashes)

    def _arrays(self, bulk: Bulk, found: Examined, rows: list[int]) -> dict[str, pa.Array]:
        values = {
            "key": [bulk.keys[row] for row in rows],
            "group": [bulk.groups[row] for row in rows],
            "subsets": [[]] * len(rows),
            "image": [bulk.images[row] for row in rows],
            "height": [found[row].height for row in rows],
            "width": [found[row].width for row in rows],
        }
        values |= {column: bulk.labels[column][rows] for column in self.columns}
        return {name: pa.array(values[name], SAMPLE_TYPES[name]) for name in (*FACTS, *self.columns)}

    def _facts(self, bulk: Bulk, found: Examined, rows: list[int]) -> SplitFacts:
        facts = SplitFacts(count=len(rows), groups={bulk.groups[row] for row in rows})
        if not rows:
            return facts
        pictures = [found[row] for row in rows]
        facts.formats.update(picture.format for picture in pictures)
        facts.widen("height", *(picture.height for picture in pictures))
        facts.widen("width", *(picture.width for picture in pictures))
        facts.rotated = sum(picture.rotated for picture in pictures)
        for name in self.columns:
            if COLUMNS[name].statistic:
                facts.count_labels(name, bulk.labels[name][rows])
        return facts


def mode_of(wanted: str, images: int) -> str:
    """ "auto" decodes every image of a set below half a million."""
    return wanted if wanted != "auto" else "header" if images > MANY_IMAGES else "full"
