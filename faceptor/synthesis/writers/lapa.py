"""LaPa: `{train,val,test}/{images,labels,landmarks}`, 11 classes and 106 points."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, jpeg, lines, png, put, shares

_TRAIN = (18168, 2000)  # published training and validation pictures


class LaPaLayout(Layout):
    name = "lapa"
    title = "LaPa: 11 classes, 106 landmarks"
    default_size = 200
    min_pictures: ClassVar = {"train": 2, "test": 1}  # the owner's validation part is taken from train

    def plan(self, order: Order) -> list[Shot]:
        train, val = shares(order.train, _TRAIN)
        shots = []
        for part, count in {"train": train, "val": val, "test": order.test}.items():
            photos = order.rng("names", part).choice(10**10, size=count, replace=False) if count else ()
            shots += [
                Shot(
                    split="test" if part == "test" else "train",
                    key=f"{photo}_{n % 3}",
                    person=self.person(part, n),
                    size=self.size(order),
                    frame="wild",
                    maps=True,
                    zoom=1.2,
                    fixed=facing(order.rng("pose", part, n), yaw=18),
                    note={"part": part},
                )
                for n, photo in enumerate(photos)
            ]
        return shots

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        base = root / "LaPa" / shot.note["part"]
        put(base / f"images/{shot.key}.jpg", jpeg(portrait.image))
        put(base / f"labels/{shot.key}.png", png(np.asarray(portrait.classes11, np.uint8)))
        points = (f"{x:.6f} {y:.6f}" for x, y in portrait.landmarks["106"])
        put(base / f"landmarks/{shot.key}.txt", lines(["106", *points]))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterable, root: Path) -> dict[str, int]:
        return self.count(shots, rows)

    def tile(self, shot: Shot, portrait) -> Tile:
        tile = Tile(
            image=portrait.image,
            mask=portrait.classes11,
            landmarks=portrait.landmarks["106"],
            caption=f"{shot.note['part']} {shot.key}",
        )
        return closeup(tile, portrait.box)
