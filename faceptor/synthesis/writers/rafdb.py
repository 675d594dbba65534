"""RAF-DB, basic emotions: aligned pictures of 100 x 100, the label list, five points and demographics per picture."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import EXPRESSIONS, RAFDB_TO_UNIFIED
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, mixed, put

# The owner's labels 1 ... 7, and the owner's training counts, whose square roots give a milder imbalance.
LABELS = tuple(EXPRESSIONS[expression] for _, expression in sorted(RAFDB_TO_UNIFIED.items()))  # in the owner's order
_CLASS_COUNTS = (1290, 281, 717, 4772, 1982, 705, 2524)
_AGE_GROUPS = (4, 20, 40, 70)  # 0-3, 4-19, 20-39, 40-69, 70+
_RACES = ("White", "Black", "Asian")


class RAFDBLayout(Layout):
    name = "rafdb"
    title = "RAF-DB: 7 expressions"
    default_size = 100
    frame = "arcface"

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, count, weights, digits in (
            ("train", order.train, np.sqrt(_CLASS_COUNTS), 5),
            ("test", order.test, (1,) * 7, 4),
        ):
            labels = mixed(count, weights, order.rng("labels", split))
            for n, label in enumerate(labels.tolist()):
                key, expression = f"{split}_{n + 1:0{digits}d}", EXPRESSIONS.index(LABELS[label])
                fixed = sitting(order.rng("pose", split, n)) | {"expression": expression}
                yield self.shot(order, split, n, key=key, fixed=fixed, note={"label": label + 1})

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        put(root / f"basic/Image/aligned/{shot.key}_aligned.jpg", portrait.image)
        # The owner measures the five points in the original picture; here the aligned one is the original.
        points = [f"{x:.3f}\t{y:.3f}" for x, y in portrait.points5]
        male, race = portrait.attributes.get("celeba:Male"), [portrait.attributes.get(f"lfw:{name}") for name in _RACES]
        facts = (
            2 if male is None else int(not male),
            race.index(True) if True in race else 0,
            int(np.searchsorted(_AGE_GROUPS, portrait.age, side="right")),
        )
        put(root / f"basic/Annotation/manual/{shot.key}_manu_attri.txt", lines([*points, *map(str, facts)]))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        table = lines(f"{shot.key}.jpg {shot.note['label']}" for shot in shots)
        put(root / "basic/EmoLabel/list_patition_label.txt", table)  # spelt so by its owner

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, caption=f"{shot.note['label']} {LABELS[shot.note['label'] - 1]}")
