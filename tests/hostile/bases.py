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
from faceptor.synthesis.writers import layout as layouts
from tests.datasets import published as hand
from tests.datasets.test_generic_reader import own, own_parquet
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
            patch.setattr(layouts, "render", fake_render)
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


def _w300_detector(root: Path) -> None:
    hand.w300(root)
    for folder in ("afw", "helen/trainset", "helen/testset", "lfpw/trainset", "lfpw/testset", "ibug"):
        names = sorted(path.name for path in (root / folder).iterdir() if path.suffix != ".pts")
        hand.detections(root / f"Bounding_Boxes/bounding_boxes_{folder.replace('/', '_')}.mat", names)


def _wflw_csv(root: Path) -> None:
    hand.wflw(root)
    names = [f"36--Football/36_Football_game_36_{number}.jpg" for number in (1, 2, 3, 4)]
    hand.csv_list(root / "face_landmarks_wflw_train.csv", [(name, hand.face98()) for name in names[:2]])
    hand.csv_list(root / "face_landmarks_wflw_test.csv", [(name, hand.face98(0.25)) for name in names[2:]])
    hand.csv_list(root / "face_landmarks_wflw_test_blur.csv", [(names[3], hand.face98(0.25))])


def _biwi_list(root: Path) -> None:
    hand.biwi(root)
    frames = [f"{sequence}/frame_{frame:05d}" for sequence in ("01", "03", "15") for frame in (3, 4)]
    hand.put(root / "boxes.txt", "".join(f"{name} {250 + n} 150 {380 + n} 280\n" for n, name in enumerate(frames)))


def _morph2_lists(root: Path) -> None:
    hand.morph2(root, subjects=4, csv=False)
    names = sorted(str(path.relative_to(root)) for path in root.glob("Album*/*.JPG"))
    for part, chosen in (("train", names[:8]), ("test", names[8:])):
        rows = "".join(f"{name} {name[-6:-4]}\n" for name in chosen)
        hand.put(root / f"label/RANDOM_80_20/{part}.txt", rows)


def _ferplus_lists(root: Path) -> None:
    for number, part in enumerate(("train", "train", "train", "val", "val", "test", "test")):
        hand.put(root / f"data/{part}/f{number}.png", hand.png(hand.fer_faces()[number]))
    for part in ("train", "val", "test"):
        names = sorted(path.name for path in (root / "data" / part).iterdir())
        hand.put(root / f"label/{part}.txt", "".join(f"{part}/{name} {n % 7}\n" for n, name in enumerate(names)))


def _utkface_wild(root: Path) -> None:
    hand.utkface(root)
    for number, path in enumerate(sorted((root / "UTKFace").iterdir())):
        hand.put(root / f"part{number % 3 + 1}/{path.name.removesuffix('.chip.jpg')}", path.read_bytes())
        path.unlink()


def _rafdb_original(root: Path) -> None:
    hand.rafdb(root)
    for path in sorted((root / "basic/Image/aligned").iterdir()):
        hand.put(root / f"basic/Image/original/{path.name.replace('_aligned', '')}", path.read_bytes())
        path.unlink()


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
    Base("300w", "detector", marked(_w300_detector), {"box": "detector"}),
    Base("affectnet", "aligned", generated("affectnet"), {"landmarks": True}),
    Base("affectnet", "npy", marked(hand.affectnet_npy)),
    Base("affectnet", "npy aligned", marked(hand.affectnet_npy), {"landmarks": True}),
    Base("affectnet", "lists", marked(_affectnet_lists)),
    Base("celeba", "csv", marked(lambda root: hand.celeba(root, csv=True))),
    Base("morph2", "names", marked(lambda root: hand.morph2(root, subjects=4, csv=False)), drawn=True),
    Base("morph2", "lists", marked(_morph2_lists)),
    Base("morph2", "subjects", marked(_morph2), {"protocol": "subject_exclusive"}, drawn=True),
    Base("ferplus", "folders", marked(hand.ferplus_folders)),
    Base("ferplus", "lists", marked(_ferplus_lists)),
    Base("rafdb", "original", marked(_rafdb_original), {"images": "original"}),
    Base("celebamaskhq", "owner", marked(hand.celebamaskhq), {"painting": "owner", "classes": 11}),
    Base("lfw73", "hand", marked(hand.lfw73)),
    Base("lfw73", "scores", marked(hand.lfw73), {"source": "kumar"}),
    Base("lfwa", "hand", marked(hand.lfwa)),
    Base("utkface", "random", marked(hand.utkface), {"protocol": "random_80_20"}),
    Base("utkface", "wild", marked(_utkface_wild), {"images": "wild"}),
    Base("wflw", "csv", marked(_wflw_csv), {"annotations": "csv"}),
    Base("wflw", "hand", marked(hand.wflw), {"box": "detector"}),
    Base("aflw2000", "pt2d", marked(hand.aflw2000), {"points": "pt2d", "within_99": False}),
    Base("300wlp", "hand", marked(hand.w300lp)),
    Base("biwi", "list", marked(_biwi_list), {"box": "list"}),
    Base("cofw", "hand", marked(hand.cofw), {"box": "published"}),
    Base("ffhqaging", "ffhq", marked(hand.ffhqaging), {"protocol": "ffhq"}),
    Base("lapa", "hand", marked(hand.lapa)),
    Base("300vw", "video", marked(_w300vw_video)),
    Base("ms1mv3", "hand", marked(hand.ms1mv3)),
    Base("facesynthetics", "hand", marked(hand.facesynthetics)),
    Base("digiface", "hand", marked(hand.digiface)),
    Base("generic", "parquet", marked(own_parquet), {"description": "mine.yaml"}),
    Base("generic", "csv", marked(lambda root: own(root, faces=9, test=3)), {"description": "mine.yaml"}),
)
BASES: dict[str, list[Base]] = {
    reader: [
        *([Base(reader, "generated", generated(reader), drawn=reader == "morph2")] if reader in LAYOUTS else []),
        *(base for base in OTHERS if base.reader == reader),
    ]
    for reader in (*READERS, "generic")
}
