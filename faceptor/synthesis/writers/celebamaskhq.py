"""CelebAMask-HQ: square pictures, one PNG per part that is present at half the size, mapping to CelebA."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceptor.synthesis.writers.celeba import attribute_list, known
from faceptor.synthesis.writers.head_poses import adorned, facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, put, shares

_PARTITION = (24183, 2993)  # published training and validation pictures


class CelebAMaskHQLayout(Layout):
    name = "celebamaskhq"
    title = "CelebAMask-HQ: 19 classes"
    default_size = 192
    frame = "celebahq"
    maps = True

    def shots(self, order: Order) -> Iterator[Shot]:
        train, val = shares(order.train, _PARTITION)
        parts = ["train"] * train + ["val"] * val + ["test"] * order.test
        # The owner's numbers run through all partitions; CelebA's file numbers keep the partitions apart.
        files = order.rng("mapping").permutation(len(parts))
        first = {"train": 0, "val": train, "test": train + val}
        for index, file in enumerate(files):
            part = parts[file]
            look = facing(order.rng("pose", file), yaw=12, pitch=6) | adorned(order.rng("worn", file))
            note = {"index": index, "celeba": int(file), "partition": list(first).index(part)}
            yield self.shot(order, part, file - first[part], key=f"{index}.jpg", fixed=look, note=note)

    def draw(self, shot: Shot, portrait, root: Path) -> tuple[dict, tuple]:
        base, index = root / "CelebAMask-HQ", shot.note["index"]
        put(base / "CelebA-HQ-img" / shot.key, portrait.image)
        for part, mask in portrait.parts.items():
            half = mask[::2, ::2]
            if half.any():  # the owner publishes no file for an absent part
                put(base / f"CelebAMask-HQ-mask-anno/{index // 2000}/{index:05d}_{part}.png", np.uint8(255) * half)
        return known(portrait, "celeba"), portrait.pose

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        attributes, poses = zip(*rows, strict=True)
        base, keys = root / "CelebAMask-HQ", [shot.key for shot in shots]
        mapping = (f"{s.note['index']:<9d}{s.note['celeba']:<10d}{s.note['celeba'] + 1:06d}.jpg" for s in shots)
        put(base / "CelebA-HQ-to-CelebA-mapping.txt", lines(["idx      orig_idx  orig_file", *mapping]))
        put(base / "CelebAMask-HQ-attribute-anno.txt", attribute_list(keys, attributes, gap="  "))
        angles = (f"{key} {' '.join(f'{angle:.4f}' for angle in pose)}" for key, pose in zip(keys, poses, strict=True))
        put(base / "CelebAMask-HQ-pose-anno.txt", lines([str(len(keys)), "Yaw Pitch Roll", *angles]))
        # CelebA's own list; without it nobody can tell training from test.
        partition = sorted((s.note["celeba"], s.note["partition"]) for s in shots)
        put(base / "list_eval_partition.txt", lines(f"{file + 1:06d}.jpg {code}" for file, code in partition))

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(
            image=portrait.image[::2, ::2], mask=portrait.classes19[::2, ::2], caption=f"{shot.split} {shot.key}"
        )
