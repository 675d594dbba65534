"""LaPa: `{train,val,test}/{images,labels,landmarks}`, 11 classes and 106 points."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, lines, put, shares

_TRAIN = (18168, 2000)  # published training and validation pictures


class LaPaLayout(Layout):
    name = "lapa"
    title = "LaPa: 11 classes, 106 landmarks"
    default_size = 200
    frame = "wild"
    maps = True
    zoom = 1.2
    min_pictures: ClassVar = {"train": 2, "test": 1}  # the owner's validation part is taken from train

    def shots(self, order: Order) -> Iterator[Shot]:
        train, val = shares(order.train, _TRAIN)
        for part, count in {"train": train, "val": val, "test": order.test}.items():
            photos = order.rng("names", part).choice(10**10, size=count, replace=False) if count else ()
            for n, photo in enumerate(photos):
                pose = facing(order.rng("pose", part, n), yaw=18)
                yield self.shot(order, part, n, key=f"{photo}_{n % 3}", fixed=pose, note={"part": part})

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        base = root / "LaPa" / shot.note["part"]
        put(base / f"images/{shot.key}.jpg", portrait.image)
        put(base / f"labels/{shot.key}.png", portrait.classes11)
        points = (f"{x:.6f} {y:.6f}" for x, y in portrait.landmarks["106"])
        put(base / f"landmarks/{shot.key}.txt", lines(["106", *points]))

    def tile(self, shot: Shot, portrait) -> Tile:
        caption = f"{shot.note['part']} {shot.key}"
        return closeup(portrait, mask=portrait.classes11, landmarks=portrait.landmarks["106"], caption=caption)
