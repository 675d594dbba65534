"""The one table of label columns: what a sample may be labelled with.

Everything that knows a column asks this table: the fields of `Record`, the check of a sample, the prepared shards and
their reading, the statistics of the dataset card, the keys of a user's own table. A new column is a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faceptor.datasets import own_cells, own_columns, tallies
from faceptor.datasets.labels import AGES, landmark_scheme
from faceptor.datasets.tallies import Statistic
from faceptor.datasets.values import BadSample

if TYPE_CHECKING:
    from faceptor.datasets.formats.tables import Row
    from faceptor.datasets.reader import Reader
    from faceptor.datasets.readers.generic import Generic

MAX_ANGLE_DEG = 180.0  # no published angle is larger
MAX_SIDES_OUTSIDE = 3  # a landmark this many image sides outside the picture is no landmark


class Own(NamedTuple):
    """How a user's own table gives a column.

    kind: type of the value of the description's key of this name; None where the column has no key of its own. read:
    (reader, row, the row's labels so far) -> value. names: the key's value -> names of the classes. part: (description,
    column) -> the part of the description that gives the column, if there is one.
    """

    kind: Any
    read: Callable[[Generic, Row, Mapping[str, Any]], Any]
    names: Callable[[Any], tuple[str, ...]] | None = None
    part: Callable[[Any, str], Any] = getattr


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `shape` is that of one sample's value; letters stand for sizes that differ between data sets."""

    name: str
    holds: str  # what a value is: meaning, unit, frame
    dtype: type[np.generic]
    shape: tuple[int | str, ...] = ()  # () = a number
    check: Callable[[Reader, Any, int, int], None]  # (reader, value, height, width): BadSample for what cannot be true
    statistic: Statistic | None = None  # in the dataset card
    own: Own | None = None
    label: bool = True  # something to learn; False: where the face is
    in_pixels: bool = False  # of the published image, which can then not be resized to a smaller mask

    @property
    def picture(self) -> bool:
        """Whether values are class maps, stored as PNG."""
        return len(self.shape) == 2 and np.dtype(self.dtype) == np.uint8

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape with -1 for a size that differs."""
        return tuple(-1 if isinstance(size, str) else size for size in self.shape)

    def plain(self, value: Any) -> int | float:
        """A stored number as Python has it."""
        return float(value) if np.dtype(self.dtype).kind == "f" else int(value)


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_landmarks(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    count = landmark_scheme(reader.scheme).count
    if value is None or value.shape != (count, 2):
        raise BadSample(f"expected {count} landmarks, found {np.shape(value)}")
    _check_points(value, height, width)


def _check_points(points: np.ndarray, height: int, width: int) -> None:
    if not np.isfinite(points).all():
        raise BadSample("a coordinate is not finite")
    reach = MAX_SIDES_OUTSIDE * max(height, width)
    if points.min() < -reach or points.max() > reach:
        raise BadSample(f"a point lies more than {reach} pixels outside the image")
    if not ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=1).any():
        raise BadSample("no point lies inside the image")


def _check_points5(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    if value is None or value.shape != (5, 2):
        raise BadSample(f"expected 5 alignment points, found {np.shape(value)}")
    if np.ptp(value, axis=0).max() == 0:
        raise BadSample("the five alignment points coincide")
    _check_points(value, height, width)


def _check_box(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    if value is None or value.shape != (4,) or not np.isfinite(value).all():
        raise BadSample("expected a box of four finite numbers")
    x1, y1, x2, y2 = value
    if not (x2 > x1 and y2 > y1):
        raise BadSample(f"box is empty: {value.tolist()}")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise BadSample(f"box {value.tolist()} lies outside the image of {width} x {height}")


def _check_mask(reader: Reader, value: np.ndarray, height: int, width: int) -> None:
    classes = len(reader.classes["mask"])
    known = value if reader.mask_ignore is None else value[value != reader.mask_ignore]
    if not known.size:
        raise BadSample("no pixel has a class")
    if known.max() >= classes:
        raise BadSample(f"expected label values 0..{classes - 1}, found {known.max()}")


def _check_age(reader: Reader, value: float | None, height: int, width: int) -> None:
    if value is None or not AGES[0] <= value <= AGES[-1]:
        raise BadSample(f"expected an age in {AGES[0]}..{AGES[-1]}, found {value}")


def _check_attributes(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    names = reader.classes["attributes"]
    if np.shape(value) != (len(names),) or not np.isin(value, (-1, 0, 1)).all():
        raise BadSample(f"expected {len(names)} attributes of -1, 0 or 1")


def _check_identity(reader: Reader, value: int | None, height: int, width: int) -> None:
    if value is None or not 0 <= value < 1 << 31:
        raise BadSample(f"expected an identity number, found {value}")


def _check_pose(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    if value is None or value.shape != (3,) or not np.isfinite(value).all():
        raise BadSample("pose: expected three finite angles")
    if np.abs(value).max() > MAX_ANGLE_DEG:
        raise BadSample(f"pose: expected degrees within {MAX_ANGLE_DEG:.0f}, found {value.tolist()}")


def _check_visibility(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    count = landmark_scheme(reader.scheme).count
    if np.shape(value) != (count,) or not np.isin(value, (-1, 0, 1)).all():
        raise BadSample(f"visibility: expected {count} values of -1, 0 or 1")


def _check_ratings(reader: Reader, value: np.ndarray | None, height: int, width: int) -> None:
    if np.shape(value) != (len(reader.ranges),):
        raise BadSample(f"expected {len(reader.ranges)} ratings, found {np.shape(value)}")
    for (name, (low, high)), rating in zip(reader.ranges.items(), value.tolist(), strict=True):
        if not (np.isnan(rating) or np.float32(low) <= rating <= np.float32(high)):
            raise BadSample(f"{name}: expected a rating in {low:g}..{high:g}, found {rating:g}")
    if np.isnan(value).all():
        raise BadSample("ratings: the face is rated on no scale")


def _class_column(name: str, holds: str) -> Column:
    """A column of one class per sample, among those of `Reader.classes`."""

    def check(reader: Reader, value: int | None, height: int, width: int) -> None:
        last = len(reader.classes[name]) - 1
        if value is None or not 0 <= value <= last:
            raise BadSample(f"{name}: expected a class in 0..{last}, found {value}")

    mine = Own(own_columns.Classes, own_cells.read_class(name), attrgetter("labels"))
    return Column(name=name, holds=holds, dtype=np.int8, check=check, statistic=tallies.CLASSES, own=mine)


# --- the table --------------------------------------------------------------------------------------------------------
# The order is that of an own data set's columns; what is computed from another column of the row comes after it.

_ROWS = (
    Column(
        name="landmarks",
        holds="xy in pixels",
        dtype=np.float32,
        shape=("K", 2),
        check=_check_landmarks,
        own=Own(own_columns.Landmarks, own_cells.read_landmarks, attrgetter("labels")),
        in_pixels=True,
    ),
    Column(
        name="mask",
        holds="class of every pixel; its frame is the frame of all labels",
        dtype=np.uint8,
        shape=("H", "W"),
        check=_check_mask,
        statistic=tallies.PIXELS,
        own=Own(own_columns.Masks, own_cells.read_mask, attrgetter("labels")),
    ),
    Column(
        name="age",
        holds="years",
        dtype=np.float32,
        check=_check_age,
        statistic=tallies.YEARS,
        own=Own(own_columns.Cell, own_cells.read_age, lambda part: tuple(map(str, AGES))),
    ),
    _class_column("expression", "index into labels.EXPRESSIONS"),
    _class_column("gender", "index into labels.GENDERS"),
    _class_column("race", "index into the set's classes"),
    _class_column("agegroup", "index into the set's classes"),
    Column(
        name="attributes",
        holds="1 yes, 0 no, -1 unknown",
        dtype=np.int8,
        shape=("N",),
        check=_check_attributes,
        statistic=tallies.ATTRIBUTES,
        own=Own(own_columns.AttributeList, own_cells.read_attributes, attrgetter("labels")),
    ),
    Column(
        name="pose",
        holds="pitch, yaw, roll in degrees, signs as 300W-LP",
        dtype=np.float32,
        shape=(3,),
        check=_check_pose,
        statistic=tallies.ANGLE_RANGES,
        own=Own(own_columns.numbers_in_cells(3), own_cells.read_pose),
    ),
    Column(
        name="ratings",
        holds="on the scales of Reader.ranges, nan where a face was not rated",
        dtype=np.float32,
        shape=("N",),
        check=_check_ratings,
        statistic=tallies.RATINGS,
        own=Own(own_columns.Ratings, own_cells.read_ratings, tuple),
    ),
    Column(
        name="identity",
        holds="number of the person",
        dtype=np.int32,
        check=_check_identity,
        statistic=tallies.PEOPLE,
        own=Own(own_columns.Cell, own_cells.read_identity),
    ),
    Column(
        name="box",
        holds="x1, y1, x2, y2 in pixels: crop box and metric box; own sets: the square about the landmarks by default",
        dtype=np.float32,
        shape=(4,),
        check=_check_box,
        own=Own(
            own_columns.numbers_in_cells(4), own_cells.read_box, part=lambda facts, name: facts.box or facts.landmarks
        ),
        label=False,
        in_pixels=True,
    ),
    Column(
        name="points5",
        holds="xy in pixels of eyes, nose tip, mouth corners, image-left first",
        dtype=np.float32,
        shape=(5, 2),
        check=_check_points5,
        own=Own(None, own_cells.read_points5, part=lambda facts, name: facts.landmarks and facts.landmarks.five),
        label=False,
        in_pixels=True,
    ),
    Column(
        name="visibility",
        holds="of every landmark: 1 visible, 0 occluded, -1 unknown",
        dtype=np.int8,
        shape=("K",),
        check=_check_visibility,
        statistic=tallies.VISIBILITY,
        own=Own(
            None, own_cells.read_visibility, part=lambda facts, name: facts.landmarks and facts.landmarks.visibility
        ),
    ),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ROWS}
