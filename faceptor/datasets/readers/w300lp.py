"""300W-LP: 300W faces turned to large poses by rendering, with head pose and 68 landmarks; for training only."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, points
from faceptor.datasets.readers.poses import head_box, label_mat, radians

PARTS = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}  # faces, and as many mirrored copies of them
FOLDERS = {f"{part}{flip}": faces for part, faces in PARTS.items() for flip in ("", "_Flip")}


class W300LP(Reader):
    """`<part>/<photograph>_<pose>.jpg` with a .mat of the same name; `<part>_Flip` holds the mirrored copies.

    `landmarks="pt2d"` takes the 68 points of that file; "pts_2d" and "pts_3d" those of `landmarks/<part>/..._pts.mat`
    (3D: on the head itself, also where it hides them). Points are used as written; the owner does not say whether
    pixels count from 0 or 1. `within_99=False` keeps the few faces with an angle beyond 99 degrees.
    """

    name = "300wlp"
    title = "300W-LP (300W across Large Poses)"
    source = "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm"
    licence = "research only; images keep their owners' rights"
    published: ClassVar = {"train": sum(FOLDERS.values())}
    choices: ClassVar = {"landmarks": ("pt2d", "pts_2d", "pts_3d"), "within_99": (True, False)}
    strict_counts = False  # the count is that before the limit on angles
    columns = ("pose", "landmarks", "box")
    scheme = "300W"
    classes: ClassVar = {"landmarks": tuple(landmark_scheme("300W").groups)}

    def read(self, split: str) -> Iterator[Record | Reject]:
        if split != "train":
            return
        home = self._home
        folders = [folder for folder in FOLDERS if (home / folder).is_dir()]
        if not folders:
            raise self.wrong(home, expected=f"folders {', '.join(FOLDERS)}", found="none of them")
        for folder in folders:
            for path in self._labelled(home / folder):
                key = f"{folder}/{path.stem}"
                yield from self.kept(key, self.where(path), self._record, key, home)

    def checks(self) -> Iterator[Check]:
        """No list names the faces, so that a folder that is absent, or unpacked in part, would not be missed."""
        if self.generated:
            return
        found = {folder: len(self._labelled(self._home / folder)) for folder in FOLDERS}
        wrong = [f"{folder}: {found[folder]} of {faces}" for folder, faces in FOLDERS.items() if found[folder] != faces]
        yield Check.of("every folder has as many faces as published", not wrong, ", ".join(wrong))

    @property
    def _home(self) -> Path:
        return self.require("300W_LP", "300W-LP", ".", what="the folder of images")

    def _labelled(self, folder: Path) -> list[Path]:
        """The label files of a folder, sorted by name; none where there is no such folder."""
        return self.listing(folder, "*.mat") if folder.is_dir() else []

    def _record(self, key: str, home: Path) -> Record:
        folder, stem = key.split("/")
        label = label_mat(self.inside(f"{key}.mat", folder=home), ("Pose_Para", "pt2d"))
        xy = self._points(home, folder.removesuffix("_Flip"), folder, stem, label["pt2d"])
        photograph = re.sub(r"_\d+$", "", stem)  # one photograph gives many poses, and each of them its mirror image
        return Record(
            key=key,
            split="train",
            image=self.image(f"{key}.jpg", folder=home),
            group=f"{folder.removesuffix('_Flip')}/{photograph}",
            pose=radians(label["Pose_Para"], limited=self.options["within_99"]),
            landmarks=xy,
            box=head_box(xy),
        )

    def _points(self, home: Path, part: str, folder: str, stem: str, pt2d: np.ndarray) -> np.ndarray:
        kind = self.options["landmarks"]
        if kind == "pt2d":
            return pairs(pt2d, 68)
        if folder != part:
            raise BadSample(f"{kind} is not published for mirrored copies; use options.landmarks: pt2d")
        path = self.inside(f"landmarks/{part}/{stem}_pts.mat", folder=home)
        return pairs(label_mat(path, (kind,))[kind], 68)


def pairs(values: np.ndarray, count: int) -> np.ndarray:
    """Points as two rows (x, y) or `count` rows -> (count, 2) float32."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or 2 not in values.shape:
        raise BadSample(f"expected {count} points, found an array of shape {values.shape}")
    return points(values.T if values.shape[0] == 2 else values, count)
