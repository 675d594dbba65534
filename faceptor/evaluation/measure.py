"""Measure a model by the papers' protocols.

A prediction is brought back to the image's own pixels and units before it is compared, and the constant
baseline from the training labels is measured beside it, so that a number can be read without context.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from faceptor.errors import DataError
from faceptor.tasks import KINDS
from faceptor.tasks.base import Metric, TaskSpec
from faceptor.tasks.intervals import Interval, interval, widened
from faceptor.training.batches import to_tensor
from faceptor.transforms.crop import Crop, CropSpec


@dataclass
class Measured:
    """What a model is worth on samples of one task, and the constant baseline on the same samples."""

    spec: TaskSpec
    metrics: dict[str, float]
    metric: Metric  # holds what the figure of the kind and the intervals need
    samples: int
    skill: float  # 0 = the constant baseline, 1 = perfect
    notes: list[str]  # what was left out of the numbers, and why
    constant: Metric | None = None  # of the constant baseline

    def intervals(self, *, seed: int | Sequence[int]) -> dict[str, Interval]:
        """95 % intervals of `metrics` and of "skill", from a bootstrap over samples (pairs for verification)."""
        found = self.metric.intervals(seed=seed)
        if self.constant:
            headline = headline_of(self.spec)
            found[f"constant_{headline}"] = self.constant.intervals(seed=seed)[headline]
            found["skill"] = interval(self.skill, self.skills(seed=seed), sum(self.metric.strata()))
            if not np.ptp(self.metric.drawn(seed=seed)[headline]):  # faultless here is not faultless everywhere
                constant, perfect = self.metrics[f"constant_{headline}"], perfect_value(self.spec)
                ends = sorted(skill_of(end, constant, perfect=perfect) for end in found[headline])
                found["skill"] = widened(found["skill"], Interval(*ends))
        return found

    def skills(self, *, seed: int | Sequence[int]) -> np.ndarray:
        """(draws,) skill in each draw of the samples; needs the constant baseline."""
        headline, perfect = headline_of(self.spec), perfect_value(self.spec)
        each = zip(*(metric.drawn(seed=seed)[headline] for metric in (self.metric, self.constant)), strict=True)
        return np.array([skill_of(value, baseline, perfect=perfect) for value, baseline in each])


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
) -> Iterator[tuple[dict, Crop, object]]:
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
    baseline=None,
) -> Measured:
    """Metrics of one task over the samples, and those of the constant baseline as `constant_<headline>`."""
    kind = KINDS[spec.kind]
    model.eval()
    metric, constant = kind.metric(spec), kind.metric(spec) if baseline else None
    count = 0
    for sample, crop, prediction in predict_samples(model, spec, samples, crop_spec, batch=batch, device=device):
        metric.update(prediction, sample)
        if constant:
            constant.update(baseline(sample, crop), sample)
        count += 1
    metrics = metric.compute()
    headline, skill = headline_of(spec), float("nan")
    if constant:
        baseline = constant.compute()[headline]
        metrics[f"constant_{headline}"] = baseline
        skill = skill_of(metrics[headline], baseline, perfect=perfect_value(spec))
    return Measured(spec, metrics, metric, count, skill, metric.notes(), constant)


def perfect_value(spec: TaskSpec) -> float:
    """What the headline metric of a faultless model is."""
    return 100.0 if KINDS[spec.kind].higher_is_better else 0.0


def skill_of(value: float, baseline: float, *, perfect: float) -> float:
    """Share of the way from the constant baseline to perfection; negative if worse than the baseline."""
    if baseline == perfect:
        return 1.0 if value == perfect else 0.0
    return (value - baseline) / (perfect - baseline)


class Validator:
    """Scores a model during training on validation samples: the mean skill over the tasks of `select` (default: all).

    What the constant baseline is worth on these samples is measured when the validator is made: once, and before any
    training, so that samples on which the task cannot be measured (one identity, say) are refused in time.
    """

    def __init__(
        self, samples: Mapping, specs: Mapping, crops: Mapping, constants: Mapping, *, batch: int, device, select=()
    ):
        self.samples, self.specs, self.crops = samples, specs, crops
        self.batch, self.device, self.select = batch, device, tuple(select or specs)
        self.baselines = {
            name: measure_baseline(spec, samples[name], crops[name], constants[name]) for name, spec in specs.items()
        }

    def __call__(self, model: nn.Module) -> tuple[float, dict]:
        found = {}
        for name, spec in self.specs.items():
            result = measure(model, spec, self.samples[name], self.crops[name], batch=self.batch, device=self.device)
            value = result.metrics[headline_of(spec)]
            skill = skill_of(value, self.baselines[name], perfect=perfect_value(spec))
            found[name] = {"headline": value, "skill": skill}
        return sum(found[name]["skill"] for name in self.select) / len(self.select), found


def measure_baseline(spec: TaskSpec, samples: Sequence, crop_spec: CropSpec, baseline) -> float:
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


def headline_of(spec: TaskSpec) -> str:
    return KINDS[spec.kind].headline_of(spec)
