"""FaceSynthetics: rendered faces with 70 landmarks and 19-class maps, all in one folder."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.textfiles import label_text
from faceptor.datasets.labels import FACESYNTHETICS_19, FACESYNTHETICS_IGNORE, landmark_scheme
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, landmark_box, number, points, share

FILE = re.compile(r"(?P<number>\d{6})(?P<part>\.png|_seg\.png|_ldmks\.txt)", re.IGNORECASE)
PARTS = (".png", "_seg.png", "_ldmks.txt")
RELEASES = (100_000, 1_000, 100)  # images of the owner's three archives
TEST_SHARE = 0.05
POINTS = 70
PUPIL_AGREES = 0.9  # of the faces whose first pupil must be that of the eye of points 36 to 41


class FaceSynthetics(Reader):
    """`{000000}.png`, `{000000}_seg.png`, `{000000}_ldmks.txt`, loose or in the folder that the archive is called.

    The owner publishes no split: one in twenty numbers, by a hash of the number, is a test face (`seed` draws others).
    `release` says which of the three archives it is, by its images. Where several heads are in a picture, the labels
    are of the one in the middle. The 70 points are projections of points of the head: contours do not follow the
    outline of a turned face, as those that people mark do.
    """

    name = "facesynthetics"
    title = "FaceSynthetics (Microsoft)"
    source = "https://github.com/microsoft/FaceSynthetics (a direct download, without a form)"
    licence = "C-UDA 1.0: computational use for non-commercial research; trained models count as results"
    redistribution = "yes, under the same terms"
    published: ClassVar = {"train": 94943, "test": 5057}
    choices: ClassVar = {"release": RELEASES}
    columns = ("landmarks", "mask", "box", "points5")
    scheme = "FaceSynthetics"
    classes: ClassVar = {"mask": FACESYNTHETICS_19, "landmarks": tuple(landmark_scheme("FaceSynthetics").groups)}
    mask_ignore = FACESYNTHETICS_IGNORE

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        release, seed = self.options["release"], self.options["seed"]
        if (release, seed) != (RELEASES[0], 0):
            test = sum(is_test(f"{n:06d}", seed) for n in range(release))
            self.published = {"train": release - test, "test": test}
        self._pupils: dict[bool, int] = {True: 0, False: 0}  # faces by whether their first pupil is in its eye

    @property
    def protocol(self) -> str:
        return f"one in {round(1 / TEST_SHARE)} numbers is a test face, by a hash with seed {self.options['seed']}"

    @property
    def redivided(self) -> bool:
        return self.options["seed"] != 0

    @cached_property
    def _faces(self) -> dict[str, dict[str, Path]]:
        """Number of a face -> its files, by what follows the number."""
        archives = [f"dataset_{images}" for images in RELEASES]
        folder = next((path for name in archives if (path := self.find(name)) and path.is_dir()), self.root)
        found: dict[str, dict[str, Path]] = {}
        for path in self.listing(folder):
            if name := FILE.fullmatch(path.name):
                found.setdefault(name["number"], {})[name["part"].lower()] = path
        if not found:
            raise self.wrong(folder, expected="files like 000000.png, 000000_seg.png, 000000_ldmks.txt", found="none")
        return found

    def read(self, split: str) -> Iterator[Record | Reject]:
        for key, files in self._faces.items():
            if is_test(key, self.options["seed"]) == (split == "test"):
                where = self.where(next(files[part] for part in PARTS if part in files))
                yield self.attempt(key, where, self._record, key, split, files)

    def _record(self, key: str, split: str, files: dict[str, Path]) -> Record:
        if missing := [part for part in PARTS if part not in files]:
            raise BadSample(f"{key}{missing[0]} is missing")
        image, mask, text = (self.inside(files[part].name, folder=files[part].parent) for part in PARTS)
        xy = self._landmarks(text)
        return Record(
            key=key,
            split=split,
            image=image,
            landmarks=xy,
            mask=self._mask(mask),
            box=landmark_box(xy[: landmark_scheme("300W").count]),
            points5=landmark_scheme("FaceSynthetics").five_points(xy),
        )

    def _landmarks(self, path: Path) -> np.ndarray:
        values = label_text(path).split()
        if len(values) != 2 * POINTS:
            raise BadSample(f"{path.name}: expected {POINTS} points x y, found {len(values)} numbers")
        xy = points([number(value) for value in values], POINTS)
        eye, pupils = xy[36:42].mean(axis=0), xy[68:]
        self._pupils[bool(np.argmin(np.linalg.norm(pupils - eye, axis=1)) == 0)] += 1
        return xy

    def _mask(self, path: Path) -> np.ndarray:
        mask = read_gray(path)
        strange = np.unique(mask[(mask >= len(FACESYNTHETICS_19)) & (mask != FACESYNTHETICS_IGNORE)])
        if len(strange):
            last = len(FACESYNTHETICS_19) - 1
            raise BadSample(f"{path.name}: expected values 0..{last} or {FACESYNTHETICS_IGNORE}, found {strange[0]}")
        return mask

    def checks(self) -> Iterator[Check]:
        """The owner does not say which pupil comes first."""
        faces = sum(self._pupils.values())
        agree = self._pupils[True] / faces if faces else 0.0
        passed = agree >= PUPIL_AGREES if faces else None
        yield Check.of("point 68 is the pupil of the eye of points 36 to 41", passed, f"{agree:.4f} of {faces} faces")


def is_test(text: str, seed: int = 0) -> bool:
    """Whether a face of that number, as its files are named, is for testing."""
    return share(seed, text) < TEST_SHARE
