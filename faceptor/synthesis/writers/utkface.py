"""UTKFace: aligned faces whose names hold age, gender and race, and the CORAL lists of those from 21 to 60 years.

The archive has faces of other ages, too, which stand in no list.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.labels import GENDERS, UTKFACE_RACES
from faceptor.synthesis.demographics import APPEARANCES, UTKFACE_APPEARANCES, appearance_of, at_age
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, put

_LISTED_AGES = (21, 60)  # years in the CORAL lists, which count from the first
_UNLISTED_PER_LISTED = 0.44  # pictures outside of the lists for each one inside, as in the owner's archive
_OTHER_AGES = (*range(0, 21), *range(61, 91))
_PARTS = {"train": "train", "test": "test", "unlisted": "val"}  # part of the numbers of people


class UTKFaceLayout(Layout):
    name = "utkface"
    title = "UTKFace: age, gender, race"
    default_size = 160
    frame = "crop"
    min_pictures: ClassVar = {"train": 1, "test": 1}

    def shots(self, order: Order) -> Iterator[Shot]:
        counts = order.counts | {"unlisted": round(_UNLISTED_PER_LISTED * (order.train + order.test))}
        for split, count in counts.items():
            for n in range(count):
                yield self._shot(order, split, n)

    def _shot(self, order: Order, split: str, n: int) -> Shot:
        rng, person = order.rng("face", split, n), self.person(_PARTS[split], n)
        low, high = _LISTED_AGES
        age = int(rng.choice(_OTHER_AGES) if split == "unlisted" else rng.integers(low, high + 1))
        gender, race = int(rng.integers(2)), int(rng.integers(len(UTKFACE_RACES)))
        look = APPEARANCES[str(rng.choice(UTKFACE_APPEARANCES[UTKFACE_RACES[race]]))]
        looks = appearance_of(look, seed=order.seed, person=person, male=gender == 0, rng=rng)
        stamp = f"2017{list(_PARTS).index(split) + 1:02d}{n + 1:011d}"  # 17 digits: date and time
        return self.shot(
            order,
            _PARTS[split],
            n,
            split=split,
            key=f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg",
            fixed=sitting(rng) | looks | at_age(age + rng.random()),
            note={"age": age, "gender": gender, "race": race},
        )

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        put(root / "UTKFace" / shot.key, portrait.image)

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        for split in ("train", "test"):
            mine = [shot for shot in shots if shot.split == split]
            table = (f"{n},{shot.key},{shot.note['age'] - _LISTED_AGES[0]}" for n, shot in enumerate(mine))
            put(root / f"utk_{split}.csv", lines([",file,age", *table]))

    def tile(self, shot: Shot, portrait) -> Tile:
        note = shot.note
        caption = f"{GENDERS[note['gender']]}, {UTKFACE_RACES[note['race']]}\n{note['age']} years"
        return Tile(image=portrait.image, caption=caption)
