"""Parsing: one query and one logit map per class (paper section 3).

F1 comes from one confusion matrix over all pixels of the test set, in the images' own pixels; the headline is the
mean over all classes but the background, in percent. A class that is neither labelled nor predicted anywhere has no F1
(0/0): it is left out of the mean and named in `notes()`; the reference's mean would be nan.

A data set may leave pixels without a class: `options["ignore"]` is their value in its maps. They count neither in a
loss nor in the metric nor in the constant baseline; what a crop shows beyond the picture is background, as elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from faceptor.config.sections import AtKey, Whole
from faceptor.datasets.labels import check_mirror, flip_classes
from faceptor.datasets.subset import spread
from faceptor.errors import DataError
from faceptor.figures.drawing import blend_classes, class_colours
from faceptor.figures.parts import Swatches, spelt_out
from faceptor.figures.plots import confusion_data, draw_bars, draw_confusion, new_figure
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.fitting import check_names
from faceptor.tasks.intervals import mean_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.measures import confusion_matrix, f1_per_class, mean_of_defined, percent_of_each, ratio
from faceptor.tasks.metric import Metric


@dataclass(frozen=True)
class ParsingPrediction(Prediction):
    """classes: (H, W) uint8, the class of every pixel of the image."""

    classes: np.ndarray

    def windowed(self, matrix: np.ndarray, size: tuple[int, int]) -> ParsingPrediction:
        import cv2

        return ParsingPrediction(cv2.warpAffine(self.classes, matrix, size, flags=cv2.INTER_NEAREST))

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


def ignored(spec: TaskSpec) -> int | None:
    """Value of pixels without a class; None where every pixel has one."""
    return spec.options.get("ignore")


class ParsingMetric(Metric):
    """f1_mean (foreground), f1_<class>, pixel_accuracy: percent."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.confusion = np.zeros((spec.queries, spec.queries), np.int64)  # rows = truth
        self.pixels: list[np.ndarray] = []  # of each image (2, C): right, and labelled plus predicted

    def _update(self, prediction: ParsingPrediction, sample: Any) -> None:
        truth, predicted, ignore = np.asarray(label_of(sample, "mask")), prediction.classes, ignored(self.spec)
        if ignore is not None and truth.shape == predicted.shape:
            truth, predicted = truth[truth != ignore], predicted[truth != ignore]
        found = confusion_matrix(truth, predicted, self.spec.queries)
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
        accuracy = np.trace(self.confusion) / self.confusion.sum()
        return {"f1_mean": 100 * mean, "pixel_accuracy": 100 * accuracy, **percent_of_each("f1", self.spec.labels, f1)}

    def resampler(self):
        pixels = np.stack(self.pixels).astype(np.float64)

        def metrics(counts):
            right, sums = counts @ pixels[:, 0], counts @ pixels[:, 1]  # (draws, C)
            f1 = ratio(2 * right, sums)
            return {
                "f1_mean": 100 * mean_of(list(f1.T[self.foreground()])),
                "pixel_accuracy": 100 * 2 * right.sum(1) / sums.sum(1),
                **{f"f1_{name}": 100 * values for name, values in zip(self.spec.labels, f1.T, strict=True)},
            }

        return metrics

    def notes(self) -> list[str]:
        absent = [name for name, value in zip(self.spec.labels, self.f1(), strict=True) if np.isnan(value)]
        return [f"neither labelled nor predicted, left out of f1_mean: {', '.join(absent)}"] if absent else []


class ParsingOptions(Options):
    """background: a class; scheme: a published table, or its facts; ignore: value of pixels without a class."""

    background: Whole
    scheme: Annotated[tuple[Whole, ...], BeforeValidator(flip_classes)]
    ignore: Annotated[Whole, Field(le=255)] | None = None

    def check(self, spec):
        if self.background >= spec.queries:
            raise AtKey("background", f"expected a class below {spec.queries}, found {self.background}")
        if self.ignore is not None and self.ignore < spec.queries:
            raise AtKey("ignore", f"expected no class, found one of the {spec.queries}: {self.ignore}")
        check_mirror(self.scheme, spec.queries, "scheme")


