"""What a lower precision costs: answers of the same faces, compared with those in fp32."""

from dataclasses import dataclass

import numpy as np
import pytest

from faceptor.analysis import precision
from faceptor.analysis.task_faces import TaskFaces
from faceptor.tasks import TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.transforms.crop import CropSpec

SAMPLES = [{"key": f"{i}", "size": (40, 40), "age": 20.0 + i} for i in range(30)]


@dataclass(frozen=True)
class Off(TaskFaces):
    """Ages that are off by as many years as the model is."""

    def answers(self, crop=None, *, batch):
        return [AgePrediction(sample["age"] + self.model, np.ones(101) / 101) for sample in self.samples]


def test_what_a_precision_costs_is_its_extra_error():
    constant = AgePrediction(34.5, np.ones(101) / 101)
    task = Off(1.0, TASKS["age_utkface"], SAMPLES, CropSpec(kind="whole", size=32), lambda sample, crop: constant, {})
    found = precision.costs([task], {"fp32": 1.0, "bf16": 1.0, "fp16": 3.0}, faces=20).set_index("precision")
    assert list(found.index) == ["bf16", "fp16"] and set(found["faces"]) == {20} and set(found["exact"]) == {1.0}
    assert found.loc["bf16", ["lost", "low", "high"]].tolist() == [0, 0, 0]
    error = np.mean([abs(sample["age"] - 34.5) for sample in SAMPLES[:20]])  # of the constant baseline
    assert found.loc["fp16", "lost"] == pytest.approx(100 * 2 / error) and found.loc["fp16", "low"] > 0
    table = precision.table(found.reset_index()).loc["age_utkface"]
    assert table["fp32"] == 1 and table["fp16"] == 3 and table["lost by bf16"] == "0.0 [0.0, 0.0]"
