"""CelebA: aligned and cropped pictures, 40 attributes (-1 no, 1 yes), partition, identities, five points."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, albums, described, lines, put, shares

VALIDATION = (162770, 19867)  # published training and validation pictures
SIGN = {True: 1, False: -1, None: 0}  # of an attribute that is there, is not, or is unknown
_POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")


class CelebALayout(Layout):
    name = "celeba"
    title = "CelebA: 40 attributes"
    default_size = 218
    frame = "celeba"
    aspect = 178 / 218

    def shots(self, order: Order) -> Iterator[Shot]:
        train, val = shares(order.train, VALIDATION)
        numbers = count(1)
        for code, (part, pictures) in enumerate({"train": train, "val": val, "test": order.test}.items()):
            album = albums(pictures, 2, order.rng("albums", part), most=30)
            for who in order.rng("shuffle", part).permutation(len(album)):
                n, sample = album[who]
                age = _age(order.rng("age", part, n)) + float(order.rng("years", part, n, sample).uniform(0, 6))
                key, fixed = f"{next(numbers):06d}.jpg", sitting(order.rng("pose", part, n, sample)) | {"age": age}
                yield self.shot(order, part, n, key=key, sample=sample, fixed=fixed, note={"partition": code})

    def draw(self, shot: Shot, portrait, root: Path) -> tuple[dict, np.ndarray]:
        put(root / "img_align_celeba" / shot.key, portrait.image)
        return known(portrait, "celeba"), portrait.points5

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        attributes, points = zip(*rows, strict=True)
        put(root / "list_attr_celeba.txt", attribute_list([shot.key for shot in shots], attributes))
        put(root / "list_eval_partition.txt", lines(f"{shot.key} {shot.note['partition']}" for shot in shots))
        people = order.rng("ids").permutation(np.unique([shot.person for shot in shots]))
        numbers = {who: number for number, who in enumerate(people, start=1)}
        put(root / "identity_CelebA.txt", lines(f"{shot.key} {numbers[shot.person]}" for shot in shots))
        header = " ".join(f"{point}_{axis}" for point in _POINTS for axis in "xy")
        places = (
            f"{shot.key} " + " ".join(f"{value:4d}" for value in np.rint(five).astype(int).ravel())
            for shot, five in zip(shots, points, strict=True)
        )
        put(root / "list_landmarks_align_celeba.txt", lines([str(len(shots)), header, *places]))

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, caption=described(known(portrait, "celeba")))


def _age(rng: np.random.Generator) -> float:
    """Well-known people are mostly photographed young: two thirds are below forty."""
    return 17.0 + 52.0 * float(rng.random()) ** 1.8


def known(portrait, prefix: str) -> dict[str, bool | None]:
    """The drawing's attributes under one data set's names; None where a drawing cannot show the attribute."""
    start = f"{prefix}:"
    return {key.removeprefix(start): value for key, value in portrait.attributes.items() if key.startswith(start)}


def attribute_list(keys: Sequence[str], attributes: Sequence[dict[str, bool | None]], gap: str = " ") -> str:
    """The owner's table: count, names, then one line per picture; 1 yes, -1 no, and 0 for what is unknown."""
    from faceptor.datasets.labels import CELEBA_40  # not needed by the drawing processes

    table = (
        f"{key}{gap}" + " ".join(f"{SIGN[yes.get(name)]:2d}" for name in CELEBA_40)
        for key, yes in zip(keys, attributes, strict=True)
    )
    return lines([str(len(keys)), " ".join(CELEBA_40) + " ", *table])
