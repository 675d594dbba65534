"""BIWI Kinect head pose: video frames of turning heads with a rotation matrix each; for testing, or 70/30."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.textfiles import label_text, lines
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, box, number, share
from faceptor.datasets.readers.poses import euler

SEQUENCES = tuple(f"{n:02d}" for n in range(1, 25))
SAME_PERSON_AS = {"15": "03", "18": "05", "21": "02", "22": "07"}  # sequences of people who were recorded before
HEAD_SIDE_MM = 260.0  # mm: side of the square about the middle of the head, from above the crown to below the chin
BOXES = "boxes.txt"
TRAIN_SHARE = 0.7
NAME = re.compile(r"(frame_\d+)_pose\.txt")


@dataclass(frozen=True)
class Camera:
    """A calibration file: intrinsics (3, 3), and the turn (3, 3) and shift (3,) in mm from the depth camera's frame."""

    intrinsic: np.ndarray
    turn: np.ndarray
    shift: np.ndarray

    def box(self, centre: np.ndarray) -> np.ndarray:
        """Square (4,) about a head whose middle lies at `centre` (3,) mm in the depth camera's frame."""
        seen = self.turn @ centre + self.shift
        if seen[2] < HEAD_SIDE_MM:
            raise BadSample(f"the head's middle lies {seen[2]:.0f} mm before the camera")
        x, y, _ = self.intrinsic @ seen / seen[2]
        half = self.intrinsic[0, 0] * HEAD_SIDE_MM / seen[2] / 2
        return box(x - half, y - half, x + half, y + half)


class Biwi(Reader):
    """`hpdb/01 ... 24/frame_00003_rgb.png` with `_pose.txt`; depth images and masks are not read.

    `protocol="all"` tests on every frame (train on 300W-LP); "70_30" takes 70 % of the sequences for training, by a
    seeded draw that keeps a person on one side. No face boxes are published: `box="head"` projects the labelled middle
    of the head through `rgb.cal` (unconfirmed: whether its turn leads from the depth to the colour camera, which moves
    the box by 5 % of its side at most); "list" reads the boxes of a detector of your choice from `boxes.txt`, lines
    `01/frame_00003 x1 y1 x2 y2`.
    """

    name = "biwi"
    title = "BIWI Kinect Head Pose"
    source = "https://icu.ee.ethz.ch/research/datsets.html (kinect_head_pose_db.tgz)"
    licence = "non-commercial research and education"
    published: ClassVar = {"test": 15678}  # others count 15,667
    choices: ClassVar = {"protocol": ("all", "70_30"), "box": ("head", "list")}
    strict_counts = False
    columns = ("pose", "box")

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self._cameras: dict[Path, Camera | BadSample] = {}
        if self.options["protocol"] == "70_30":
            self.published = {}

    @property
    def protocol(self) -> str:
        chosen = {"all": "every frame is for testing", "70_30": "70 % of the sequences train, drawn by person"}
        return chosen[self.options["protocol"]]

    def read(self, split: str) -> Iterator[Record | Reject]:
        for folder in self._sequences(split):
            found = self.listing(folder, "frame_*_pose.txt")
            if not found:
                raise self.wrong(folder, expected="frame_*_pose.txt files", found="none")
            for path in found:
                key = f"{folder.name}/{path.name.removesuffix('_pose.txt')}"
                yield self.attempt(key, self.where(path), self._record, key, split, path)

    def checks(self) -> Iterator[Check]:
        """No list names the frames, so that a sequence that is not there would not be missed."""
        if self.generated:
            return
        found = {path.name for path in self._folders}
        absent = ", ".join(name for name in SEQUENCES if name not in found)
        yield Check.of("sequences 01 to 24 are all there", not absent, f"absent: {absent or 'none'}")

    @property
    def _folders(self) -> list[Path]:
        home = self.require("hpdb", "kinect_head_pose_db/hpdb", ".", what="the folder of sequences")
        folders = [path for path in self.listing(home) if re.fullmatch(r"\d\d", path.name) and path.is_dir()]
        if not folders:
            raise self.wrong(home, expected="folders 01, 02, ... of frames", found="none")
        return folders

    def _sequences(self, split: str) -> list[Path]:
        folders = self._folders
        if self.options["protocol"] == "all":
            return folders if split == "test" else []
        people = sorted({_person(path) for path in folders}, key=lambda name: share(self.options["seed"], name))
        train = people[: round(TRAIN_SHARE * len(people))]
        return [path for path in folders if (_person(path) in train) == (split == "train")]

    def _record(self, key: str, split: str, path: Path) -> Record:
        if not NAME.fullmatch(path.name):
            raise BadSample("expected a name like frame_00003_pose.txt")
        values = [number(value) for value in label_text(self.inside(path.name, folder=path.parent)).split()]
        if len(values) != 12:
            raise BadSample(f"expected a 3 x 3 matrix and the position of the head, found {len(values)} numbers")
        return Record(
            key=key,
            split=split,
            image=self.image(f"{key.split('/')[1]}_rgb.png", folder=path.parent),
            group=_person(path.parent),
            pose=euler(np.reshape(values[:9], (3, 3))),
            box=self._box(key, path.parent, np.array(values[9:])),
        )

    # --- boxes -----------------------------------------------------------------------------------------------------

    def _box(self, key: str, folder: Path, centre: np.ndarray) -> np.ndarray:
        if self.options["box"] == "head":
            return self._camera(folder).box(centre)
        found = self._listed.get(key, [])
        if len(found) != 1 or len(found[0]) != 4:
            reason = "two lines" if len(found) > 1 else "no `x1 y1 x2 y2`" if found else "no line"
            raise BadSample(f"{BOXES} has {reason} for it")
        return box(*[number(value) for value in found[0]])

    def _camera(self, folder: Path) -> Camera:
        """The camera of a sequence; what is wrong with its file, read once, is said of that file, for every frame."""
        if folder not in self._cameras:
            try:
                self._cameras[folder] = camera(self.inside("rgb.cal", folder=folder))
            except BadSample as reason:
                self._cameras[folder] = BadSample(f"{self.where(folder / 'rgb.cal')}: {reason}")
        if isinstance(found := self._cameras[folder], BadSample):
            raise BadSample(str(found))
        return found

    @cached_property
    def _listed(self) -> dict[str, list[list[str]]]:
        """Frame -> the different things that the lines of the list say of it."""
        listed: dict[str, list[list[str]]] = {}
        for _, text in lines(self.require(BOXES, what="the list of face boxes")):
            name, *values = text.split()
            if values not in listed.setdefault(name, []):
                listed[name].append(values)
        return listed


def camera(path: Path) -> Camera:
    """A .cal file: intrinsics, distortion, rotation, translation and image size, as rows of numbers."""
    rows = [[number(value) for value in line.split()] for line in label_text(path).splitlines() if line.strip()]
    if len(rows) < 8 or any(len(rows[i]) != 3 for i in (0, 1, 2, 4, 5, 6, 7)):
        raise BadSample("expected intrinsics, distortion, rotation and translation")
    return Camera(np.array(rows[:3]), np.array(rows[4:7]), np.array(rows[7]))


def _person(folder: Path) -> str:
    return f"person {SAME_PERSON_AS.get(folder.name, folder.name)}"
