"""300W: afw, helen, lfpw and ibug with one `.pts` file per picture (Matlab coordinates, 1-based)."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, lines, put, shares

# Published numbers of pictures; an order is split in the same proportions.
_TRAIN = {"afw": 337, "helen/trainset": 2000, "lfpw/trainset": 811}
_TEST = {"helen/testset": 330, "lfpw/testset": 224, "ibug": 135}
_NAME_WITH_SPACE = "image_092 _01.jpg"  # the space is in the owner's archive


class W300Layout(Layout):
    name = "300w"
    title = "300W: 68 landmarks"
    default_size = 208
    frame = "wild"
    min_pictures: ClassVar = {"train": 3, "test": 3}  # of every folder one

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, count, folders in (("train", order.train, _TRAIN), ("test", order.test, _TEST)):
            parts = zip(folders, shares(count, list(folders.values())), strict=True)
            keys = [f"{folder}/{name}" for folder, part in parts for name in _names(folder, part, order)]
            for n, key in enumerate(keys):
                yield self.shot(order, split, n, key=key, fixed=_pose(key, order.rng(key)))

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        image = root / shot.key
        put(image, portrait.image)
        put(image.with_suffix(".pts"), pts(portrait.landmarks["68"]))

    def tile(self, shot: Shot, portrait) -> Tile:
        return closeup(portrait, landmarks=portrait.landmarks["68"], caption=shot.key)


def pts(points: np.ndarray) -> str:
    """The owner's text form of (K, 2) points in 0-based pixels: the top-left pixel is (1, 1) in the file."""
    rows = (f"{x:.6f} {y:.6f}" for x, y in np.asarray(points, float) + 1)
    return lines(["version: 1", f"n_points:  {len(points)}", "{", *rows, "}"])


def _hard(rng: np.random.Generator) -> dict:
    """iBUG is the challenging subset, and AFW teaches it: every pose, and faces half-hidden twice in five pictures."""
    return {
        "yaw": float(rng.uniform(-45, 45)),
        "pitch": float(rng.uniform(-18, 18)),
        "roll": float(rng.uniform(-20, 20)),
        "occluder": str(rng.choice(["", "", "", "hand", "bar"])),
    }


def _pose(key: str, rng: np.random.Generator) -> dict:
    return _hard(rng) if key.startswith(("ibug", "afw")) else facing(rng, yaw=12, pitch=6, roll=5)


def _names(folder: str, count: int, order: Order) -> list[str]:
    if folder.startswith("lfpw"):
        return [f"image_{i:04d}.png" for i in range(1, count + 1)]
    if folder == "ibug":
        numbers = [i for i in range(3, count + 4) if i != 92]
        return [f"image_{i:03d}_1.jpg" for i in numbers[: count - 1]] + [_NAME_WITH_SPACE] * (count > 0)
    photos = order.rng("names", folder).choice(10**9, size=count, replace=False)
    return [f"{photo}_{1 + photo % 3}.jpg" for photo in np.sort(photos)]
