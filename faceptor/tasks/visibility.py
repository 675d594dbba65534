"""Visibility of landmarks: one query per point, sigmoid cross entropy on "visible" (FaceXFormer sections 3.4 and F.8).

Labels and predictions: 1 visible, 0 occluded, -1 unknown; a model may be asked for "occluded" instead (FaceXFormer's
published weights are), see `options["positive"]`. COFW is judged by the recall of *occluded* points at 80 %
precision, all points of all faces pooled; a point's score is 1 - the probability of being visible. FaceXFormer does
not say which class is the positive one, so the recall of visible points is reported beside it.

Augmentation that paints over the face hides points which the labels call visible: policy `landmarks` wants
`occlusion: 0` here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator

from faceptor.config.sections import AtKey
from faceptor.datasets.labels import LandmarkScheme, landmark_scheme
from faceptor.errors import DataError
from faceptor.figures.parts import Bar, Words, longest, spelt_out
from faceptor.figures.plots import PALETTE, curve_data, new_figure
from faceptor.tasks.attributes import MAX_BARS, Attributes, AttributesMetric, draw_accuracies
from faceptor.tasks.base import Options, TaskSpec
from faceptor.tasks.fitting import check_points

MIN_PRECISION = 0.8


def recall_at_precision(score: np.ndarray, positive: np.ndarray, precision: float = MIN_PRECISION) -> float:
    """Largest share of the positives that a threshold on the score finds while at least `precision` of what it finds
    is positive; a fraction, 0 where no threshold is that precise. score (n,), positive (n,) bool."""
    reached, recall = curve_of(score, positive)
    return float(recall[reached >= precision].max())  # the curve ends at precision 1, recall 0


def curve_of(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of every threshold on the score, fractions."""
    from sklearn.metrics import precision_recall_curve

    return precision_recall_curve(positive, score)[:2]


