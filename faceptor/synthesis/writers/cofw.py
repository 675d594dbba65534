"""COFW: two Matlab v7.3 files with pictures, 29 points with occlusion flags, and boxes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup
from faceptor.synthesis.writers.write_matlab import CELLS, hdf5_mat, put_array, put_cells

_FILES = {"train": ("COFW_train_color.mat", "Tr"), "test": ("COFW_test_color.mat", "T")}
_HIDDEN = {"train": 0.7, "test": 0.9}  # share of pictures in which something covers the face


class COFWLayout(Layout):
    name = "cofw"
    title = "COFW: 29 landmarks (hollow: hidden)"
    default_size = 184
    frame = "wild"

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, count in order.counts.items():
            for n in range(count):
                look = facing(order.rng("pose", split, n), yaw=16) | _things(order.rng(split, n), _HIDDEN[split])
                yield self.shot(order, split, n, key=f"{split}/{n + 1:04d}", fixed=look)

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture, labels (87,) and box (4,) x, y, width, height as the owner counts pixels: from 1."""
        xy, (x1, y1, x2, y2) = portrait.landmarks["29"] + 1.0, np.round(portrait.box) + 1.0
        phi = np.concatenate([xy[:, 0], xy[:, 1], ~portrait.visible["29"]])
        image = portrait.image[..., 0] if portrait.face.grayscale else portrait.image  # some are published grey
        return image, phi.astype(float), np.array([x1, y1, x2 - x1, y2 - y1])

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator[Any], root: Path) -> None:
        with ExitStack() as stack:
            files = {split: stack.enter_context(hdf5_mat(root / name)) for split, (name, _) in _FILES.items()}
            kept: dict[str, list] = {split: [] for split in _FILES}
            for shot, (image, phi, box) in zip(shots, rows, strict=True):  # pictures are not held in memory
                place = f"{CELLS}/{len(kept[shot.split])}"
                kept[shot.split].append((put_array(files[shot.split], place, image), phi, box))
            for split, (_, end) in _FILES.items():
                images, phis, boxes = zip(*kept[split], strict=True) if kept[split] else ((), (), ())
                put_cells(files[split], f"Is{end}", images)
                put_array(files[split], f"phis{end}", np.reshape(phis, (len(phis), 87)))
                put_array(files[split], f"bboxes{end}", np.reshape(boxes, (len(boxes), 4)))

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        return closeup(portrait, "29", caption=f"{shot.key}: {(~portrait.visible['29']).sum()} hidden")


def _things(rng: np.random.Generator, share: float) -> dict:
    """What covers the face: a hand, a bar, sunglasses, hair over the brows, a cap pulled down; or nothing."""
    if rng.random() > share:
        return {"occluder": "", "sunglasses": False, "bangs": False}
    occluder = str(rng.choice(["hand", "bar", ""], p=(0.45, 0.25, 0.3)))
    return {
        "occluder": occluder,
        "sunglasses": bool(rng.random() < (0.25 if occluder else 0.6)),
        "bangs": bool(rng.random() < 0.5),
        "hair_length": str(rng.choice(["short", "medium", "long"])),
        "hat": str(rng.choice(["", "cap", "brim"], p=(0.6, 0.2, 0.2))),
    }
