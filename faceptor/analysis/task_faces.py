"""A task of a model and the validation faces that judge it: what several notebooks measure in their own ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from faceptor.evaluation.groups import Grouping, by_group, groups_of
from faceptor.evaluation.measure import Baseline, Measured, predict_samples
from faceptor.models.base import FaceModel
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.tasks.metric import Metric
from faceptor.transforms.crop import CropSpec

SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class TaskFaces:
    """samples: as a prepared split has them. crop: how the model has them cut. baseline: the constant answer from the
    training labels. names: of the classes of every label column."""

    model: FaceModel
    spec: TaskSpec
    samples: Sequence[Mapping[str, Any]]
    crop: CropSpec
    baseline: Baseline
    names: Mapping[str, Sequence[str]]

    @property
    def test(self) -> str:
        """The task, and whose faces judge it where these are not its own."""
        task = self.spec.name
        return task if task.endswith(f"_{self.spec.dataset}") else f"{task}@{self.spec.dataset}"

    @property
    def told_apart(self) -> bool:
        """Whether labels part these faces into groups, or the answers can be compared with how sure they are."""
        labelled = any(groups_of(sample, self.names) for sample in self.samples[:1])
        return not kind_of(self.spec).identities and (labelled or self.spec.kind == "landmarks")

    def answers(self, crop: Any = None, *, batch: int) -> list[Prediction]:
        """What the model says of every face, in order; crop: stands where its own CropSpec does."""
        device = next(self.model.parameters()).device
        told = predict_samples(self.model, self.spec, self.samples, crop or self.crop, batch=batch, device=device)
        return [answer for _, _, answer in told]

    def constants(self) -> list[Prediction]:
        """The constant answer for every face, in its own crop."""
        return [self.baseline(sample, self.crop.place_sample(sample)) for sample in self.samples]

    @cached_property
    def constant(self) -> Metric:
        """What these answers are worth."""
        return self.metric(self.constants())

    def metric(self, answers: Sequence[Prediction], rows: Sequence[int] | None = None) -> Metric:
        """The task's metric, told the answers to all faces, or to those at `rows` (answers are then as many)."""
        found = kind_of(self.spec).metric(self.spec)
        samples = self.samples if rows is None else [self.samples[row] for row in rows]
        for answer, sample in zip(answers, samples, strict=True):
            found.update(answer, sample)
        return found

    def judged(self, answers: Sequence[Prediction]) -> Measured:
        """The answers to all faces, beside the constant baseline's."""
        return Measured(self.spec, self.metric(answers), self.constant)

    def by_group(self, answers: Sequence[Prediction]) -> list[Grouping]:
        """The headline metric by every label that parts the faces."""
        return by_group(self.metric(answers), self.samples, self.names, seed=SEED)
