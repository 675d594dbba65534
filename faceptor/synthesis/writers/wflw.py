"""WFLW: pictures by event, and lists with 98 points, detector box and six attributes per face."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import EXPRESSIONS
from faceptor.datasets.readers.wflw import SUBSET_LIST, SUBSETS, TEST_LIST, TRAIN_OR_TEST_LIST
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import facing, turned
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, lines, put

_EVENTS = ("0--Parade", "7--Cheering", "12--Group", "29--Students_Schoolkids", "36--Football", "44--Aerobics")
_LARGE_POSE_DEG = (35.0, 22.0, 22.0)  # yaw, pitch, roll in degrees from which a pose counts as large
_STRONG_EXPRESSIONS = ("surprise", "fear", "disgust", "anger")


class WFLWLayout(Layout):
    name = "wflw"
    title = "WFLW: 98 landmarks (hollow: hidden), attributes"
    default_size = 240
    frame = "wild"

    def shots(self, order: Order) -> Iterator[Shot]:
        numbers = itertools.count(1)
        for split, count in order.counts.items():
            for n in range(count):
                rng = order.rng(split, n)
                event = _EVENTS[rng.integers(len(_EVENTS))]
                name = event.replace("--", "_")
                key = f"{event}/{name}_{name.split('_', 1)[1]}_{next(numbers):05d}.jpg"
                yield self.shot(order, split, n, key=key, fixed=_scene(rng))

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> tuple[str, str, list[int]]:
        """Points as text, box as text, flags."""
        put(root / "WFLW_images" / shot.key, portrait.image)
        points = " ".join(f"{value:.6f}" for value in portrait.landmarks["98"].ravel())
        return points, " ".join(f"{value:.0f}" for value in portrait.box), list(flags(portrait).values())

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        faces: dict[str, list] = {split: [] for split in self.splits}
        for shot, row in zip(shots, rows, strict=True):
            faces[shot.split].append((shot.key, *row))
        for split, chosen in faces.items():
            text = (f"{points} {box} {' '.join(map(str, flag))} {key}" for key, points, box, flag in chosen)
            put(root / TRAIN_OR_TEST_LIST.format(split=split), lines(text))
        put(root / TEST_LIST, lines(f"{points} {key}" for key, points, *_ in faces["test"]))
        for column, subset in enumerate(SUBSETS):
            members = (f"{points} {key}" for key, points, _, flag in faces["test"] if flag[column])
            put(root / SUBSET_LIST.format(subset=subset), lines(members))

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        shown = [name for name, flag in flags(portrait).items() if flag]
        return closeup(portrait, "98", caption=", ".join(shown) or "no attribute")


def flags(portrait: Portrait) -> dict[str, int]:
    """The six attributes by the names of their subsets, as the drawing shows them."""
    face, hidden = portrait.face, ~portrait.visible["98"]
    large = (np.abs(portrait.pose) > _LARGE_POSE_DEG).any()
    shown = {
        "largepose": large,
        "expression": EXPRESSIONS[face.expression] in _STRONG_EXPRESSIONS and face.intensity > 0.85,
        "illumination": face.light_strength > 0.8 or abs(face.exposure - 1) > 0.2,
        "makeup": face.heavy_makeup,
        # A turned head hides a third of the points by itself.
        "occlusion": hidden.any() and (bool(face.occluder) or face.sunglasses or (not large and hidden.mean() > 0.15)),
        "blur": face.blur > 0,
    }
    return {name: int(shown[name]) for name in SUBSETS}


def _scene(rng: np.random.Generator) -> dict:
    """Faces in a crowd: mostly towards the camera, one in eight far turned; harder light, blur and occlusion."""
    pose = turned(rng, most=80) if rng.random() < 0.25 else facing(rng, yaw=14, pitch=8, roll=8)
    bright = rng.random() < 0.15
    plain = {"heavy_makeup": False} if rng.random() < 0.6 else {}
    return {
        **pose,
        **plain,
        "occluder": str(rng.choice(["", "hand", "bar"], p=(0.87, 0.09, 0.04))),
        "sunglasses": bool(rng.random() < 0.07),
        "blur": float(rng.uniform(0.01, 0.035)) if rng.random() < 0.31 else 0.0,
        "exposure": float(rng.choice([0.7, 1.3])) if bright else float(rng.normal(1, 0.08)),
    }
