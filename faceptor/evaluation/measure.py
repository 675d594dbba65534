"""Measure a model by the papers' protocols.

A prediction is brought back to the image's own pixels and units before it is compared, and the constant
baseline from the training labels is measured beside it, so that a number can be read without context.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from faceptor.errors import DataError
from faceptor.evaluation.cropped import Cropped, CroppedBatch, batches_of, threads_of, without_image
from faceptor.evaluation.groups import labels_of
from faceptor.tasks import KINDS
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.tasks.intervals import Interval, interval, widened
from faceptor.tasks.metric import Metric
from faceptor.transforms.crop import CropSpec, PlacedCrop

LOOKED_AT = 32  # validation samples, before a training begins
HELD_AT_ONCE = 64  # answers of the constant baseline: class maps take memory

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


def predict_samples(
    model: nn.Module, spec: TaskSpec, samples: Sequence, crop_spec: CropSpec, *, batch: int, device="cpu"
) -> Iterator[tuple[Mapping, PlacedCrop, Prediction]]:
    """Yield (sample, crop, prediction in the image's own pixels and units) for every sample, in order."""
    batches = batches_of([Cropped(samples, crop_spec, batch=batch)], workers=0)
    for sample, crop, prediction, _ in answers(model, spec, batches, device=device):
        yield sample, crop, prediction


@torch.inference_mode()
def answers(
    model: nn.Module,
    spec: TaskSpec,
    batches: Iterable[CroppedBatch],
    *,
    device="cpu",
    baseline: Baseline | None = None,
    threads: int = 0,
) -> Iterator[tuple[Mapping, PlacedCrop, Prediction, Prediction | None]]:
    """Yield (sample, crop, the model's prediction, the constant baseline's) for every sample, in order.

    While the model answers a batch, the raw output of the one before is brought back to its pictures in `threads`
    threads.
    """
    told: Iterable = ()
    with threads_of(threads) as each:
        for batch in batches:
            raw = raw_answers(model, spec, batch.images_on(device))
            now = each(partial(_answer, spec, baseline), batch.samples, batch.crops, raw.float().cpu())
            yield from told
            told = now
        yield from told


def raw_answers(model: nn.Module, spec: TaskSpec, images: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, ...) raw output, or (B, 2, ...) of the images and their mirrors where the kind takes both."""
    raw = model(images, tasks=[spec.name])[spec.name]
    if not KINDS[spec.kind].mirror:
        return raw
    return torch.stack([raw, model(images.flip(-1), tasks=[spec.name])[spec.name]], dim=1)


@torch.inference_mode()
def _answer(spec: TaskSpec, baseline: Baseline | None, sample: Mapping, crop: PlacedCrop, raw: Tensor):
    """In a thread of its own, where inference mode has to be entered again."""
    prediction = KINDS[spec.kind].decode(spec, raw, crop)
    return sample, crop, prediction, baseline(sample, crop) if baseline else None


def measure(
    model: nn.Module,
    spec: TaskSpec,
    samples: Sequence,
    crop_spec: CropSpec,
    *,
    batch: int,
    device="cpu",
    baseline: Baseline | Metric | None = None,
    workers: int = 0,
    batches: Iterable[CroppedBatch] | None = None,
) -> Measured:
    """Judge a model, and beside it the constant baseline, on every sample; DataError where these allow no number.

    baseline: the constant one, or what it was found to be worth on these samples. workers: loader processes that decode
    and crop ahead, and as many threads that bring answers back to their pictures; no number depends on them. batches:
    the cropped samples, where somebody else makes them ahead.
    """
    metric = KINDS[spec.kind].metric(spec)
    measured = isinstance(baseline, Metric)
    constant = baseline if measured else KINDS[spec.kind].metric(spec)
    if batches is None:
        parts = [Cropped(samples, crop_spec, batch=batch, whole=not workers)]
        batches = batches_of(parts, workers=workers, device=device)
    model.eval()
    labels = []
    judged = answers(model, spec, batches, device=device, baseline=None if measured else baseline, threads=workers)
    for sample, _, prediction, constant_answer in judged:
        metric.update(prediction, sample)
        labels.append(labels_of(sample))
        if constant_answer is not None:
            constant.update(constant_answer, sample)
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


@dataclass
class Validator:
    """Scores a model during training on validation samples: the mean skill over the tasks of `select` (default: all).

    What the constant baseline is worth on these samples is measured once, from labels alone. A look at the first ones,
    before any training, refuses samples on which a task cannot be measured (one identity, say); the others wait for the
    first validation. answering: a model -> what answers in its place. constants: task -> that number, as far as it is
    known; what is found is added.
    """

    samples: Mapping[str, Sequence]
    specs: Mapping[str, TaskSpec]
    crops: Mapping[str, CropSpec]
    baselines: Mapping[str, Baseline]
    _: KW_ONLY
    batch: int
    device: torch.device | str
    select: Sequence[str] = ()
    answering: Callable[[nn.Module], Any] = lambda model: model
    workers: int = 0
    constants: MutableMapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        self.select = tuple(self.select or self.specs)
        for name in self.specs:
            if name not in self.constants and not self._measurable(name):
                self.constant(name)

    def __call__(self, model: nn.Module) -> tuple[float, dict[str, dict[str, float]]]:
        """The score, and task -> {"headline", "skill"}."""
        parts = {
            name: Cropped(self.samples[name], self.crops[name], batch=self.batch, whole=False) for name in self.specs
        }
        found, ahead = {}, batches_of(list(parts.values()), workers=self.workers, device=self.device)
        model = self.answering(model)
        for name, spec in self.specs.items():
            result = measure(
                model, spec, self.samples[name], self.crops[name], batch=self.batch, device=self.device,
                workers=self.workers, batches=islice(ahead, len(parts[name])),
            )  # fmt: skip
            value = result.metrics[result.headline]
            found[name] = {"headline": value, "skill": skill_of(spec, value, self.constant(name))}
        return sum(found[name]["skill"] for name in self.select) / len(self.select), found

    def constant(self, name: str) -> float:
        """Headline of a task's constant baseline on its samples; DataError where they do not allow a number."""
        if name not in self.constants:
            self.constants[name] = self._measured(name, len(self.samples[name]))
        return self.constants[name]

    def _measurable(self, name: str) -> bool:
        """Whether the first samples already allow a number, and all of them then do."""
        try:
            return len(self.samples[name]) > LOOKED_AT and math.isfinite(self._measured(name, LOOKED_AT))
        except DataError:
            return False

    def _measured(self, name: str, count: int) -> float:
        """Headline of the constant baseline on the first `count` samples, whose images are not decoded."""
        spec, crop, headline = self.specs[name], self.crops[name], headline_of(self.specs[name])
        metric = KINDS[spec.kind].metric(spec)

        def told(index: int) -> tuple[Prediction, Mapping]:
            sample = without_image(self.samples[name], index)
            return self.baselines[name](sample, crop.place_sample(sample)), sample

        try:
            with threads_of(self.workers) as each:
                for first in range(0, count, HELD_AT_ONCE):
                    for prediction, sample in each(told, range(first, min(first + HELD_AT_ONCE, count))):
                        metric.update(prediction, sample)
            value = metric.compute()[headline]
        except DataError as error:
            raise DataError(f"{name}: validation on {spec.dataset}: {error}") from error
        if not math.isfinite(value):
            raise DataError(
                f"{name}: validation on {spec.dataset}: {headline} is not defined on these {count} samples; check "
                "their labels, or take more of them (validate_samples, data.validation)"
            )
        return value
