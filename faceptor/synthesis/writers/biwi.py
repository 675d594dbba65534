"""BIWI Kinect: sequences of frames `hpdb/01/frame_00003_rgb.png` with `_pose.txt`, and the cameras' calibration."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.readers.biwi import SAME_PERSON_AS
from faceptor.synthesis.head import rotation
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import swaying
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, axes, closeup, lines, put, shares
from faceptor.synthesis.writers.w300lp import angles

_SEQUENCES = 24
_MIN_FRAMES = 8  # of a sequence, at least
_FIRST_FRAME_NUMBER = 3
_FOCAL_PER_PIXEL = 517.679 / 640  # of the colour camera, per pixel of the picture's width
_MM_PER_HEAD_UNIT = 70.0  # mm to a head unit
_FLIP_DEPTH = np.diag([1.0, 1.0, -1.0])  # the drawing's z points to the viewer, the camera's away from it


class BiwiLayout(Layout):
    """Colour frames alone: nothing here reads the depth images that the owner publishes beside them."""

    name = "biwi"
    title = "BIWI Kinect: head pose"
    default_size = 240
    frame = "wild"
    aspect = 4 / 3
    min_pictures: ClassVar = {"test": 1}
    splits = ("test",)

    def shots(self, order: Order) -> Iterator[Shot]:
        count = min(_SEQUENCES, max(1, order.test // _MIN_FRAMES))
        for n, frames in enumerate(shares(order.test, [1] * count)):
            sequence = f"{n + 1:02d}"
            poses = swaying(order.rng("pose", sequence), frames, yaw=70, pitch=38, roll=28)
            person = int(SAME_PERSON_AS.get(sequence, sequence)) - 1
            for frame, pose in enumerate(poses, start=_FIRST_FRAME_NUMBER):
                fixed = pose | {"background": "indoor", "occluder": "", "sunglasses": False, "grayscale": False}
                yield self.shot(order, "test", person, key=f"{sequence}/frame_{frame:05d}", sample=n, fixed=fixed)

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> None:
        base = root / "hpdb"
        put(base / f"{shot.key}_rgb.png", portrait.image)
        rows = [*camera_matrix(portrait), (), head_position(portrait)]
        put(base / f"{shot.key}_pose.txt", lines(" ".join(f"{value:.6f}" for value in row) for row in rows))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        for sequence in {shot.key.split("/")[0] for shot in shots}:
            for camera in ("rgb", "depth"):  # one place, one lens
                put(root / "hpdb" / sequence / f"{camera}.cal", calibration(*shots[0].size))

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        return closeup(portrait, axes=axes(portrait), caption=angles(portrait))


def camera_matrix(portrait: Portrait) -> np.ndarray:
    """(3, 3) the head's rotation in the camera's axes: x to image-right, y down, z away from the camera."""
    return _FLIP_DEPTH @ rotation(*portrait.pose) @ _FLIP_DEPTH


def head_position(portrait: Portrait) -> np.ndarray:
    """(3,) mm: where the middle of the head lies before the camera."""
    height, width = portrait.image.shape[:2]
    focal = _FOCAL_PER_PIXEL * width
    away = focal * _MM_PER_HEAD_UNIT / portrait.unit
    x, y = (portrait.centre - np.array([width, height]) / 2) * away / focal
    return np.array([x, y, away])


def calibration(height: int, width: int) -> str:
    """The owner's text: intrinsics, distortion, turn and shift from the depth camera, size of the picture."""
    focal = _FOCAL_PER_PIXEL * width
    intrinsic = f"{focal:.6g} 0 {width / 2:g}\n0 {focal:.6g} {height / 2:g}\n0 0 1\n"
    return f"{intrinsic}\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n0 0 0\n\n{width} {height}\n"
