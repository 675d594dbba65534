"""FairFace: `fairface_label_{train,val}.csv` beside numbered pictures in `train/` and `val/`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from faceptor.datasets.labels import FAIRFACE_AGES, FAIRFACE_RACES
from faceptor.synthesis.demographics import APPEARANCES, age_ranges, appearance_of, at_age
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, mixed, put

_HEADER = "file,age,gender,race,service_test"
_AGE_GROUP_WEIGHTS = (1, 2, 2, 3, 3, 2, 2, 1.5, 1)  # the owner has most faces between 20 and 40
_GENDERS = ("Male", "Female")
_FOLDER = {"train": "train", "test": "val"}


class FairFaceLayout(Layout):
    name = "fairface"
    title = "FairFace: gender, race, age group"
    default_size = 160
    frame = "crop"

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, count in order.counts.items():
            rng = order.rng("labels", split)
            ages, races = mixed(count, _AGE_GROUP_WEIGHTS, rng), mixed(count, (1,) * len(FAIRFACE_RACES), rng)
            genders, service = mixed(count, (1, 1), rng), mixed(count, (1, 1), rng)
            for n in range(count):
                person, face = self.person(split, n), order.rng("face", split, n)
                race, (low, high) = FAIRFACE_RACES[races[n]], age_ranges(FAIRFACE_AGES)[ages[n]]
                age = face.uniform(low, high + 1)
                looks = appearance_of(APPEARANCES[race], seed=order.seed, person=person, male=not genders[n], rng=face)
                facts = (FAIRFACE_AGES[ages[n]], _GENDERS[genders[n]], race, str(bool(service[n])))
                key, fixed = f"{_FOLDER[split]}/{n + 1}.jpg", sitting(face) | looks | at_age(age)
                yield self.shot(order, split, n, key=key, fixed=fixed, note={"facts": facts})

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        put(root / shot.key, portrait.image)

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        for split, folder in _FOLDER.items():
            table = (",".join((shot.key, *shot.note["facts"])) for shot in shots if shot.split == split)
            put(root / f"fairface_label_{folder}.csv", lines([_HEADER, *table]))

    def tile(self, shot: Shot, portrait) -> Tile:
        age, gender, race, _ = shot.note["facts"]
        return Tile(image=portrait.image, caption=f"{gender}, {race}\n{age} years")
