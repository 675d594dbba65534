"""The check of one sample: its image decodes to the end, its labels are in range, all share one frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.formats.images import Picture, encode_mask, read_bytes, verify
from faceptor.datasets.reader import BadSample, Reader, Record, Reject, printable
from faceptor.prepared.card import upright


@dataclass(frozen=True)
class Ready:
    """A sample that was checked, and its row of the shard."""

    record: Record
    row: dict
    picture: Picture
    resized: bool
    upright: bool


def place(reader: Reader, record: Record) -> str:
    """Where a record's image lies, for a reject."""
    return reader.where(record.image) if isinstance(record.image, Path) else record.key


def checked(reader: Reader, item: Record | Reject) -> Ready | Reject:
    """The sample with its image decoded once and its labels in range, or the reject that says what is wrong."""
    if isinstance(item, Reject):
        return item
    where = place(reader, item)
    try:
        data = read_bytes(item.image) if isinstance(item.image, Path) else item.image
        picture = verify(data)
        height, width = (picture.height, picture.width) if item.mask is None else item.mask.shape
        resized = (height, width) != (picture.height, picture.width)
        for column in reader.columns:
            COLUMNS[column].check(reader, getattr(item, column), height, width)
        if resized:
            _same_frame(item, picture)
        row = {"key": item.key, "group": item.group or item.key, "subsets": list(item.subsets), "image": data}
        row |= {"height": height, "width": width}
        row |= {column: _stored(column, getattr(item, column)) for column in reader.columns}
        sides = reader.scheme is not None and upright(reader.scheme, item.landmarks, width)
        return Ready(item, row, picture, resized, sides)
    except BadSample as reason:
        return Reject(item.key, where, printable(str(reason)))


def _stored(column: str, value: object) -> object:
    if COLUMNS[column].picture:
        return encode_mask(value)
    return value.ravel() if isinstance(value, np.ndarray) else value


def _same_frame(record: Record, picture: Picture) -> None:
    """A mask may be published smaller than its image, if nothing else is labelled in the image's pixels."""
    height, width = record.mask.shape
    if any(column.in_pixels and getattr(record, name) is not None for name, column in COLUMNS.items()):
        raise BadSample(f"mask of {width} x {height} on an image of {picture.width} x {picture.height} pixels")
    if abs(height * picture.width - width * picture.height) > 0.01 * width * picture.height:
        raise BadSample(f"mask of {width} x {height} has another shape than {picture.width} x {picture.height}")
