"""FFHQ-Aging: `ffhq_aging_labels.csv` beside the thumbnails of FFHQ, a thousand to a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.labels import FFHQ_AGES, GENDERS
from faceptor.synthesis.demographics import age_ranges, at_age
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, mixed, put

_HEADER = (
    "image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch,head_roll,head_yaw,"
    "left_eye_occluded,right_eye_occluded,glasses"
)
_FOLDER = "thumbnails128x128"


class FFHQAgingLayout(Layout):
    name = "ffhqaging"
    title = "FFHQ-Aging: gender, age group"
    default_size = 128
    frame = "celebahq"
    min_pictures: ClassVar = {}  # every face is for testing
    max_pictures: ClassVar = {"train": 60000, "test": 10000}  # FFHQ's own division is by number

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, first in (("train", 0), ("test", self.max_pictures["train"])):
            count, rng = order.counts[split], order.rng("labels", split)
            groups, genders = mixed(count, (1,) * len(FFHQ_AGES), rng), mixed(count, (1, 1), rng)
            for n in range(count):
                face = order.rng("face", split, n)
                low, high = age_ranges(FFHQ_AGES)[groups[n]]
                fixed = sitting(face) | {"male": not genders[n]} | at_age(face.uniform(low, high + 1))
                note = {"age": FFHQ_AGES[groups[n]], "gender": GENDERS[genders[n]]}
                yield self.shot(order, split, n, key=f"{first + n:05d}", fixed=fixed, note=note)

    def draw(self, shot: Shot, portrait, root: Path) -> str:
        folder = f"{int(shot.key) // 1000 * 1000:05d}"
        put(root / _FOLDER / folder / f"{shot.key}.png", portrait.image)
        yaw, pitch, roll = portrait.pose
        glasses = "Dark" if portrait.face.sunglasses else "Normal" if portrait.face.eyeglasses else "None"
        facts = (int(shot.key), shot.note["age"], 1.0, shot.note["gender"], 1.0, f"{pitch:.2f}", f"{roll:.2f}")
        return ",".join(map(str, (*facts, f"{yaw:.2f}", 0.0, 0.0, glasses)))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        put(root / "ffhq_aging_labels.csv", lines([_HEADER, *rows]))

    def counts(self, shots: Sequence[Shot]) -> dict[str, int]:
        return {"all": len(shots)}  # readers divide it in more than one way

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, caption=f"{shot.note['gender']}\n{shot.note['age']} years")
