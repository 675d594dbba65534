"""Pictures of a training while it goes: a few validation faces with what the model says of them so far.

Nothing that is trained, chosen or measured depends on them, so no stage of dvc.yaml lists this file.
"""

import sys
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from faceptor.datasets.subset import spread
from faceptor.errors import FaceptorError
from faceptor.evaluation.measure import predict_samples
from faceptor.io.files import RUNS
from faceptor.io.writing import write_whole
from faceptor.tasks import TaskSpec, kind_of
from faceptor.tasks.base import Prediction
from faceptor.training.loop import Validate
from faceptor.transforms.crop import CropSpec

PICTURES = RUNS / "pictures"
FACES = 5  # of every task
SIDE, TEXT_HEIGHT, GAP = 180, 30, 6  # pixels
MOST_CHARACTERS = 30


def with_pictures(
    validate: Validate,
    samples: Mapping[str, Sequence],
    specs: Mapping[str, TaskSpec],
    crops: Mapping[str, CropSpec],
    *,
    run_name: str,
    device,
) -> Validate:
    """The same validation, after which runs/pictures/<run_name>.webp shows where the model is; a line says so."""
    path = PICTURES / f"{run_name}.webp"

    def looked(model):
        found = validate(model)
        rows = {name: answered(model, specs[name], part, crops[name], device=device) for name, part in samples.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, encoded(sheet(rows)))
            print(f"  validation faces so far: {path}", file=sys.stderr, flush=True)
        except FaceptorError as error:  # of a full disk, say: no reason to end a training
            print(f"  validation faces could not be drawn: {error}", file=sys.stderr, flush=True)
        return found

    return looked


def answered(model, spec: TaskSpec, samples: Sequence, crop: CropSpec, *, device) -> list[tuple[np.ndarray, str]]:
    """A few faces of a task, each as a square picture with the answer drawn over it, and the answer in words."""
    some = [samples[index] for index in spread(len(samples), FACES)]
    told = predict_samples(model, spec, some, crop, batch=FACES, device=device)
    return [tile(spec, sample["image"], answer) for sample, _, answer in told]


def tile(spec: TaskSpec, rgb: np.ndarray, answer: Prediction) -> tuple[np.ndarray, str]:
    """(H, W, 3) uint8 RGB and an answer in its pixels -> (SIDE, SIDE, 3) with the answer drawn, and the words."""
    import cv2

    scale = SIDE / max(rgb.shape[:2])
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])  # pixel centres at integers
    canvas = cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    kind = kind_of(spec)
    return kind.draw(spec, canvas, answer.windowed(matrix, (SIDE, SIDE))), ", ".join(kind.describe(spec, answer))


def sheet(rows: Mapping[str, Sequence[tuple[np.ndarray, str]]]) -> Image.Image:
    """A row of tiles for every task, under its name."""
    width = (SIDE + GAP) * max(map(len, rows.values())) + GAP
    picture = Image.new("RGB", (width, (SIDE + 2 * TEXT_HEIGHT) * len(rows)), "white")
    draw = ImageDraw.Draw(picture)
    for row, (name, tiles) in enumerate(rows.items()):
        top = row * (SIDE + 2 * TEXT_HEIGHT)
        draw.text((GAP, top + 8), name, fill="black")
        for column, (face, words) in enumerate(tiles):
            left = GAP + column * (SIDE + GAP)
            picture.paste(Image.fromarray(face), (left, top + TEXT_HEIGHT))
            draw.text((left, top + TEXT_HEIGHT + SIDE + 4), words[:MOST_CHARACTERS], fill="black")
    return picture


def encoded(picture: Image.Image) -> bytes:
    """WebP."""
    data = BytesIO()
    picture.save(data, "WEBP", quality=80)
    return data.getvalue()
