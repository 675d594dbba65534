"""FERPlus: grey values of 48 x 48 faces in `fer2013.csv`, and the votes of ten taggers in `fer2013new.csv`."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from faceptor.datasets.labels import EXPRESSIONS, FERPLUS_TO_UNIFIED, FERPLUS_VOTES
from faceptor.errors import ConfigError
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, mixed, put, shares

_TAGGERS = 10
_PARTS = (24941, 3186)  # the owner's training and public test faces with one of seven labels, both for training
# The owner's training faces of neutral, happy, sad, surprise, fear, disgust, anger; square roots soften the imbalance.
_CLASS_COUNTS = (8740, 7287, 3014, 3149, 532, 119, 2100)
_COLUMN = {label: column for column, label in FERPLUS_TO_UNIFIED.items()}
_FER2013 = (6, 3, 4, 5, 2, 1, 0)  # FER2013's own number of each of the seven
# Rows without a label of seven: the votes are divided, or most go to contempt, unknown or not a face.
_UNUSABLE_VOTES = {"divided": None, **{name: FERPLUS_VOTES.index(name) for name in ("contempt", "unknown", "NF")}}
_UNUSABLE_SHARE = 1 / 8


class FERPlusLayout(Layout):
    name = "ferplus"
    title = "FERPlus: 7 expressions, 48 x 48 grey"
    default_size = 48
    frame = "crop"

    def check(self, order: Order) -> None:
        super().check(order)
        if order.image_size not in (None, self.default_size):
            raise ConfigError(f"synthesis.ferplus.image_size: expected 48 as published, found {order.image_size}")

    def shots(self, order: Order) -> Iterator[Shot]:
        train, public = shares(order.train, _PARTS)
        parts = (("Training", "train", train), ("PublicTest", "val", public), ("PrivateTest", "test", order.test))
        numbers = itertools.count()
        for usage, part, count in parts:
            rng = order.rng("rows", part)
            labels = [EXPRESSIONS[label] for label in mixed(count, np.sqrt(_CLASS_COUNTS), rng)]
            spare = rng.choice(list(_UNUSABLE_VOTES), size=round(count * _UNUSABLE_SHARE)).tolist()
            for n, label in enumerate(rng.permutation([*labels, *spare]).tolist()):
                number = next(numbers)
                key = "" if label == "NF" else f"fer{number:07d}.png"  # the owner leaves these unnamed
                fixed = sitting(rng) | {"grayscale": True} | _shown(label)
                note = {"usage": usage, "label": label, "votes": _votes(label, rng)}
                yield self.shot(order, part, n, key=key, counted=label in EXPRESSIONS, fixed=fixed, note=note)

    def draw(self, shot: Shot, portrait, root: Path) -> str:
        return " ".join(map(str, _picture(shot, portrait)[..., 0].ravel().tolist()))

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        put(root / "fer2013.csv", "emotion,pixels,Usage\n")
        with (root / "fer2013.csv").open("a") as file:
            for shot, pixels in zip(shots, rows, strict=True):
                label = shot.note["label"]
                number = _FER2013[EXPRESSIONS.index(label)] if label in EXPRESSIONS else _FER2013[0]
                file.write(f"{number},{pixels},{shot.note['usage']}\n")
        votes = (",".join(map(str, (shot.note["usage"], shot.key, *shot.note["votes"]))) for shot in shots)
        put(root / "fer2013new.csv", lines([",".join(("Usage", "Image name", *FERPLUS_VOTES)), *votes]))

    def tile(self, shot: Shot, portrait) -> Tile:
        label = shot.note["label"]
        return Tile(image=_picture(shot, portrait), caption=label if label in EXPRESSIONS else f"({label})")


def _shown(label: str) -> dict:
    """What the face shows; for rows that no label fits a faint feeling."""
    return {"expression": EXPRESSIONS.index(label)} if label in EXPRESSIONS else {"intensity": 0.3}


def _votes(label: str, rng: np.random.Generator) -> list[int]:
    """Votes of the ten taggers, whose majority is the label."""
    column = _COLUMN[EXPRESSIONS.index(label)] if label in EXPRESSIONS else _UNUSABLE_VOTES[label]
    if column is None:  # five against five
        return (_TAGGERS // 2 * np.isin(np.arange(len(FERPLUS_VOTES)), rng.choice(7, 2, replace=False))).tolist()
    agreed = _TAGGERS if label == "NF" else int(rng.integers(6, _TAGGERS + 1))
    others = [other for other in range(8) if other != column]
    votes = np.zeros(len(FERPLUS_VOTES), int)
    votes[column] = agreed
    np.add.at(votes, rng.choice(others, size=_TAGGERS - agreed), 1)
    return votes.tolist()


def _picture(shot: Shot, portrait) -> np.ndarray:
    """The picture, or for "NF" one in which no face can be seen."""
    if shot.note["label"] == "NF":
        return cv2.GaussianBlur(portrait.image, (0, 0), sigmaX=max(shot.size) / 6)
    return portrait.image
