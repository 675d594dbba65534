"""MORPH II: album folders and `morph_2008_nonCommercial.csv`; several pictures per subject over the years.

The owner publishes no split, so nothing here says which picture is for testing: the reader splits.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.synthesis.writers.celeba import known
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, albums, lines, put

_AGE_RANGE = (16, 77)
_PICTURES_PER_PERSON = 2
_RACES = {"Black": "B", "White": "W", "Asian": "A", "Indian": "I"}


class Morph2Layout(Layout):
    name = "morph2"
    title = "MORPH II: age in years"
    default_size = 160
    frame = "crop"
    aspect = 160 / 192
    min_pictures: ClassVar = {}  # the reader draws its splits from all faces

    def shots(self, order: Order) -> Iterator[Shot]:
        count = order.train + order.test
        rng = order.rng("people")
        album = albums(count, 2, rng, most=20)
        people = album[-1][0] + 1
        identifiers = np.sort(rng.choice(np.arange(1000, max(400_000, 9 * people)), size=people, replace=False))
        ages = _ages(album, rng)
        first = {n: age for (n, sample), age in zip(album, ages, strict=True) if sample == 0}
        starts = rng.integers(date(2003, 1, 1).toordinal(), date(2005, 1, 1).toordinal(), size=people)
        births = [int(starts[n] - first[n] * 365.25) for n in range(people)]
        for (n, sample), age in zip(album, ages, strict=True):
            key = f"Album{1 + n * _PICTURES_PER_PERSON // people}"
            fixed = {"age": age} | _mug_shot(order.rng("pose", n, sample))
            note = {"subject": int(identifiers[n]), "picture": sample + 1, "born": births[n]}
            yield self.shot(order, "train", n, split="all", key=key, sample=sample, fixed=fixed, note=note)

    def draw(self, shot: Shot, portrait, root: Path) -> dict[str, bool | None]:
        attributes = known(portrait, "celeba")
        put(root / photo(shot, attributes), portrait.image)
        return attributes | {race: portrait.attributes.get(f"lfw:{race}") for race in _RACES}

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        table, first = [], {}
        for shot, seen in zip(shots, rows, strict=True):
            taken = date.fromordinal(shot.note["born"]) + timedelta(days=shot.fixed["age"] * 365.25)
            values = {
                "id_num": f"{shot.note['subject']:06d}",
                "picture_num": shot.note["picture"],
                "dob": f"{date.fromordinal(shot.note['born']):%m/%d/%Y}",
                "doa": f"{taken:%m/%d/%Y}",
                "race": next((code for race, code in _RACES.items() if seen[race]), "O"),
                "gender": _sex(seen),
                "facial_hair": int(bool(seen["Mustache"] or seen["Goatee"])),
                "age": int(shot.fixed["age"]),
                "age_diff": (taken - first.setdefault(shot.person, taken)).days,  # days since the first picture
                "glasses": int(bool(seen["Eyeglasses"])),
                "photo": photo(shot, seen),
            }
            table.append(values)
        cells = [table[0], *(values.values() for values in table)]
        put(root / "morph_2008_nonCommercial.csv", lines(",".join(map(str, row)) for row in cells))

    def tile(self, shot: Shot, portrait) -> Tile:
        attributes = known(portrait, "celeba")
        return Tile(image=portrait.image, caption=f"{int(shot.fixed['age'])} years\n{photo(shot, attributes)}")


def _mug_shot(rng: np.random.Generator) -> dict:
    """Police photographs: facing the camera before a plain wall, straight-faced, nothing over the face."""
    plain = {"background": "studio", "hat": "", "occluder": "", "sunglasses": False, "grayscale": False}
    plain |= {"expression": 0, "mouth_open": 0.0, "eyes_closed": False, "blur": 0.0}
    return plain | {"yaw": float(rng.normal(0, 8)), "pitch": float(rng.normal(0, 5)), "roll": float(rng.normal(0, 4))}


def photo(shot: Shot, attributes: dict[str, bool | None]) -> str:
    """Path below the data set's folder: <album>/<id>_<picture><M|F><age>.JPG."""
    note = shot.note
    return f"{shot.key}/{note['subject']:06d}_{note['picture']}{_sex(attributes)}{int(shot.fixed['age'])}.JPG"


def _ages(album: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[float]:
    """Ages in years, uniform over subjects; a subject's pictures follow each other within a year and a half."""
    low, high = _AGE_RANGE
    ages: list[float] = []
    for _, pictures in groupby(album, key=lambda entry: entry[0]):
        waits = rng.uniform(0.05, 1.5, size=len(list(pictures))).cumsum()
        first = rng.uniform(low, high + 1 - (waits[-1] - waits[0]))
        ages += (first + waits - waits[0]).tolist()
    return ages


def _sex(attributes: dict[str, bool | None]) -> str:
    return "M" if attributes["Male"] else "F"
