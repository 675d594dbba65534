"""Pictures and labels to measure with, drawn at random: they are there on every machine, and what they show does not
matter to how long a step takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import cv2
import numpy as np

from faceptor.datasets.formats.images import decode_image, decode_mask
from faceptor.pipeline.experiment import Experiment
from faceptor.tasks import TaskSpec, kind_of
from faceptor.training.batches import ImageCache, Steps, TaskStream

PICTURES = 8  # of a task, over and over
SIDES = {  # of the pictures that teach a kind, height and width in pixels, about as they are published
    "landmarks": (768, 768),
    "parsing": (512, 512),
    "age": (480, 400),
    "expression": (224, 224),
    "attributes": (218, 178),
    "recognition": (112, 112),
}
OTHER_SIDES = (256, 256)
COARSE = 24  # pixels of a picture before it is enlarged, so that JPEG finds it about as hard as a face
FACE = (0.2, 0.2, 0.8, 0.8)  # box in shares of the picture
QUALITY = 92


class DrawnFaces(Sequence):
    """A split as `faceptor.prepared.reading` has it: `PICTURES` JPEG files with labels that may be true."""

    def __init__(self, spec: TaskSpec, *, count: int, identities: int):
        self.spec, self.count, self.identities = spec, count, identities
        rng = np.random.default_rng(crc32(spec.name.encode()))
        height, width = SIDES.get(spec.kind, OTHER_SIDES)
        self.files = [_jpeg(rng, height, width) for _ in range(PICTURES)]
        self.labels = [self._labels(rng, height, width) for _ in range(PICTURES)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = decode_image(self.files[index % PICTURES])
        labels = dict(self.labels[index % PICTURES])
        if "mask" in labels:
            labels["mask"] = decode_mask(labels["mask"])
        if "identity" in labels:
            labels["identity"] = index % self.identities
        return {"key": str(index), "group": str(index), "size": image.shape[:2], "subsets": (), "image": image} | labels

    def column(self, name: str) -> np.ndarray:
        """The identities, which tell a criterion how many people there are."""
        return np.arange(self.count) % self.identities

    def _labels(self, rng: np.random.Generator, height: int, width: int) -> dict[str, Any]:
        box = np.array(FACE, np.float32) * (width, height, width, height)
        inside = rng.uniform((0.25, 0.25), (0.75, 0.75), (max(self.spec.queries, 5), 2)) * (width, height)
        common = {"box": box, "points5": inside[:5].astype(np.float32)}
        column = kind_of(self.spec).columns[0]
        return common | {column: _label(column, self.spec, rng, inside.astype(np.float32), (height, width))}


def _label(column: str, spec: TaskSpec, rng: np.random.Generator, points: np.ndarray, size: tuple[int, int]) -> Any:
    count = spec.queries
    match column:
        case "landmarks":
            return points[:count]
        case "mask":
            coarse = rng.integers(0, count, (COARSE, COARSE), dtype=np.uint8)
            return cv2.imencode(".png", cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST))[1].tobytes()
        case "age":
            return float(rng.integers(20, 60))
        case "attributes" | "visibility":
            return rng.integers(0, 2, count).astype(np.int8)
        case "pose":
            return rng.uniform(-40, 40, 3).astype(np.float32)
        case "identity":
            return 0
        case _:
            return int(rng.integers(count))


def _jpeg(rng: np.random.Generator, height: int, width: int) -> bytes:
    coarse = rng.integers(0, 256, (COARSE, COARSE, 3), dtype=np.uint8)
    return cv2.imencode(
        ".jpg", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )[1].tobytes()


def drawn_steps(
    experiment: Experiment, specs: Mapping[str, TaskSpec], samples: Mapping[str, int], *, steps: int, identities: int
) -> Steps:
    """The batches of a training on drawn pictures. specs: as the model answers them; samples: images of each task."""
    streams = {
        name: TaskStream(
            spec=specs[name],
            split=DrawnFaces(specs[name], count=max(count * steps, PICTURES, identities), identities=identities),
            crop=experiment.crop(name, "train"),
            policy=experiment.policy(name),
            samples=count,
            seed=experiment.params.seed,
            cache=ImageCache(0),
        )
        for name, count in samples.items()
    }
    return Steps(streams, steps=steps)
