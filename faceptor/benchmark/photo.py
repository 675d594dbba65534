"""`predict` of a photograph of 12 megapixels with one face, against the network alone."""

from __future__ import annotations

from functools import partial
from statistics import median

import cv2
import numpy as np
import torch
from torch.utils.benchmark import timer

from faceptor.benchmark.bench import Bench, Found
from faceptor.benchmark.subjects import Asked, Run, model_of, specs_of
from faceptor.benchmark.timing import Estimate
from faceptor.models.base import FaceModel
from faceptor.predict.predictor import predict

SIZE = (3000, 4000)  # height, width in pixels
TOY_SIZE = (300, 400)


def photo(bench: Bench) -> Found:
    """Everything `predict` does to one face (find it, cut it out, ask, bring the answers back) and, within the same
    calls, the time of the network; then with shared crops, and one encoder pass for each image size alone."""
    found = Found()
    name, experiment = bench.main
    specs = specs_of(name, experiment)
    model = model_of(experiment, specs, bench.device)
    for spec in specs:
        model.crops[spec.name] = experiment.crop(spec.name, "test").to_dict()
    picture = portrait(TOY_SIZE if bench.quick else SIZE)
    watch = Watch(model)
    subjects: dict[str, Run] = {
        "predict": partial(watch, partial(predict, model, picture)),
        "predict, shared crops": partial(predict, model, picture, crops="shared"),
        "one pass a size": Asked.of(model, batch=1).together,
    }
    times = bench.compare(f"{name}, a photograph of {picture.shape[1]} x {picture.shape[0]}", subjects)
    for subject in subjects:
        found.row(subject=name, what=subject, precision="fp32", seconds=times.of(subject))
    counted = watch.shares[-len(times.seconds["predict"]) :]
    found.ratio(f"{name}: predict / its own network", Estimate.of(counted))
    for subject in ("predict", "predict, shared crops"):
        found.ratio(f"{name}: {subject} / one pass a size", times.ratio(subject, "one pass a size"))
    found.facts["share of the network"] = round(1 / median(counted), 3)
    return found


def portrait(size: tuple[int, int]) -> np.ndarray:
    """A real face, from scikit-image's test pictures, (H, W, 3) uint8 RGB."""
    from skimage.data import astronaut

    height, width = size
    picture = np.full((height, width, 3), 127, np.uint8)
    side = min(size)
    picture[:side, :side] = cv2.resize(astronaut(), (side, side), interpolation=cv2.INTER_CUBIC)
    return picture


class Watch:
    """Calls, and by how much each took longer than the passes of the model in it."""

    def __init__(self, model: FaceModel):
        self.shares: list[float] = []
        self._inside = 0.0
        self._forward = model.forward_rows
        model.forward_rows = self._timed  # type: ignore[method-assign]

    def __call__(self, run: Run) -> None:
        self._inside, began = 0.0, timer()
        run()
        self.shares.append((timer() - began) / self._inside)

    def _timed(self, images: torch.Tensor, rows) -> dict[str, torch.Tensor]:
        began = timer()
        raw = self._forward(images, rows)
        self._inside += timer() - began
        return raw
