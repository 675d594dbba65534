"""A kind of task in its one file: is a face younger than so many years? With a loss and metrics of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from faceptor.config.sections import Positive
from faceptor.figures.parts import Bar, Bars, Swatches
from faceptor.figures.plots import new_figure
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, label_of
from faceptor.tasks.metric import Metric

PINK = (255, 0, 255)


@dataclass(frozen=True)
class YouthPrediction(Prediction):
    """probability of being young; centre: (2,) xy pixels of the image, of the crop that was seen."""

    probability: float
    centre: np.ndarray

    def windowed(self, matrix: np.ndarray, size: tuple[int, int]) -> YouthPrediction:
        return replace(self, centre=matrix[:, :2] @ self.centre + matrix[:, 2])

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {"young": self.probability}


def brier(probability: np.ndarray, young: np.ndarray) -> np.ndarray:
    """(n,) squared errors of stated probabilities, percent."""
    return 100 * (probability - young) ** 2


class YouthMetric(Metric):
    """right and brier, percent."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.rows: list[tuple[float, bool]] = []

    def _update(self, prediction, sample):
        self.rows.append((prediction.probability, is_young(self.spec, sample)))

    def _values(self):
        probability, young = np.asarray(self.rows, float).T
        return {"right": 100.0 * ((probability > 0.5) == young), "brier": brier(probability, young)}

    def _compute(self):
        return {name: values.mean() for name, values in self._values().items()}


def is_young(spec: TaskSpec, sample: Any) -> bool:
    return bool(label_of(sample, "age") < spec.options["until"])


class YouthOptions(Options):
    """until: the age in years at which youth ends."""

    until: Positive


class Youth(Kind[YouthPrediction, YouthMetric]):
    name, head, inputs, columns = "youth", "value", "face", ("age",)
    headline, higher_is_better, options = "right", True, YouthOptions
    losses: ClassVar = {"logistic": {"weight": 1.0}}

    def own_task(self, dataset, reader):
        if "age" not in reader.columns:
            return None
        return TaskSpec(f"youth_{dataset}", "youth", dataset, ("young",), {"until": 30})

    def loss(self, spec, name, *, weight):
        from torch import nn

        class Logistic(nn.Module):
            def forward(self, raw, target):
                loss = nn.functional.binary_cross_entropy_with_logits(raw[:, 0], target["young"])
                return {"loss": weight * loss}

        return Logistic()

    def target(self, spec, sample, crop):
        return {"young": np.asarray(is_young(spec, sample), np.float32)}

    def decode(self, spec, raw, crop):
        return YouthPrediction(float(raw[0].sigmoid()), crop.points_back(np.full((1, 2), (crop.size - 1) / 2))[0])

    def metric(self, spec):
        return YouthMetric(spec)

    def constant_baseline(self, spec, train, place=None):
        share = np.mean([is_young(spec, train[index]) for index in range(len(train))])
        return lambda sample, crop: YouthPrediction(float(share), np.zeros(2))

    def figure(self, spec, metric):
        return new_figure(spec.name)[0]

    def draw(self, spec, canvas, prediction):
        canvas, (x, y) = canvas.copy(), np.rint(prediction.centre).astype(int)
        canvas[y - 4 : y + 5, x - 4 : x + 5] = PINK
        return canvas

    def legend(self, spec, prediction):
        return [Swatches([("the middle", PINK)])]

    def panel(self, spec, prediction):
        return [Bars([Bar("young", prediction.probability, "unsure")])]

    def describe(self, spec, prediction):
        return [f"young {100 * prediction.probability:.0f} %"]
