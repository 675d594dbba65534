"""Measure a model by the papers' protocols.

A prediction is brought back to the image's own pixels and units before it is compared, and the best constant
guess from the training labels is measured beside it, so that a number can be read without context.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from faceptor.data.batches import to_tensor
from faceptor.data.crop import Crop, CropSpec
from faceptor.tasks import KINDS
from faceptor.tasks.base import Metric, TaskSpec


@dataclass
class Measured:
    metrics: dict[str, float]
    metric: Metric  # holds what the figure of the kind needs
    samples: int
    skill: float  # 0 = the best constant guess, 1 = perfect
    notes: list[str]  # what was left out of the numbers, and why


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
            yield sample, crop, kind.restore(spec, answer, crop)


def measure(
    model: nn.Module,
    spec: TaskSpec,
    samples: Sequence,
    crop_spec: CropSpec,
    *,
    batch: int,
    device="cpu",
    trivial=None,
) -> Measured:
    """Metrics of one task over the samples, and those of the trivial guess as `trivial_<headline>`."""
    kind = KINDS[spec.kind]
    model.eval()
    metric, guess = kind.metric(spec), kind.metric(spec) if trivial else None
    count = 0
    for sample, crop, prediction in predict_samples(model, spec, samples, crop_spec, batch=batch, device=device):
        metric.update(prediction, sample)
        if guess:
            guess.update(trivial(sample, crop), sample)
        count += 1
    metrics = metric.compute()
    headline, skill = headline_of(spec), float("nan")
    if guess:
        baseline = guess.compute()[headline]
        metrics[f"trivial_{headline}"] = baseline
        skill = skill_of(metrics[headline], baseline, perfect=100.0 if kind.higher_is_better else 0.0)
    return Measured(metrics, metric, count, skill, metric.notes())


def skill_of(value: float, trivial: float, *, perfect: float) -> float:
    """Share of the way from the trivial guess to perfection; negative if worse than the guess."""
    if trivial == perfect:
        return 1.0 if value == perfect else 0.0
    return (value - trivial) / (perfect - trivial)


class Validator:
    """Scores a model during training on validation samples: the mean skill over the tasks."""

    def __init__(self, samples: Mapping, specs: Mapping, crops: Mapping, trivials: Mapping, *, batch: int, device):
        self.samples, self.specs, self.crops, self.trivials = samples, specs, crops, trivials
        self.batch, self.device = batch, device

    def __call__(self, model: nn.Module) -> tuple[float, dict]:
        results = {
            name: measure(
                model, spec, self.samples[name], self.crops[name],
                batch=self.batch, device=self.device, trivial=self.trivials[name],
            )
            for name, spec in self.specs.items()
        }  # fmt: skip
        score = sum(r.skill for r in results.values()) / len(results)
        return score, {
            name: {"headline": result.metrics[headline_of(self.specs[name])], "skill": result.skill}
            for name, result in results.items()
        }


def headline_of(spec: TaskSpec) -> str:
    return KINDS[spec.kind].headline_of(spec)
