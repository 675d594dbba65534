"""AFLW2000-3D: `image00002.jpg` with a `.mat` that holds the head pose, 68 points in 3D and AFLW's 21."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import turned
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, axes, closeup, put
from faceptor.synthesis.writers.w300lp import angles, pose_parameters
from faceptor.synthesis.writers.write_matlab import save_v5_mat


class AFLW2000Layout(Layout):
    name = "aflw2000"
    title = "AFLW2000-3D: head pose, 68 landmarks"
    default_size = 184
    frame = "wild"
    min_pictures: ClassVar = {"test": 1}
    splits = ("test",)

    def shots(self, order: Order) -> Iterator[Shot]:
        for n in range(order.test):
            yield self.shot(order, "test", n, key=f"image{2 + 2 * n:05d}", fixed=turned(order.rng("pose", n)))

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> None:
        image = root / "AFLW2000" / f"{shot.key}.jpg"
        put(image, portrait.image)
        solid = portrait.solid.T.astype(float)
        box = np.concatenate([solid[:2].min(axis=1), solid[:2].max(axis=1)]).round()[None]
        parameters = pose_parameters(portrait)
        save_v5_mat(image.with_suffix(".mat"), Pose_Para=parameters, pt3d_68=solid, pt2d=points21(portrait), roi=box)

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        return closeup(portrait, landmarks=portrait.solid[:, :2], axes=axes(portrait), caption=angles(portrait))


def points21(portrait: Portrait) -> np.ndarray:
    """(2, 21) AFLW's points: brows and eyes, image-left ear, nose, image-right ear, mouth, chin; -1 where hidden."""
    xy, seen = portrait.landmarks["19"], portrait.visible["19"]
    ears, heard = portrait.landmarks["98"][[0, 32]], portrait.visible["98"][[0, 32]]  # the ends of the contour
    xy = np.concatenate([xy[:12], ears[:1], xy[12:15], ears[1:], xy[15:]])
    seen = np.concatenate([seen[:12], heard[:1], seen[12:15], heard[1:], seen[15:]])
    return np.where(seen[:, None], xy, -1).T.astype(float)
