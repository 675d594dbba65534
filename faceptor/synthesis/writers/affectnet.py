"""AffectNet, the first release: pictures in hashed folders, training.csv and validation.csv with face boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from faceptor.datasets.labels import EXPRESSIONS
from faceptor.synthesis.writers.aflw19 import square
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, lines, mixed, put

_HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
# neutral, happy, sad, surprise, fear, disgust, anger: the owner's training imbalance (75k happy, 4k disgust), softened.
_CLASS_WEIGHTS = (3.0, 3.6, 2.0, 1.7, 1.3, 1.2, 1.9)
# Rows that a seven-class reader drops: contempt, none, uncertain, no face. The owner has far more of them.
_DROPPED = {"contempt": 7, "none": 8, "uncertain": 9, "no-face": 10}
_DROPPED_SHARE = 1 / 16
# The drawing has no face for these; a faint smile and faint feelings come nearest.
_FIXED = {7: {"expression": 1, "intensity": 0.3}, 8: {"intensity": 0.2}, 9: {"intensity": 0.3}, 10: {}}
# Where the seven expressions lie in the plane of valence and arousal (Russell's circumplex).
_AFFECT = ((0.0, 0.0), (0.7, 0.2), (-0.6, -0.25), (0.2, 0.7), (-0.3, 0.75), (-0.65, 0.45), (-0.5, 0.7))


class AffectNetLayout(Layout):
    name = "affectnet"
    title = "AffectNet: 7 expressions, face boxes"
    default_size = 160
    frame = "wild"

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, count in order.counts.items():
            rng = order.rng("rows", split)
            labels = mixed(count, _CLASS_WEIGHTS if split == "train" else (1,) * 7, rng)
            spare = np.full(count // 7, _DROPPED["contempt"])
            if split == "train":
                spare = rng.choice(list(_DROPPED.values()), size=round(count * _DROPPED_SHARE))
            for n, label in enumerate(rng.permutation(np.concatenate([labels, spare]).astype(int)).tolist()):
                name = rng.bytes(28).hex()
                key = f"{rng.integers(1, 1300)}/{name}.jpg"
                fixed = sitting(rng) | _FIXED.get(label, {"expression": label})
                note = {"expression": label, "affect": _affect(label, rng)}
                yield self.shot(order, split, n, key=key, counted=label < 7, fixed=fixed, note=note)

    def draw(self, shot: Shot, portrait, root: Path) -> str:
        put(root / "Manually_Annotated_Images" / shot.key, _picture(shot, portrait))
        x1, y1, x2, y2 = square(portrait).astype(int)
        points = ";".join(f"{value:.2f}" for value in portrait.landmarks["68"].ravel())
        valence, arousal = shot.note["affect"]
        box = f"{x1},{y1},{x2 - x1},{y2 - y1}"
        return f"{shot.key},{box},{points},{shot.note['expression']},{valence:.6g},{arousal:.6g}"

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        table = {"train": [_HEADER], "test": [_HEADER]}
        for shot, row in zip(shots, rows, strict=True):
            table[shot.split].append(row)
        put(root / "training.csv", lines(table["train"]))
        put(root / "validation.csv", lines(table["test"]))

    def tile(self, shot: Shot, portrait) -> Tile:
        label = shot.note["expression"]
        names = {**dict(enumerate(EXPRESSIONS)), **{code: f"({name})" for name, code in _DROPPED.items()}}
        return Tile(image=_picture(shot, portrait), box=square(portrait), caption=names[label])


def _picture(shot: Shot, portrait) -> np.ndarray:
    """The picture, or where the label says "no face" one in which none can be seen."""
    if shot.note["expression"] == _DROPPED["no-face"]:
        return cv2.GaussianBlur(portrait.image, (0, 0), sigmaX=max(shot.size) / 8)
    return portrait.image


def _affect(label: int, rng: np.random.Generator) -> tuple[float, float]:
    """(valence, arousal) in [-1, 1]; (-2, -2) where the owner gives none (no expression, no face)."""
    if label >= 8:
        return -2.0, -2.0
    centre = _AFFECT[label] if label < 7 else (-0.5, 0.3)
    return tuple(np.clip(rng.normal(centre, 0.1), -1, 1).tolist())
