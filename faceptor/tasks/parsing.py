"""Parsing: one query and one logit map per class (paper section 3).

F1 comes from one confusion matrix over all pixels of the test set, in the images' own pixels; the headline is the
mean over all classes but the background, in percent. A class that is neither labelled nor predicted anywhere has no F1
(0/0): it is left out of the mean and named in `notes()`; the reference's mean would be nan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.datasets.labels import flip_classes
from faceptor.datasets.subset import spread
from faceptor.errors import DataError
from faceptor.tasks.base import (
    Kind,
    Loss,
    Metric,
    Prediction,
    TaskSpec,
    check_finite,
    check_target,
    check_within,
    key_of,
    label_of,
)
from faceptor.tasks.intervals import mean_of
from faceptor.tasks.measures import confusion_matrix, f1_per_class, mean_of_defined


@dataclass(frozen=True)
class ParsingPrediction(Prediction):
    """classes: (H, W) uint8, the class of every pixel of the image."""

    classes: np.ndarray

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        """Share of each class, and the map as row-major runs [class, length]."""
        flat = self.classes.ravel()
        starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
        lengths = np.diff(np.append(starts, flat.size))
        share = np.bincount(flat, minlength=spec.queries) / flat.size
        return {
            "labels": list(spec.labels),
            "size": list(self.classes.shape),
            "share": {name: float(value) for name, value in zip(spec.labels, share, strict=True)},
            "runs": np.stack([flat[starts], lengths], axis=1).tolist(),
        }


def raised(raw: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) logits of any size -> float logits raised bilinearly (half-pixel) to that of the (B, H, W) int64
    label map, and that map, checked."""
    mask = target["mask"].long()
    check_target("mask", mask, 0, raw.shape[1] - 1)
    logits = raw.float()
    if logits.shape[-2:] != mask.shape[-2:]:
        logits = F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    return logits, mask


class ParsingLoss(nn.Module):
    """Mean pixel cross entropy, the logits raised bilinearly (half-pixel) to the size of the label map."""

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(*raised(raw, target))}


def generalised_dice(p: Tensor, mask: Tensor) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> (B,) generalised dice loss of each image, in [0, 1].

    1 - 2 sum_c w_c sum_n t p / sum_c w_c sum_n (t + p), with w_c = 1 / (sum_n t)^2 (Sudre et al. 2017). A class that
    the image does not have takes the largest weight of those it has, so that painting it costs something.
    """
    true, nothing = mask.flatten(1), p.new_zeros(p.shape[:2])
    area = nothing.scatter_add(1, true, torch.ones_like(true, dtype=p.dtype))
    overlap = nothing.scatter_add(1, true, p.gather(1, mask[:, None]).flatten(1))
    weight = torch.where(area > 0, area.clamp(min=1) ** -2, 0)
    weight = torch.where(area > 0, weight, weight.amax(1, keepdim=True))
    return 1 - 2 * (weight * overlap).sum(1) / (weight * (area + p.sum((-2, -1)))).sum(1)


def batch_dice(p: Tensor, mask: Tensor) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> 1 - mean soft F1 of the classes that the batch has.

    F1_c = 2 sum t p / sum (t + p) over all pixels of all images, as the metric counts it: an earring weighs as much as
    the hair, and an image without earrings costs only what is painted there (Milletari et al. 2016, per class). No mean
    over images: with several processes each takes the F1 of its own share of the batch.
    """
    t = F.one_hot(mask, p.shape[1]).movedim(-1, 1).to(p.dtype)
    over = (0, 2, 3)
    area = t.sum(over)
    f1 = 2 * (t * p).sum(over) / (area + p.sum(over))
    return 1 - f1[area > 0].mean()


