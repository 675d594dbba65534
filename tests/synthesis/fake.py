"""A stand-in for the drawing: flat pictures with known labels, so that tests of files are fast and exact."""

import cv2
import numpy as np

from faceptor.datasets.labels import CELEBA_40, LFW_73
from faceptor.synthesis import LAYOUTS
from faceptor.synthesis.face import Face, sample_face
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.layout import Order, Shot, cut

SEED = 3
COUNTS = {"train": 33, "test": 14}
RECOGNITION = {"identities": 5, "pairs": 20}


def fake_render(face: Face, *, size: tuple[int, int], frame: str, maps: bool = False) -> Portrait:
    height, width = size
    rng = np.random.default_rng((face.identity, face.sample))
    points = {str(k): (rng.random((k, 2)) * (width, height)).astype(np.float32) for k in (19, 29, 68, 98, 106)}
    classes19, classes11 = np.zeros((2, height, width), np.uint8)
    classes19[: height // 2] = 2
    classes11[: height // 2] = 10
    image = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    image[height // 2 :] = rng.integers(0, 256, 3)  # two tones, so that grey pictures of two people differ
    return Portrait(
        image=image,
        landmarks=points,
        visible={k: rng.random(int(k)) < 0.9 for k in points},
        points5=points["68"][:5],
        box=np.float32([0.25 * width, 0.2 * height, 0.75 * width, 0.8 * height]),
        age=face.age,
        expression=face.expression,
        attributes={f"celeba:{name}": (True, False, None)[i % 3] for i, name in enumerate(CELEBA_40)}
        | {f"lfw:{name}": (None, True, False)[i % 3] for i, name in enumerate(LFW_73)}
        | {"celeba:Male": face.male},
        identity=face.identity,
        pose=(face.yaw, face.pitch, face.roll),
        face=face,
        solid=np.column_stack([points["68"], rng.random(68) * height]).astype(np.float32),
        centre=np.float32([width / 2, height / 2]),
        unit=width / 5,
        parts={"skin": classes19 == 2, "eye_g": np.zeros((height, width), bool)} if maps else {},
        classes19=classes19 if maps else None,
        classes11=classes11 if maps else None,
    )


def published(name: str, counts: dict[str, int]) -> dict[str, int]:
    """The counts with 0 for a part that the owner does not publish."""
    return {split: count if split in LAYOUTS[name].splits else 0 for split, count in counts.items()}


def planned(name: str, **counts: int) -> list[Shot]:
    """The shots of the data set that the `made` fixture writes, or of one with other counts."""
    own = {"test": 0, **RECOGNITION} if name == "ms1mv3" else published(name, COUNTS)
    return LAYOUTS[name].plan(Order(name=name, seed=SEED, **{**COUNTS, **own, **counts}))


def portrait(shot: Shot) -> Portrait:
    face = sample_face(SEED, identity=shot.person, sample=shot.sample, **shot.fixed)
    canvas = tuple(round(side * shot.zoom) for side in shot.size)
    return cut(fake_render(face, size=canvas, frame=shot.frame, maps=shot.maps), shot.size)


def size(path) -> tuple[int, int]:
    """Height and width of an image file."""
    return cv2.imread(str(path)).shape[:2]
