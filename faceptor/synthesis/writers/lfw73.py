"""LFW with attributes: LFWA's `.mat` files (40 and 73 names), its split, and the scored list of 73 attributes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceptor.synthesis.writers.celeba import SIGN, known
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, albums, described, lines, put

_FIRST_NAMES = """
    Ada Abel Bela Bruno Clara Cyrus Dora Darius Edith Elias Flora Fabio Greta Gideon Hanna Hugo Irene Ivan Judith Jonas
    Klara Kasper Lydia Leander Mira Marek Nadia Nestor Olga Oskar Petra Pavel Rosa Rufus Selma Stefan Tilda Tobias
"""
_MIDDLE_INITIALS = ("", *"ABCDEFGHIJKLMNOPRSTVW")
_LAST_NAMES = """
    Abbott Almeida Aronson Barnes Bellini Brandt Calloway Castellan Conrad Dahl Delgado Draper Eklund Engel Escobar
    Farkas Fontaine Fraser Galanis Grant Guerrero Halvorsen Hobbs Horvath Ibarra Ingram Jansen Jarvis Kaplan Keller
    Kovacs Lambert Lindqvist Lombardi Maddox Marchetti Moreau Nakamura Novak Okafor Orlov Palmer Petrov Quinn Ramirez
    Rinaldi Sandoval Schuster Soto Talbot Tanaka Ulrich Valdez Vogel Walsh Weber Yamada Young Zeller Zimmer
"""


class LFW73Layout(Layout):
    name = "lfw73"
    title = "LFW: 73 attributes"
    default_size = 160
    frame = "wild"
    zoom = 1.45

    def shots(self, order: Order) -> Iterator[Shot]:
        album = [
            (split, n, sample)
            for split, count in order.counts.items()
            for n, sample in albums(count, 2.3, order.rng("albums", split), most=40)
        ]
        people = list(dict.fromkeys((split, n) for split, n, _ in album))
        names = dict(zip(people, _names(len(people), order.rng("names")), strict=True))
        shots = [
            self.shot(
                order,
                split,
                n,
                key="{0}/{0}_{1:04d}.jpg".format(names[split, n].replace(" ", "_"), sample + 1),
                sample=sample,
                fixed=sitting(order.rng("pose", split, n, sample)),
                note={"name": names[split, n]},
            )
            for split, n, sample in album
        ]
        yield from sorted(shots, key=lambda shot: shot.key)

    def draw(self, shot: Shot, portrait, root: Path) -> tuple[dict, dict]:
        put(root / "lfw" / shot.key, portrait.image)
        return known(portrait, "celeba"), known(portrait, "lfw")

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        # Not needed by the drawing processes.
        from faceptor.datasets.labels import CELEBA_40, LFW_73

        celeba, lfw = zip(*rows, strict=True)
        save_labels(root, shots, CELEBA_40, celeba)
        save_labels(root, shots, LFW_73, lfw)
        save_split(root, shots)
        put(root / "lfw_attributes.txt", _scores(order, shots, lfw, LFW_73))

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, caption=f"{shot.note['name']}\n{described(known(portrait, 'lfw'))}")


_SCORES = {True: 1.0, False: 0.0, None: -1.0}  # the owner knows every label; a drawing does not show them all


def save_labels(root: Path, shots: Sequence[Shot], names: Sequence[str], seen: Sequence[dict]) -> None:
    """`lfw_att_<N>.mat` of the LFWA package."""
    from faceptor.synthesis.writers.write_matlab import save_hdf5_mat

    save_hdf5_mat(
        root / f"lfw_att_{len(names)}.mat",
        name=[shot.key.replace("/", "\\") for shot in shots],
        label=np.array([[_SCORES[yes.get(name)] for name in names] for yes in seen], float),
        AttrName=[name.replace("_", " ") for name in names],
    )


def save_split(root: Path, shots: Sequence[Shot]) -> None:
    """`indices_train_test.mat` of the LFWA package: numbers of pictures and of people (both in alphabetical order,
    from 1) on each side of the split."""
    from faceptor.synthesis.writers.write_matlab import save_hdf5_mat

    people = {name: i + 1 for i, name in enumerate(sorted({shot.note["name"] for shot in shots}))}
    found = {}
    for split in ("train", "test"):
        mine = [(i + 1, people[shot.note["name"]]) for i, shot in enumerate(shots) if shot.split == split]
        pictures, identities = np.array(mine, float).reshape(-1, 2).T
        found[f"indices_img_{split}"] = pictures[:, None]
        found[f"indices_identity_{split}"] = np.unique(identities)[:, None]
    save_hdf5_mat(root / "indices_train_test.mat", **found)


def _scores(order: Order, shots: Sequence[Shot], seen: Sequence[dict], names: Sequence[str]) -> str:
    """Kumar et al.'s table of classifier scores: above zero present, below absent; zero where nothing is known."""
    table = []
    for shot, yes in zip(shots, seen, strict=True):
        sign = np.array([SIGN[yes.get(name)] for name in names])
        scores = sign * order.rng("scores", shot.key).gamma(4, 0.3, size=len(names)).clip(0.05)
        person, picture = shot.note["name"], int(shot.key[-8:-4])
        table.append("\t".join([person, str(picture), *(f"{score:.6f}" for score in scores)]))
    header = "\t".join(["#", "person", "imagenum", *names])
    return lines(["#LFW attributes of generated faces", header, *table])


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Different invented names; with a middle letter only when there are not enough without."""
    firsts, lasts = _FIRST_NAMES.split(), _LAST_NAMES.split()
    plain = len(firsts) * len(lasts)
    letters = _MIDDLE_INITIALS[: -(-count // plain)]
    names = []
    for number in rng.choice(plain * len(letters), size=count, replace=False):
        letter, rest = divmod(int(number), plain)
        first, last = divmod(rest, len(lasts))
        names.append(" ".join(filter(None, (firsts[first], letters[letter], lasts[last]))))
    return names
