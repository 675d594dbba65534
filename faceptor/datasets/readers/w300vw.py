"""300VW: videos of one face each with 68 landmarks on every frame; the three test categories."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import simplejpeg

from faceptor.datasets.formats.images import LARGEST_IMAGE
from faceptor.datasets.formats.textfiles import pts
from faceptor.datasets.labels import facts, landmark_scheme
from faceptor.datasets.reader import IMAGE_SUFFIXES, BadSample, Check, Listed, Reader, Record, Reject, landmark_box

CATEGORIES: dict[str, list[str]] = dict(facts()["video_300VW_test"])  # category -> numbers of its videos
FRAMES = ("imgs", "frames", "images")  # folders of extracted frames, beside annot
JPEG_QUALITY = 95  # of frames taken from a video, which is compressed already


class W300VW(Reader):
    """`<NNN>/annot/000001.pts`, one file per frame, beside `vid.avi` or a folder of extracted frames `000001.png`.

    Points are 1-based, as in 300W. Frames without annotation are passed over. Only the 64 test videos are read, each
    under its category; those of training belong to no evaluation here.
    """

    name = "300vw"
    title = "300VW (300 Videos in the Wild)"
    source = "https://ibug.doc.ic.ac.uk/resources/300-VW/"
    licence = "research only"
    published: ClassVar = {
        "test": 121278, "test/category_1": 62135, "test/category_2": 32805, "test/category_3": 26338,
    }  # fmt: skip
    strict_counts = False  # frames whose annotation is broken are left out by some, not by all
    columns = ("landmarks", "box")
    scheme = "300W"
    classes: ClassVar = {"landmarks": tuple(landmark_scheme("300W").groups)}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        self._counts: dict[str, tuple[int, int]] = {}  # video -> frames that its header states, frames that came

    def read(self, split: str) -> Iterator[Record | Reject]:
        for folder, category in self._videos(split):
            yield from self._frames(folder, category, self._labelled(folder), counts=self._counts)

    def skim(self, split: str) -> Iterator[Record | Reject | Listed]:
        """Of a video only the first labelled frame is decoded."""
        for folder, category in self._videos(split):
            labels = self._labelled(folder)
            some = labels if frames_folder(folder) else dict(sorted(labels.items())[:1])
            yield from self._frames(folder, category, some)
            if left := len(labels) - len(some):
                yield Listed(f"{folder.name}/...", self.where(folder / "vid.avi"), left)

    def _videos(self, split: str) -> Iterator[tuple[Path, str]]:
        """Folders of the test videos that are there, and their categories."""
        if split != "test":
            return
        home = self.require("300VW_Dataset_2015_12_14", ".", what="the folder of videos")
        category = {video: name for name, videos in CATEGORIES.items() for video in videos}
        found = [home / video for video in sorted(category) if (home / video / "annot").is_dir()]
        if not found:
            raise self.wrong(home, expected="folders like 114/annot of the test videos", found="none")
        yield from ((folder, category[folder.name]) for folder in found)

    def _labelled(self, folder: Path) -> dict[int, Path]:
        """Annotation file of every frame of a video that has one."""
        return {int(path.stem): path for path in self.listing(folder / "annot", "*.pts") if path.stem.isdecimal()}

    def _video(self, folder: Path) -> Path:
        """The video file, which may be missing but not lie elsewhere."""
        return self.find(str((folder / "vid.avi").relative_to(self.root))) or folder / "vid.avi"

    def _frames(
        self, folder: Path, category: str, labels: dict[int, Path], *, counts: dict[str, tuple[int, int]] | None = None
    ) -> Iterator[Record | Reject]:
        if extracted := frames_folder(folder):
            images = extracted_frames(extracted, self.listing(extracted), labels)
        else:
            images = video_frames(self._video(folder), labels, counts=counts)
        for frame, image in images:
            key = f"{folder.name}/{frame:06d}"
            yield self.attempt(key, self.where(labels[frame]), self._record, key, category, labels[frame], image)

    def _record(self, key: str, category: str, label: Path, image: Path | bytes | str) -> Record:
        if isinstance(image, str):
            raise BadSample(image)
        xy = pts(self.inside(str(label.relative_to(self.root))), 68) - 1  # the owner counts pixels from 1
        return Record(
            key=key,
            split="test",
            image=self.inside(str(image.relative_to(self.root))) if isinstance(image, Path) else image,
            group=key.split("/")[0],
            subsets=(category,),
            landmarks=xy,
            box=landmark_box(xy),
        )

    def checks(self) -> Iterator[Check]:
        """A frame that is lost inside a video gives all that follow the labels of their neighbours."""
        wrong = [f"{video}: {came} of {stated}" for video, (stated, came) in self._counts.items() if stated != came]
        passed = not wrong if self._counts else None
        yield Check.of("videos give as many frames as they state", passed, ", ".join(wrong[:5]))


# --- images of the labelled frames: number, and image file, encoded image or what is wrong ------------------------


def frames_folder(folder: Path) -> Path | None:
    """The folder of extracted frames, where there is one."""
    return next((folder / name for name in FRAMES if (folder / name).is_dir()), None)


def extracted_frames(folder: Path, found: list[Path], labels: dict[int, Path]) -> Iterator[tuple[int, Path | str]]:
    """Frames that were written to the files `found` in a folder, by their number."""
    files = {}
    for path in found:
        digits = re.search(r"(\d+)$", path.stem)
        if path.suffix.lower() in IMAGE_SUFFIXES and digits:
            files[int(digits[1])] = path
    for frame in sorted(labels):
        yield frame, files.get(frame, f"no image of frame {frame} in {folder.name}")


def video_frames(
    path: Path, labels: dict[int, Path], *, counts: dict[str, tuple[int, int]] | None = None
) -> Iterator[tuple[int, bytes | str]]:
    """Labelled frames of a video, decoded in one pass, as JPEG; frame 1 is the first.

    `counts` is given the number of frames in the header, and of those that came, under the name of the folder.
    """
    video = cv2.VideoCapture()
    problem, frame = not_a_video(path), 0
    if not problem and not video.open(str(path)):
        problem = f"{path.name} cannot be read"
    if not problem and video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT) > LARGEST_IMAGE:
        problem = f"{path.name} declares frames of more than {LARGEST_IMAGE} pixels"
    reached, problem = not problem, problem or "the video ends before this frame"
    try:
        for wanted in sorted(labels):
            while reached and frame < wanted:
                frame, reached = frame + 1, video.grab()
            done, image = video.retrieve() if reached else (False, None)
            yield wanted, jpeg(image) if done else problem
        if counts is not None and video.isOpened():
            while reached:
                frame, reached = frame + 1, video.grab()
            counts[path.parent.name] = (round(video.get(cv2.CAP_PROP_FRAME_COUNT)), max(frame - 1, 0))
    finally:
        video.release()


def not_a_video(path: Path) -> str:
    """Empty for an AVI file, else what it is: decoders also take lists of files under that name, and follow them."""
    if not path.is_file():
        return f"{path.name} is missing"
    with open(path, "rb") as handle:
        head = handle.read(12)
    return "" if head[:4] == b"RIFF" and head[8:] == b"AVI " else f"{path.name} is not an AVI file"


def jpeg(bgr: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(bgr), quality=JPEG_QUALITY, colorspace="BGR")
