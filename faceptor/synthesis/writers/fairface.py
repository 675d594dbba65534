"""FairFace: `fairface_label_{train,val}.csv` beside numbered pictures in `train/` and `val/`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import FAIRFACE_AGES, FAIRFACE_RACES
from faceptor.synthesis.demographics import APPEARANCES, age_ranges, appearance_of, at_age
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, jpeg, lines, mixed, put

_HEADER = "file,age,gender,race,service_test"
_AGE_GROUP_WEIGHTS = (
    1,
    2,
    2,
    3,
    3,
    2,
    2,
    1.5,
    1,
)  # shares of the nine groups: the owner has most faces between 20 and 40
_GENDERS = ("Male", "Female")
_FOLDER = {"train": "train", "test": "val"}


class FairFaceLayout(Layout):
    name = "fairface"
    title = "FairFace: gender, race, age group"
    default_size = 160

    def plan(self, order: Order) -> list[Shot]:
        shots: list[Shot] = []
        for split, count in (("train", order.train), ("test", order.test)):
            rng = order.rng("labels", split)
            ages, races = mixed(count, _AGE_GROUP_WEIGHTS, rng), mixed(count, (1,) * len(FAIRFACE_RACES), rng)
            genders, service = mixed(count, (1, 1), rng), mixed(count, (1, 1), rng)
            for n in range(count):
                person, face = self.person(split, n), order.rng("face", split, n)
                race, low_high = FAIRFACE_RACES[races[n]], age_ranges(FAIRFACE_AGES)[ages[n]]
                age = face.uniform(low_high[0], low_high[1] + 1)
                looks = appearance_of(APPEARANCES[race], seed=order.seed, person=person, male=not genders[n], rng=face)
                facts = (FAIRFACE_AGES[ages[n]], _GENDERS[genders[n]], race, str(bool(service[n])))
                shots.append(
                    Shot(
                        split=split,
                        key=f"{_FOLDER[split]}/{n + 1}.jpg",
                        person=person,
                        size=self.size(order),
                        frame="crop",
                        fixed=sitting(face) | looks | at_age(age),
                        note={"facts": facts},
                    )
                )
        return shots

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        put(root / shot.key, jpeg(portrait.image))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterable, root: Path) -> dict[str, int]:
        counts = self.count(shots, rows)
        for split, folder in _FOLDER.items():
            table = (",".join((shot.key, *shot.note["facts"])) for shot in shots if shot.split == split)
            put(root / f"fairface_label_{folder}.csv", lines([_HEADER, *table]))
        return counts

    def tile(self, shot: Shot, portrait) -> Tile:
        age, gender, race, _ = shot.note["facts"]
        return Tile(image=np.asarray(portrait.image), caption=f"{gender}, {race}\n{age} years")
