"""Measure a model by the papers' protocols.

A prediction is brought back to the image's own pixels and units before it is compared, and the constant
baseline from the training labels is measured beside it, so that a number can be read without context.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from faceptor.errors import DataError
from faceptor.evaluation.groups import labels_of
from faceptor.tasks import KINDS
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.tasks.intervals import Interval, interval, widened
from faceptor.tasks.metric import Metric
from faceptor.transforms.crop import CropSpec, PlacedCrop
from faceptor.transforms.tensors import to_tensor

Baseline = Callable[[Mapping, PlacedCrop], Prediction]
"""Sample, crop -> the constant answer, see `Kind.constant_baseline`."""


@dataclass
class Measured:
    """What a model is worth on samples of one task, beside the constant baseline on the same samples."""

    spec: TaskSpec
    metric: Metric  # of the model; holds what figures and intervals need
    constant: Metric | None = None  # of the constant baseline
    labels: list[dict] = field(default_factory=list)  # of every sample, what tells its groups (`groups.labels_of`)
    metrics: dict[str, float] = field(init=False)  # with the baseline's headline as `constant_<headline>`
    skill: float = field(init=False)  # 0 = the constant baseline, 1 = perfect; nan without a baseline

    def __post_init__(self):
        self.metrics, self.skill = self.metric.compute(), math.nan
        if self.constant:
            constant = self.constant.compute()[self.headline]
            self.skill = skill_of(self.spec, self.metrics[self.headline], constant)
            self.metrics[f"constant_{self.headline}"] = constant

    @property
    def headline(self) -> str:
        """Name of the metric that stands for the task."""
        return headline_of(self.spec)

    @property
    def samples(self) -> int:
        return self.metric.count

    @property
    def notes(self) -> list[str]:
        """What was left out of the numbers, and why."""
        return self.metric.notes()

    def intervals(self, *, seed: int | Sequence[int]) -> dict[str, Interval]:
        """95 % intervals of `metrics` and of "skill", from a bootstrap over samples (pairs for verification)."""
        found = self.metric.intervals(seed=seed)
        if self.constant:
            found[f"constant_{self.headline}"] = self.constant.intervals(seed=seed)[self.headline]
            found["skill"] = interval(self.skill, self.skills(seed=seed), sum(self.metric.strata()))
            if not np.ptp(self.metric.drawn(seed=seed)[self.headline]):  # faultless here is not faultless everywhere
                constant = self.metrics[f"constant_{self.headline}"]
                ends = sorted(skill_of(self.spec, end, constant) for end in found[self.headline])
                found["skill"] = widened(found["skill"], Interval(*ends))
        return found

    def skills(self, *, seed: int | Sequence[int]) -> np.ndarray:
        """(draws,) skill in each draw of the samples. Raises ValueError without a constant baseline."""
        if self.constant is None:
            raise ValueError(f"{self.spec.name}: skill needs the constant baseline")
        model, constant = (metric.drawn(seed=seed)[self.headline] for metric in (self.metric, self.constant))
        return np.array([skill_of(self.spec, *values) for values in zip(model, constant, strict=True)])


class Gain(NamedTuple):
    """How much more skill one model has than another on the same samples, and its 95 % interval."""

    skill: float
    low: float
    high: float


def gain(after: Measured, before: Measured, *, seed: int | Sequence[int]) -> Gain:
    """Skill of `after` minus that of `before` on the same samples in the same order: a paired bootstrap, so that what
    is hard for both cancels out."""
    if before.metric.groups != after.metric.groups:
        raise ValueError(f"{after.spec.name}: two models can only be compared on the same samples")
    difference = after.skill - before.skill
    drawn = after.skills(seed=seed) - before.skills(seed=seed)
    return Gain(difference, *interval(difference, drawn, sum(after.metric.strata())))


@torch.inference_mode()
def predict_samples(
    model: nn.Module, spec: TaskSpec, samples: Sequence, crop_spec: CropSpec, *, batch: int, device="cpu"
) -> Iterator[tuple[Mapping, PlacedCrop, Prediction]]:
    """Yield (sample, crop, prediction in the image's own pixels and units) for every sample, in order."""
    kind = KINDS[spec.kind]
    indices = iter(range(len(samples)))
    while chunk := list(islice(indices, batch)):
        items = [samples[i] for i in chunk]
        crops = [crop_spec.place_sample(sample) for sample in items]
        images = torch.stack([to_tensor(c.image(s["image"])) for s, c in zip(items, crops, strict=True)]).to(device)
        raw = model(images, tasks=[spec.name])[spec.name]
        if kind.mirror:  # (B, ...) -> (B, 2, ...): the image and its mirror
            raw = torch.stack([raw, model(images.flip(-1), tasks=[spec.name])[spec.name]], dim=1)
        for sample, crop, answer in zip(items, crops, raw.float().cpu(), strict=True):
            yield sample, crop, kind.decode(spec, answer, crop)


def measure(
    model: nn.Module,
    spec: TaskSpec,
    samples: Sequence,
    crop_spec: CropSpec,
    *,
    batch: int,
    device="cpu",
    baseline: Baseline | None = None,
) -> Measured:
    """Judge a model, and beside it the constant baseline, on every sample; DataError where these allow no number."""
    metric, constant = (KINDS[spec.kind].metric(spec) for _ in range(2))
    model.eval()
    labels = []
    for sample, crop, prediction in predict_samples(model, spec, samples, crop_spec, batch=batch, device=device):
        metric.update(prediction, sample)
        labels.append(labels_of(sample))
        if baseline:
            constant.update(baseline(sample, crop), sample)
    return Measured(spec, metric, constant if baseline else None, labels)


def headline_of(spec: TaskSpec) -> str:
    """Name of the metric that stands for the task."""
    return KINDS[spec.kind].headline_of(spec)


def skill_of(spec: TaskSpec, value: float, constant: float) -> float:
    """Share of the way from the constant baseline's headline metric to a faultless model's; negative if worse than the
    baseline."""
    perfect = 100.0 if KINDS[spec.kind].higher_is_better else 0.0
    if constant == perfect:
        return 1.0 if value == perfect else 0.0
    return (value - constant) / (perfect - constant)


class Validator:
    """Scores a model during training on validation samples: the mean skill over the tasks of `select` (default: all).

    What the constant baseline is worth on these samples is measured when the validator is made: once, and before any
    training, so that samples on which the task cannot be measured (one identity, say) are refused in time.
    """

    def __init__(
        self,
        samples: Mapping[str, Sequence],
        specs: Mapping[str, TaskSpec],
        crops: Mapping[str, CropSpec],
        baselines: Mapping[str, Baseline],
        *,
        batch: int,
        device,
        select: Sequence[str] = (),
    ):
        self.samples, self.specs, self.crops = samples, specs, crops
        self.batch, self.device, self.select = batch, device, tuple(select or specs)
        self.constants = {
            name: measure_baseline(spec, samples[name], crops[name], baselines[name]) for name, spec in specs.items()
        }

    def __call__(self, model: nn.Module) -> tuple[float, dict[str, dict[str, float]]]:
        """The score, and task -> {"headline", "skill"}."""
        found = {}
        for name, spec in self.specs.items():
            result = measure(model, spec, self.samples[name], self.crops[name], batch=self.batch, device=self.device)
            value = result.metrics[result.headline]
            found[name] = {"headline": value, "skill": skill_of(spec, value, self.constants[name])}
        return sum(found[name]["skill"] for name in self.select) / len(self.select), found


def measure_baseline(spec: TaskSpec, samples: Sequence, crop_spec: CropSpec, baseline: Baseline) -> float:
    """Headline of the constant baseline on samples; DataError where they do not allow a number."""
    metric = KINDS[spec.kind].metric(spec)
    try:
        for index in range(len(samples)):
            sample = samples[index]
            metric.update(baseline(sample, crop_spec.place_sample(sample)), sample)
        value = metric.compute()[headline_of(spec)]
    except DataError as error:
        raise DataError(f"{spec.name}: validation on {spec.dataset}: {error}") from error
    if not math.isfinite(value):
        raise DataError(
            f"{spec.name}: validation on {spec.dataset}: {headline_of(spec)} is not defined on these {len(samples)} "
            "samples; check their labels, or take more of them (validate_samples, data.validation)"
        )
    return value
