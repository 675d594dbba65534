"""AFLW2000-3D: the first 2,000 AFLW faces with head pose and 68 points in 3D; for testing only."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import BadSample, Reader, Record, Reject, points
from faceptor.datasets.readers.poses import head_box, label_mat, radians

MIN_POINTS_SEEN = 3  # of the 21 points that must be seen to place a box


class AFLW2000(Reader):
    """`image00002.jpg` with a .mat of the same name. `within_99=False` keeps faces with an angle beyond 99 degrees.

    `points="pt3d_68"` gives x and y of the 68 points as landmarks and places the box by them; "pt2d" places it by the
    21 points of AFLW, of which hidden ones are negative, and gives no landmarks. Points are used as written.
    """

    name = "aflw2000"
    title = "AFLW2000-3D"
    source = "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm"
    licence = "AFLW licence agreement, research only"
    published: ClassVar = {"test": 1969}  # of 2,000
    choices: ClassVar = {"points": ("pt3d_68", "pt2d"), "within_99": (True, False)}
    strict_counts = False  # the field's 1,969 comes without a list of files
    scheme = "300W"
    classes: ClassVar = {"landmarks": tuple(landmark_scheme("300W").groups)}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self.columns = ("pose", "box")
        if self.options["points"] == "pt3d_68":
            self.columns = ("pose", "landmarks", "box")
        else:
            self.scheme, self.classes = None, {}
        if not self.options["within_99"]:
            self.published = {"test": 2000}

    def read(self, split: str) -> Iterator[Record | Reject]:
        if split != "test":
            return
        home = self.require("AFLW2000", "AFLW2000-3D", ".", what="the folder of images")
        found = self.listing(home, "*.mat")
        if not found:
            raise self.wrong(home, expected="images with .mat files", found="none")
        for path in found:
            yield from self.kept(path.stem, self.where(path), self._record, path)

    def _record(self, path: Path) -> Record:
        name = self.options["points"]
        label = label_mat(self.inside(path.name, folder=path.parent), ("Pose_Para", name))
        rows = np.asarray(label[name], np.float64)
        if rows.ndim != 2 or len(rows) not in (2, 3):
            raise BadSample(f"{name}: expected rows x, y (and z), found an array of shape {rows.shape}")
        xy = seen(rows[:2].T) if name == "pt2d" else points(rows[:2].T, 68)
        return Record(
            key=path.stem,
            split="test",
            image=self.image(f"{path.stem}.jpg", folder=path.parent),
            pose=radians(label["Pose_Para"], limited=self.options["within_99"]),
            landmarks=None if name == "pt2d" else xy,
            box=head_box(xy),
        )


def seen(xy: np.ndarray) -> np.ndarray:
    """The points (N, 2) with no negative coordinate: hidden ones are written as -1."""
    kept = xy[(xy >= 0).all(axis=1)]
    if len(kept) < MIN_POINTS_SEEN:
        raise BadSample(f"pt2d: expected at least {MIN_POINTS_SEEN} visible points, found {len(kept)}")
    return points(kept, len(kept))
