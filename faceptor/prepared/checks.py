"""The check of one sample: its image decodes to the end, its labels are in range, all share one frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from faceptor.datasets.base import BadSample, Reader, Record, Reject, printable
from faceptor.datasets.formats.images import Picture, encode_mask, read_bytes, verify
from faceptor.datasets.labels import AGES, landmark_scheme
from faceptor.prepared.card import CLASS_COLUMNS, upright

TURN = 180.0  # degrees: no published angle is larger
FAR = 3  # a landmark this many image sides outside the picture is no landmark


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
            CHECKS[column](reader, item, height, width)
        if resized:
            _same_frame(item, picture)
        row = {"key": item.key, "group": item.group or item.key, "subsets": list(item.subsets), "image": data}
        row |= {"height": height, "width": width}
        row |= {column: _stored(getattr(item, column)) for column in reader.columns}
        sides = reader.scheme is not None and upright(reader.scheme, item.landmarks, width)
        return Ready(item, row, picture, resized, sides)
    except BadSample as reason:
        return Reject(item.key, where, printable(str(reason)))


def _stored(value: object) -> object:
    if isinstance(value, np.ndarray):
        return encode_mask(value) if value.dtype == np.uint8 else value.ravel()
    return value


def _same_frame(record: Record, picture: Picture) -> None:
    """A mask may be published smaller than its image, if nothing else is labelled in the image's pixels."""
    height, width = record.mask.shape
    if any(getattr(record, name) is not None for name in ("landmarks", "box", "points5")):
        raise BadSample(f"mask of {width} x {height} on an image of {picture.width} x {picture.height} pixels")
    if abs(height * picture.width - width * picture.height) > 0.01 * width * picture.height:
        raise BadSample(f"mask of {width} x {height} has another shape than {picture.width} x {picture.height}")


def _check_landmarks(reader: Reader, record: Record, height: int, width: int) -> None:
    count = landmark_scheme(reader.scheme).count
    if record.landmarks is None or record.landmarks.shape != (count, 2):
        raise BadSample(f"expected {count} landmarks, found {np.shape(record.landmarks)}")
    _check_points(record.landmarks, height, width)


def _check_points(points: np.ndarray, height: int, width: int) -> None:
    if not np.isfinite(points).all():
        raise BadSample("a coordinate is not finite")
    reach = FAR * max(height, width)
    if points.min() < -reach or points.max() > reach:
        raise BadSample(f"a point lies more than {reach} pixels outside the image")
    if not ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=1).any():
        raise BadSample("no point lies inside the image")


def _check_points5(reader: Reader, record: Record, height: int, width: int) -> None:
    if record.points5 is None or record.points5.shape != (5, 2):
        raise BadSample(f"expected 5 alignment points, found {np.shape(record.points5)}")
    if np.ptp(record.points5, axis=0).max() == 0:
        raise BadSample("the five alignment points coincide")
    _check_points(record.points5, height, width)


def _check_box(reader: Reader, record: Record, height: int, width: int) -> None:
    if record.box is None or record.box.shape != (4,) or not np.isfinite(record.box).all():
        raise BadSample("expected a box of four finite numbers")
    x1, y1, x2, y2 = record.box
    if not (x2 > x1 and y2 > y1):
        raise BadSample(f"box is empty: {record.box.tolist()}")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise BadSample(f"box {record.box.tolist()} lies outside the image of {width} x {height}")


def _check_mask(reader: Reader, record: Record, height: int, width: int) -> None:
    classes = len(reader.classes["mask"])
    if record.mask.max() >= classes:
        raise BadSample(f"expected label values 0..{classes - 1}, found {record.mask.max()}")


def _check_age(reader: Reader, record: Record, height: int, width: int) -> None:
    if record.age is None or not AGES[0] <= record.age <= AGES[-1]:
        raise BadSample(f"expected an age in {AGES[0]}..{AGES[-1]}, found {record.age}")


def _check_class(column: str, reader: Reader, record: Record, height: int, width: int) -> None:
    last, found = len(reader.classes[column]) - 1, getattr(record, column)
    if found is None or not 0 <= found <= last:
        raise BadSample(f"{column}: expected a class in 0..{last}, found {found}")


def _check_attributes(reader: Reader, record: Record, height: int, width: int) -> None:
    names = reader.classes["attributes"]
    if np.shape(record.attributes) != (len(names),) or not np.isin(record.attributes, (-1, 0, 1)).all():
        raise BadSample(f"expected {len(names)} attributes of -1, 0 or 1")


def _check_identity(reader: Reader, record: Record, height: int, width: int) -> None:
    if record.identity is None or not 0 <= record.identity < 1 << 31:
        raise BadSample(f"expected an identity number, found {record.identity}")


def _check_pose(reader: Reader, record: Record, height: int, width: int) -> None:
    pose = record.pose
    if pose is None or pose.shape != (3,) or not np.isfinite(pose).all():
        raise BadSample("pose: expected three finite angles")
    if np.abs(pose).max() > TURN:
        raise BadSample(f"pose: expected degrees within {TURN:.0f}, found {pose.tolist()}")


def _check_visibility(reader: Reader, record: Record, height: int, width: int) -> None:
    count = landmark_scheme(reader.scheme).count
    if np.shape(record.visibility) != (count,) or not np.isin(record.visibility, (-1, 0, 1)).all():
        raise BadSample(f"visibility: expected {count} values of -1, 0 or 1")


def _check_ratings(reader: Reader, record: Record, height: int, width: int) -> None:
    if np.shape(record.ratings) != (len(reader.ranges),):
        raise BadSample(f"expected {len(reader.ranges)} ratings, found {np.shape(record.ratings)}")
    for (name, (low, high)), value in zip(reader.ranges.items(), record.ratings.tolist(), strict=True):
        if not (np.isnan(value) or np.float32(low) <= value <= np.float32(high)):
            raise BadSample(f"{name}: expected a rating in {low:g}..{high:g}, found {value:g}")
    if np.isnan(record.ratings).all():
        raise BadSample("ratings: the face is rated on no scale")


CHECKS = {
    "landmarks": _check_landmarks,
    "points5": _check_points5,
    "box": _check_box,
    "mask": _check_mask,
    "age": _check_age,
    "attributes": _check_attributes,
    "identity": _check_identity,
    "pose": _check_pose,
    "visibility": _check_visibility,
    "ratings": _check_ratings,
    **{column: partial(_check_class, column) for column in CLASS_COLUMNS},
}