class Parsing(Kind[ParsingPrediction, ParsingMetric]):
    name, head, inputs, columns = "parsing", "map", "dense", ("mask",)
    metric_class, headline, higher_is_better, labels_move = ParsingMetric, "f1_mean", True, True
    drawn, class_map, options, label_count = True, True, ParsingOptions, range(2, 257)
    losses: ClassVar = {
        "cross_entropy": {}, "dice_ce": {"dice": 0.5, "ce": 0.5}, "batch_dice_ce": {"dice": 1.0, "ce": 1.0}
    }  # fmt: skip

    def own_options(self, reader):
        flip = {"flip_permutation": list(reader.mask_flip or ())}
        return {"background": reader.description.mask.background, "scheme": flip}

    def options_on(self, spec, own, other):
        check_names(spec, "mask", other)
        return dict(spec.options)

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses import parsing

        measure = {"dice_ce": parsing.generalised_dice, "batch_dice_ce": parsing.batch_dice}.get(name)
        return parsing.ParsingLoss(measure=measure, ignore=ignored(spec), **numbers)

    def limits(self, spec, *, classes=None):
        return {"mask": Limits(0, spec.queries - 1, unknown=ignored(spec))}

    def target(self, spec, sample, crop):
        mask = crop.mask(label_of(sample, "mask"))
        known, last = mask if ignored(spec) is None else mask[mask != ignored(spec)], spec.queries - 1
        low, high = known.min(initial=last), known.max(initial=0)
        check_within(f"{key_of(sample)}: mask", low, high, (0, last), f"{spec.name} has {spec.queries} classes")
        return {"mask": mask}

    def mirrored(self, spec, target):
        """Left and right parts change their class too."""
        swap = np.arange(256, dtype=np.uint8)  # a value that is no class stays
        swap[: spec.queries] = flip_classes(spec.options["scheme"])
        return {"mask": np.ascontiguousarray(swap[target["mask"][:, ::-1]])}

    def decode(self, spec, raw, crop):
        logits = raw.detach().float().cpu().numpy()
        check_finite(spec.name, logits)  # here, because an argmax hides it
        return ParsingPrediction(crop.labels_back(logits))

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
            seen = mask[np.ix_(cells, cells)]
            known = seen != (-1 if ignored(spec) is None else ignored(spec))
            counts[seen[known], rows[known], columns[known]] += 1
        frequency = counts / np.maximum(counts.sum(0), 1)
        # Frequencies take the same way back as a network's logits.
        return lambda sample, crop: ParsingPrediction(crop.labels_back(frequency))

    def figure(self, spec, metric):
        """Confusion (rows sum to 100 %) and F1 of each class."""
        figure, (left, right) = new_figure(f"{spec.name}: mean F1 {metric.compute()['f1_mean']:.1f} %", 2, height=5.0)
        draw_confusion(left, metric.confusion, spec.labels)
        draw_bars(right, list(spec.labels), 100 * metric.f1(), "F1 (%)")
        return figure

    def plots(self, spec, metric):
        return [confusion_data(metric.confusion, spec.labels)]

    def draw(self, spec, canvas, prediction):
        return blend_classes(canvas, prediction.classes, spec.queries, background=spec.options["background"])

    def legend(self, spec, prediction):
        """Colours of the classes that are seen, the largest first."""
        seen, colours = np.bincount(prediction.classes.ravel(), minlength=spec.queries), class_colours(spec.queries)
        present = [i for i in np.argsort(-seen, kind="stable") if seen[i] and i != spec.options["background"]]
        return [Swatches([(spelt_out(spec.labels[i]), tuple(colours[i].tolist())) for i in present])]

    def describe(self, spec, prediction):
        share = np.bincount(prediction.classes.ravel(), minlength=spec.queries) / prediction.classes.size
        return [f"{name} {100 * value:.1f} %" for name, value in zip(spec.labels, share, strict=True) if value > 0]