def recall_of(score: np.ndarray, positive: np.ndarray, sample: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """counts (draws, samples) -> (draws,) `recall_at_precision`, nan without any positive. sample: (n,) which sample
    every score belongs to."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # equal scores are found together
    sample, positive = sample[order], positive[order]

    def recall(counts: np.ndarray) -> np.ndarray:
        result = np.full(len(counts), np.nan)
        for row, each in enumerate(counts):  # one by one: a row of points fits the processor's cache
            drawn = each[sample]
            hits, found = np.cumsum(drawn * positive)[last], np.cumsum(drawn)[last]
            precise = np.flatnonzero(hits >= MIN_PRECISION * found)
            if hits[-1]:
                result[row] = hits[precise[-1]] / hits[-1] if len(precise) else 0.0
        return result

    return recall


class VisibilityMetric(AttributesMetric):
    """recall_at_80_precision (occluded points), recall_at_80_precision_visible, and those of attributes: percent."""

    column = "visibility"

    def sides(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name of a recall -> (n,) score and (n,) bool whether it is right, over all known points together."""
        p, truth = self.arrays()
        p, visible = p[truth >= 0], truth[truth >= 0] == 1
        return {"recall_at_80_precision": (1 - p, ~visible), "recall_at_80_precision_visible": (p, visible)}

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall of finding occluded points, fractions."""
        return curve_of(*self.sides()["recall_at_80_precision"])

    def _compute(self):
        sides = self.sides()
        _, visible = sides["recall_at_80_precision_visible"]
        if visible.all() or not visible.any():
            found = "visible" if visible.any() else "occluded"
            raise DataError(
                f"{self.spec.name}: every known point is {found}, so recall at a precision means nothing; evaluate "
                "more samples"
            )
        return {name: 100 * recall_at_precision(*side) for name, side in sides.items()} | super()._compute()

    def resampler(self):
        others = super().resampler()
        face = np.nonzero(self.arrays()[1] >= 0)[0]  # of every known point; a face is drawn with all its points
        recalls = {name: recall_of(*side, face) for name, side in self.sides().items()}
        return lambda counts: {name: 100 * recall(counts) for name, recall in recalls.items()} | others(counts)

    def _shares(self):
        recall = {
            name: [(recall_at_precision(score, found) * found.sum(), found.sum())]
            for name, (score, found) in self.sides().items()
        }
        return recall | super()._shares()


class VisibilityOptions(Options):
    """scheme: of the points, see `landmark_scheme`; positive: what the model answers with a probability."""

    scheme: Annotated[LandmarkScheme, BeforeValidator(landmark_scheme)]
    positive: Literal["visible", "occluded"] = "visible"

    def check(self, spec):
        if self.scheme.count != spec.queries:
            raise AtKey("scheme", f"expected {spec.queries} points, one per label, found {self.scheme.count}")


def _asks_for_occluded(spec: TaskSpec) -> bool:
    """Whether the model's logit is that of a point being occluded: `options["positive"]`, "visible" without it."""
    return spec.options.get("positive", "visible") == "occluded"


class Visibility(Attributes):
    name, columns = "visibility", ("visibility",)
    metric_class, headline, options = VisibilityMetric, "recall_at_80_precision", VisibilityOptions

    def own_task(self, dataset, reader):
        if "visibility" not in reader.columns:
            return None
        labels = reader.description.landmarks.labels
        return TaskSpec(f"visibility_{dataset}", "visibility", dataset, labels, {"scheme": reader.scheme})

    def options_on(self, spec, own, other):
        check_points(spec, other)
        return dict(spec.options)

    def target(self, spec, sample, crop):
        """1 for a visible point, or for an occluded one where that is what the model answers; -1 unknown."""
        visible = super().target(spec, sample, crop)[self.column]
        return {self.column: np.where(visible < 0, visible, 1 - visible) if _asks_for_occluded(spec) else visible}

    def decode(self, spec, raw, crop):
        """Probabilities of being visible."""
        return super().decode(spec, -raw if _asks_for_occluded(spec) else raw, crop)

    def mirrored(self, spec, target):
        """Flags change places as their points do."""
        return {"visibility": target["visibility"][list(landmark_scheme(spec.options["scheme"]).flip)]}

    def figure(self, spec, metric):
        """Precision and recall of finding occluded points, and accuracy of each point."""
        precision, recall = metric.curve()
        found = metric.compute()["recall_at_80_precision"]
        title = f"{spec.name}: {found:.1f} % of occluded points at {100 * MIN_PRECISION:.0f} % precision"
        figure, (left, right) = new_figure(title, 2, height=max(4.4, 0.16 * spec.queries))
        left.plot(100 * recall, 100 * precision, color=PALETTE[0], drawstyle="steps-post")
        left.axhline(100 * MIN_PRECISION, color="0.6", linestyle="--", linewidth=1)
        left.set(xlabel="occluded points found (%)", ylabel="found points that are occluded (%)")
        left.set(xlim=(0, 100), ylim=(0, 101))
        draw_accuracies(right, metric, range(spec.queries))
        return figure

    def plots(self, spec, metric):
        """Of finding occluded points."""
        precision, recall = metric.curve()
        return [*super().plots(spec, metric), curve_data("precision", {"recall": recall, "precision": precision})]

    def panel(self, spec, prediction):
        """How many points are seen, and which are hidden, the surest first."""
        named = zip(spec.labels, prediction.probabilities, strict=True)
        hidden = sorted(((name, 1 - float(p)) for name, p in named if p <= 0.5), key=lambda item: -item[1])
        seen = Words((f"{spec.queries - len(hidden)} of {spec.queries} points visible",))
        if not hidden:
            return [seen]
        bars = [Bar(spelt_out(name), p) for name, p in hidden]
        return [seen, Words(("hidden",), muted=True), *longest(bars, MAX_BARS)]

    def describe(self, spec, prediction):
        hidden = [name for name, p in zip(spec.labels, prediction.probabilities, strict=True) if p <= 0.5]
        seen = f"{spec.queries - len(hidden)} of {spec.queries} points visible"
        return [seen, *(f"{name} hidden" for name in hidden)]
