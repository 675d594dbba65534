"""AFLW with 19 points: `AFLWinfo_release.mat` (Matlab v5) beside `data/flickr/{0,2,3}/image00002.jpg`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, put

_FOLDERS = (0, 2, 3)
# No file says where training ends: it is at the first 20,000 of the 24,386 in `ra`; a smaller file keeps that share.
_TRAIN_SHARE = 20000 / 24386


class AFLW19Layout(Layout):
    name = "aflw19"
    title = "AFLW: 19 landmarks (hollow: not visible) and the face box"
    default_size = 200
    frame = "wild"
    min_pictures: ClassVar = {}  # the owner's file divides all faces

    def shots(self, order: Order) -> Iterator[Shot]:
        count = order.train + order.test
        train = round(_TRAIN_SHARE * count)
        rng = order.rng("names")
        numbers = 2 + np.sort(rng.choice(max(3 * count, 90), size=count, replace=False))
        folders = np.sort(rng.choice(_FOLDERS, size=count))
        # `ra` lists the rows, training first: position in it decides the split and so the person.
        place = np.argsort(_order(order))
        for row in range(count):
            split, n = ("train", place[row]) if place[row] < train else ("test", place[row] - train)
            key = f"{folders[row]}/image{numbers[row]:05d}.jpg"
            pose = facing(order.rng("pose", row), yaw=25, pitch=10, roll=9)
            yield self.shot(order, split, n, key=key, fixed=pose)

    def draw(self, shot: Shot, portrait, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        put(root / "data/flickr" / shot.key, portrait.image)
        return portrait.landmarks["19"], portrait.visible["19"], square(portrait)

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        points, visible, boxes = (np.stack(column) for column in zip(*rows, strict=True))
        names = np.empty((len(shots), 1), object)
        names[:, 0] = [shot.key for shot in shots]
        from faceptor.synthesis.writers.write_matlab import save_v5_mat  # not needed by the drawing processes

        save_v5_mat(
            root / "AFLWinfo_release.mat",
            nameList=names,
            bbox=boxes[:, [0, 2, 1, 3]].astype(float),  # left, right, top, bottom
            data=np.concatenate([points[..., 0], points[..., 1]], axis=1).astype(float),  # x1 ... x19 y1 ... y19
            mask_new=visible.astype(float),
            ra=(_order(order) + 1)[None].astype(float),  # 1-based
        )

    def tile(self, shot: Shot, portrait) -> Tile:
        return closeup(portrait, "19", box=square(portrait), caption=f"{shot.split} {shot.key}")


def square(portrait) -> np.ndarray:
    """The square box (x1, y1, x2, y2) about the face, whole pixels as in the owner's file."""
    x1, y1, x2, y2 = np.asarray(portrait.box, float)
    centre, half = np.array([x1 + x2, y1 + y2]) / 2, max(x2 - x1, y2 - y1) / 2
    return np.concatenate([centre - half, centre + half]).round()


def _order(order: Order) -> np.ndarray:
    """0-based rows of the file, training faces first."""
    return order.rng("ra").permutation(order.train + order.test)
