"""FaceSynthetics: pictures, 70 points and 19 classes with pixels of none, all in one folder."""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import CELEBAMASK_19, FACESYNTHETICS_19, FACESYNTHETICS_IGNORE
from faceptor.datasets.readers.facesynthetics import is_test
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import adorned, facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, lines, put

# Class of CelebAMask-HQ -> class here; sides are the person's in both. What the owner does not render has no class.
_SAME = {
    "background": "background", "neck": "neck", "face": "skin", "cloth": "clothing", "rr": "right_ear",
    "lr": "left_ear", "rb": "right_brow", "lb": "left_brow", "re": "right_eye", "le": "left_eye", "nose": "nose",
    "imouth": "mouth_interior", "llip": "bottom_lip", "ulip": "top_lip", "hair": "hair", "glass": "glasses",
    "hat": "headwear",
}  # fmt: skip
_CLASSES = np.array([
    FACESYNTHETICS_19.index(_SAME[name]) if name in _SAME else FACESYNTHETICS_IGNORE for name in CELEBAMASK_19
], np.uint8)  # fmt: skip


class FaceSyntheticsLayout(Layout):
    """Beards are skin and nothing hides a face here, so that two of the classes never occur; jewellery has no class."""

    name = "facesynthetics"
    title = "FaceSynthetics: 70 landmarks, 19 classes"
    default_size = 200
    frame = "wild"
    maps = True
    zoom = 1.2

    def shots(self, order: Order) -> Iterator[Shot]:
        """Numbers are chosen so that the reader's draw gives as many of each part as are ordered."""
        taken = Counter()
        for number in map("{:06d}".format, count()):
            if taken.total() == order.train + order.test:
                return
            split = "test" if is_test(number) else "train"
            if taken[split] < order.counts[split]:
                look = facing(order.rng("pose", number), yaw=18) | adorned(order.rng("worn", number))
                yield self.shot(order, split, taken[split], key=number, fixed=look)
                taken[split] += 1

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> None:
        put(root / f"{shot.key}.png", portrait.image)
        put(root / f"{shot.key}_seg.png", classes_of(portrait))
        put(root / f"{shot.key}_ldmks.txt", lines(f"{x:.6f} {y:.6f}" for x, y in points_of(portrait)))

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        mask = classes_of(portrait)
        mask[mask == FACESYNTHETICS_IGNORE] = 0  # shown as the background is
        caption = f"{shot.split} {shot.key}"
        return closeup(portrait, mask=mask, landmarks=points_of(portrait), caption=caption)


def points_of(portrait: Portrait) -> np.ndarray:
    """(70, 2) pixels: the 68 points, and the pupils, image-left first."""
    return np.concatenate([portrait.landmarks["68"], portrait.landmarks["98"][96:]])


def classes_of(portrait: Portrait) -> np.ndarray:
    """(H, W) uint8 classes."""
    return _CLASSES[portrait.classes19]
