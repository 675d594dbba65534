"""Small sound data sets to damage: every reader in the layout that is generated, and in others that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partialmethod
from pathlib import Path

import cv2
import numpy as np
import pytest
from tqdm import tqdm

from faceptor.datasets import READERS
from faceptor.synthesis import LAYOUTS, synthesize
from faceptor.synthesis.layouts import base
from tests.datasets import published as hand
from tests.datasets.test_generic_reader import own
from tests.synthesis.fake import fake_render, published

SIDE = 48  # pixels: the smallest that all layouts can be drawn in
COUNTS = {"train": 5, "test": 3}
OWN = {"ms1mv3": {"train": 5, "identities": 3, "pairs": 2}}


@dataclass(frozen=True)
class Base:
    """A way to write one small set of a reader, and the options it is read with."""

    reader: str
    variant: str
    build: Callable[[Path], object]
    options: dict = field(default_factory=dict)
    drawn: bool = False  # train and test are told apart by all names together, so that a line more moves others

    @property
    def name(self) -> str:
        return f"{self.reader}-{self.variant}"


@contextmanager
def quiet() -> Iterator[pytest.MonkeyPatch]:
    """No progress bars, which take longer than a small set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True))
        yield patch


def generated(reader: str) -> Callable[[Path], object]:
    def build(root: Path) -> None:
        counts = OWN.get(reader) or published(reader, COUNTS)
        with quiet() as patch:  # flat pictures with known labels, a thousand times as fast
            patch.setattr(base, "render", fake_render)
            synthesize(reader, root, seed=7, workers=1, image_size=SIDE, **counts)

    return build


def marked(build: Callable[[Path], object], **counts: int) -> Callable[[Path], object]:
    """A hand-made set that is not held to the published counts."""

    def write(root: Path) -> None:
        build(root)
        if not (root / "GENERATED").exists():
            hand.put(root / "GENERATED", f"counts: {counts}\n")

    return write


def _w300_csv(root: Path) -> None:
    hand.w300(root)
    faces = {path: hand.face68() for path in ("afw/134212_1.jpg", "afw/134212_2.jpg", "lfpw/trainset/image_0001.png")}
    hand.csv300w(root, "face_landmarks_300w_train.csv", faces)
    tests = ("helen/testset/296814969_3.jpg", "ibug/image_003_1.jpg", "ibug/image_092_01.jpg")
    hand.csv300w(root, "face_landmarks_300w_valid.csv", {path: hand.face68() for path in tests})


def _affectnet_lists(root: Path) -> None:
    for number in range(8):
        hand.put(root / f"data/{number}.jpg", hand.jpg(number))
    for part, rows in (("train", range(5)), ("test", range(5, 8))):
        hand.put(root / f"label/{part}.txt", "".join(f"{number}.jpg {number % 7}\n" for number in rows))


def _w300vw_video(root: Path) -> None:
    for number, video in enumerate(("114", "410")):
        folder = root / video
        folder.mkdir(parents=True)
        writer = cv2.VideoWriter(str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (50, 60))
        for frame in range(1, 4):
            writer.write(np.ascontiguousarray(hand.picture(10 * number + frame)[..., ::-1]))
            hand.put(folder / f"annot/{frame:06d}.pts", hand.pts_text(hand.face68() + 1))
        writer.release()


def _morph2(root: Path) -> None:
    hand.morph2(root, subjects=4)


OTHERS = (
    Base("300w", "csv", marked(_w300_csv), {"annotations": "csv"}),
    Base("affectnet", "npy", marked(hand.affectnet_npy)),
    Base("affectnet", "lists", marked(_affectnet_lists)),
    Base("celeba", "csv", marked(lambda root: hand.celeba(root, csv=True))),
    Base("morph2", "names", marked(lambda root: hand.morph2(root, subjects=4, csv=False)), drawn=True),
    Base("morph2", "subjects", marked(_morph2), {"protocol": "subject_exclusive"}, drawn=True),
    Base("ferplus", "folders", marked(hand.ferplus_folders)),
    Base("lfw73", "hand", marked(hand.lfw73)),
    Base("lfw73", "scores", marked(hand.lfw73), {"source": "kumar"}),
    Base("lfwa", "hand", marked(hand.lfwa)),
    Base("utkface", "random", marked(hand.utkface), {"protocol": "random_80_20"}),
    Base("wflw", "hand", marked(hand.wflw), {"box": "detector"}),
    Base("aflw2000", "pt2d", marked(hand.aflw2000), {"points": "pt2d", "within_99": False}),
    Base("300wlp", "hand", marked(hand.w300lp)),
    Base("cofw", "hand", marked(hand.cofw), {"box": "published"}),
    Base("ffhqaging", "ffhq", marked(hand.ffhqaging), {"protocol": "ffhq"}),
    Base("lapa", "hand", marked(hand.lapa)),
    Base("300vw", "video", marked(_w300vw_video)),
    Base("ms1mv3", "hand", marked(hand.ms1mv3)),
    Base("generic", "csv", marked(lambda root: own(root, faces=9, test=3)), {"description": "mine.yaml"}),
)
BASES: dict[str, list[Base]] = {
    reader: [
        *([Base(reader, "generated", generated(reader), drawn=reader == "morph2")] if reader in LAYOUTS else []),
        *(base for base in OTHERS if base.reader == reader),
    ]
    for reader in (*READERS, "generic")
}