class DiceCrossEntropyLoss(nn.Module):
    """dice * (dice loss) + ce * (pixel cross entropy); `measure` is the dice loss (FaceXFormer section 3.4: their
    mean)."""

    def __init__(self, *, dice: float, ce: float, measure: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.dice, self.ce, self.measure = dice, ce, measure

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        logits, mask = raised(raw, target)
        log_p = logits.log_softmax(1)
        ce = F.nll_loss(log_p, mask)
        dice = self.measure(log_p.exp(), mask).mean()
        return {"loss": self.dice * dice + self.ce * ce, "dice": dice, "ce": ce}


class ParsingMetric(Metric):
    """f1_mean (foreground), f1_<class>, pixel_accuracy: percent."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.confusion = np.zeros((spec.queries, spec.queries), np.int64)  # rows = truth
        self.pixels: list[np.ndarray] = []  # of each image (2, C): right, and labelled plus predicted

    def _update(self, prediction: ParsingPrediction, sample: Any) -> None:
        found = confusion_matrix(np.asarray(label_of(sample, "mask")), prediction.classes, self.spec.queries)
        self.confusion += found
        self.pixels.append(np.stack([np.diag(found), found.sum(0) + found.sum(1)]))

    def f1(self) -> np.ndarray:
        """(C,) fractions, nan for classes that are neither labelled nor predicted."""
        return f1_per_class(self.confusion)

    def foreground(self) -> np.ndarray:
        """(C,) bool: the classes of the mean."""
        return np.arange(self.spec.queries) != self.spec.options["background"]

    def _compute(self) -> dict[str, float]:
        f1 = self.f1()
        mean = mean_of_defined(f1[self.foreground()])
        if np.isnan(mean):
            raise DataError(
                f"{self.spec.name}: no foreground class is labelled or predicted; check the label maps of "
                f"{self.spec.dataset}"
            )
        named = {
            f"f1_{name}": 100 * value for name, value in zip(self.spec.labels, f1, strict=True) if not np.isnan(value)
        }
        accuracy = np.trace(self.confusion) / self.confusion.sum()
        return {"f1_mean": 100 * mean, "pixel_accuracy": 100 * accuracy, **named}

    def resampler(self):
        pixels = np.stack(self.pixels).astype(np.float64)

        def metrics(counts):
            right, sums = counts @ pixels[:, 0], counts @ pixels[:, 1]  # (draws, C)
            f1 = np.divide(2 * right, sums, out=np.full(sums.shape, np.nan), where=sums > 0)
            return {
                "f1_mean": 100 * mean_of(list(f1.T[self.foreground()])),
                "pixel_accuracy": 100 * 2 * right.sum(1) / sums.sum(1),
                **{f"f1_{name}": 100 * values for name, values in zip(self.spec.labels, f1.T, strict=True)},
            }

        return metrics

    def notes(self) -> list[str]:
        absent = [name for name, value in zip(self.spec.labels, self.f1(), strict=True) if np.isnan(value)]
        return [f"neither labelled nor predicted, left out of f1_mean: {', '.join(absent)}"] if absent else []


class Parsing(Kind):
    name, head, inputs, columns = "parsing", "map", "dense", ("mask",)
    headline, higher_is_better, geometric = "f1_mean", True, True
    losses: ClassVar = {
        "cross_entropy": Loss(lambda kind, spec, *, classes: ParsingLoss()),
        "dice_ce": Loss(
            lambda kind, spec, *, classes, **numbers: DiceCrossEntropyLoss(measure=generalised_dice, **numbers),
            {"dice": 0.5, "ce": 0.5},
        ),
        "batch_dice_ce": Loss(
            lambda kind, spec, *, classes, **numbers: DiceCrossEntropyLoss(measure=batch_dice, **numbers),
            {"dice": 1.0, "ce": 1.0},
        ),
    }

    def target(self, spec, sample, crop):
        mask = crop.mask(label_of(sample, "mask"))
        check_within(
            f"{key_of(sample)}: mask",
            mask.min(),
            mask.max(),
            (0, spec.queries - 1),
            f"{spec.name} has {spec.queries} classes",
        )
        return {"mask": mask}

    def mirrored(self, spec, target):
        """Left and right parts change their class too."""
        swap = np.asarray(flip_classes(spec.options["scheme"]), np.uint8)
        return {"mask": np.ascontiguousarray(swap[target["mask"][:, ::-1]])}

    def decode(self, spec, raw, crop):
        logits = raw.detach().float().cpu().numpy()
        check_finite(spec.name, logits)  # here, because an argmax hides it
        return ParsingPrediction(crop.labels_back(logits))

    def metric(self, spec):
        return ParsingMetric(spec)

    def constant_baseline(self, spec, train, place=None, *, grid: int = 64, most: int = 1000):
        """The commonest class of each cell of a `grid` x `grid` crop, over at most `most` evenly spaced samples."""
        if place is None:
            raise TypeError("parsing needs `place`: the majority map lives in the crop's frame")
        if not len(train):
            raise DataError(f"{spec.name}: the training split of {spec.dataset} is empty; prepare the data set")
        counts = np.zeros((spec.queries, grid, grid), np.float32)
        rows, columns = np.mgrid[:grid, :grid]
        for index in spread(len(train), most):
            sample = train.sample(index, labels=("mask", "box", "points5"), image=False)
            mask = place(sample).mask(label_of(sample, "mask"))
            cells = ((np.arange(grid) + 0.5) * len(mask) / grid).astype(int)
            counts[mask[np.ix_(cells, cells)], rows, columns] += 1
        frequency = counts / counts.sum(0)
        # Frequencies take the same way back as a network's logits.
        return lambda sample, crop: ParsingPrediction(crop.labels_back(frequency))

    def figure(self, spec, metric):
        """Confusion (rows sum to 100 %) and F1 of each class."""
        from faceptor.tasks.plots import draw_bars, draw_confusion, new_figure

        figure, (left, right) = new_figure(f"{spec.name}: mean F1 {metric.compute()['f1_mean']:.1f} %", 2, height=5.0)
        draw_confusion(left, metric.confusion, spec.labels)
        draw_bars(right, list(spec.labels), 100 * metric.f1(), "F1 (%)")
        return figure

    def plots(self, spec, metric):
        from faceptor.tasks.plots import confusion_data

        return [confusion_data(metric.confusion, spec.labels)]

    def draw(self, spec, canvas, prediction):
        from faceptor.tasks.drawing import blend_classes

        return blend_classes(canvas, prediction.classes, spec.queries, background=spec.options["background"])

    def describe(self, spec, prediction):
        share = np.bincount(prediction.classes.ravel(), minlength=spec.queries) / prediction.classes.size
        return [f"{name} {100 * value:.1f} %" for name, value in zip(spec.labels, share, strict=True) if value > 0]
