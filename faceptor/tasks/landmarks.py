"""Landmarks: one query and one heat map per point (paper section 3), or coordinates where a model regresses them.

Points are xy pixels, pixel centres at integers; losses are in `faceptor.tasks.losses.landmarks`. NME, AUC and failure
rate are fractions in the pure functions and percent in `LandmarksMetric.compute`, as tables print them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from faceptor.config.sections import AtKey, Count, Positive, Whole, either
from faceptor.datasets.labels import LandmarkScheme, landmark_scheme
from faceptor.errors import DataError
from faceptor.figures.drawing import draw_points
from faceptor.figures.plots import PALETTE, error_data, new_figure
from faceptor.tasks.base import Kind, Options, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.fitting import check_points, normalisers
from faceptor.tasks.limits import Limits
from faceptor.tasks.metric import Metric, of_subsets, share_of

# Of a landmark in the crop, which spans 0 to 1: jitter may push it out; further than one side, it is no point of a face
# that the crop shows.
POINT_RANGE = (-1.0, 2.0)


@dataclass(frozen=True)
class LandmarksPrediction(Prediction):
    """points: (K, 2) xy pixels of the image; scores: (K,) peak of each heat map in [0, 1], None without heat maps."""

    points: np.ndarray
    scores: np.ndarray | None

    def magnified(self, k: int) -> LandmarksPrediction:
        return replace(self, points=(self.points + 0.5) * k - 0.5)

    def windowed(self, matrix: np.ndarray, size: tuple[int, int]) -> LandmarksPrediction:
        return replace(self, points=self.points @ matrix[:, :2].T + matrix[:, 2])

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {
            "scheme": landmark_scheme(spec.options["scheme"]).name if "scheme" in spec.options else None,
            "labels": list(spec.labels),
            "points": [[float(x), float(y)] for x, y in self.points],
            "scores": None if self.scores is None else [float(score) for score in self.scores],
        }


# --- metrics ---------------------------------------------------------------------------------------------------------


def normaliser(rule: Any, truth: np.ndarray, box: np.ndarray | None, key: str = "?") -> float:
    """The length in pixels that errors are divided by: "diag" or "box" of the face box (x1, y1, x2, y2), or the
    distance between the means of two groups of true points."""
    if isinstance(rule, str):
        if box is None:
            raise DataError(f"{key}: no 'box', which NME by {rule!r} needs; prepare the data set again")
        width, height = float(box[2] - box[0]), float(box[3] - box[1])
        return float({"diag": np.hypot(width, height), "box": np.sqrt(width * height)}[rule])
    left, right = (truth[list(group)].mean(axis=0) for group in rule)
    return float(np.linalg.norm(left - right))


def nme(predicted: np.ndarray, truth: np.ndarray, length: float) -> float:
    """Normalised mean error of one face, a fraction: mean over points of |prediction - truth| / length."""
    return float(np.linalg.norm(predicted - truth, axis=-1).mean() / length)


def error_curve(errors: np.ndarray, threshold: float, *, step: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative error distribution: grid from 0 in steps up to the threshold, share of faces at or below each.

    The grid is the reference's, float rounding included: 0.07 gives 702 points that end at 0.0701, so AFLW results
    count errors up to there (reference behaviour, kept because published numbers have it).
    """
    grid = np.arange(0, threshold + step, step)
    return grid, np.searchsorted(np.sort(errors), grid, side="right") / len(errors)


def area_under_curve(errors: np.ndarray, threshold: float, *, rule: str = "simpson") -> float:
    """Area under the error curve divided by the threshold, a fraction. `rule`: "simpson" (reference), "trapezoid"."""
    from scipy import integrate

    grid, share = error_curve(errors, threshold)
    rules = {"simpson": integrate.simpson, "trapezoid": integrate.trapezoid}
    return float(rules[rule](share, x=grid) / threshold)


def failure_rate(errors: np.ndarray, threshold: float) -> float:
    """Share of faces beyond the last grid point of the curve, a fraction."""
    return float(1 - error_curve(errors, threshold)[1][-1])


def area_of_each(errors: np.ndarray, threshold: float) -> np.ndarray:
    """(n,) what each face adds to `area_under_curve`, which is their mean: Simpson's rule is linear in the curve."""
    from scipy import integrate

    grid, _ = error_curve(errors, threshold)
    weights = np.asarray(integrate.simpson(np.eye(len(grid)), x=grid)) / threshold
    from_here_on = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    return from_here_on[np.searchsorted(grid, errors, side="left")]


class LandmarksMetric(Metric):
    """For each normaliser its NME, AUC_<t> and failure rate FR_<t> where a threshold is set; the same per named test
    subset with `_<subset>` behind the name. All in percent."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.errors: dict[str, list[float]] = {name: [] for name in spec.options["normalisers"]}
        self.keys: list[str] = []
        self.subsets: list[tuple[str, ...]] = []

    def _update(self, prediction: LandmarksPrediction, sample: Any) -> None:
        key, truth = key_of(sample), np.asarray(label_of(sample, "landmarks"), np.float64)
        points = prediction.points[: self.spec.options.get("first")]
        check_finite(key, points)
        if points.shape != truth.shape:
            raise DataError(
                f"{key}: expected {len(truth)} predicted points, found shape {points.shape}; "
                "the model belongs to another data set"
            )
        for name, rule in self.spec.options["normalisers"].items():
            length = normaliser(rule, truth, sample.get("box"), key)
            self.errors[name].append(nme(points, truth, length) if length > 0 else float("nan"))
        self.keys.append(key)
        self.subsets.append(tuple(sample.get("subsets", ())))

    def curves(self, name: str) -> dict[str, np.ndarray]:
        """Errors (fractions) of all faces ("") and of each named subset."""
        errors = np.asarray(self.errors[name])
        return {subset: errors[mask] for subset, mask in self._masks(errors).items()}

    def _masks(self, errors: np.ndarray) -> dict[str, np.ndarray]:
        """(n,) bool: which faces with an error belong to all ("") and to each named subset."""
        masks = {subset: mask & ~np.isnan(errors) for subset, mask in of_subsets(self.subsets).items()}
        return {subset: mask for subset, mask in masks.items() if mask.any()}

    def _compute(self) -> dict[str, float]:
        result = {}
        for name in self.errors:
            threshold = self.spec.options["auc"].get(name)
            for subset, errors in self.curves(name).items():
                tail = f"_{subset}" if subset else ""
                result[f"{name}{tail}"] = 100 * errors.mean()
                if threshold is not None:
                    stem = f"{name.removeprefix('nme_')}_{100 * threshold:g}{tail}"
                    result[f"auc_{stem}"] = 100 * area_under_curve(errors, threshold)
                    result[f"fr_{stem}"] = 100 * failure_rate(errors, threshold)
        return result

    def _values(self):
        result = {}
        for name, each in self.errors.items():
            errors, threshold = np.asarray(each), self.spec.options["auc"].get(name)
            columns = {name: 100 * errors}
            if threshold is not None:
                stem = f"{name.removeprefix('nme_')}_{100 * threshold:g}"
                columns[f"auc_{stem}"] = 100 * area_of_each(errors, threshold)
                columns[f"fr_{stem}"] = 100.0 * (errors > error_curve(errors, threshold)[0][-1])
            for subset, mask in self._masks(errors).items():
                tail = f"_{subset}" if subset else ""
                result |= {f"{key}{tail}": np.where(mask, values, np.nan) for key, values in columns.items()}
        return result

    def _shares(self):
        return {name: share_of(values) for name, values in self._values().items() if name.startswith("fr_")}

    def notes(self) -> list[str]:
        lost = {
            name: [key for key, error in zip(self.keys, errors, strict=True) if np.isnan(error)]
            for name, errors in self.errors.items()
        }
        return [
            f"{name}: {len(keys)} faces of zero {name.removeprefix('nme_')} length left out, first {keys[0]}"
            for name, keys in lost.items()
            if keys
        ]


# --- kind ------------------------------------------------------------------------------------------------------------


Points = Annotated[tuple[Whole, ...], Field(min_length=1)]
Rule = Annotated[Literal["diag", "box"] | tuple[Points, Points], either("diag, box or two groups of points")]


class LandmarkOptions(Options):
    """scheme: name of a published one, or its facts; normalisers: NME name -> see `normaliser`; auc: NME name ->
    threshold, a fraction; first: only so many of the points are measured."""

    scheme: Annotated[LandmarkScheme, BeforeValidator(landmark_scheme)]
    normalisers: Annotated[dict[str, Rule], Field(min_length=1)]
    auc: dict[str, Annotated[Positive, Field(le=1)]]
    headline: str = "nme_inter_ocular"
    first: Count | None = None

    def check(self, spec):
        if self.scheme.count != spec.queries:
            raise AtKey("scheme", f"expected {spec.queries} points, one per label, found {self.scheme.count}")
        points = self.first or spec.queries
        if points > spec.queries:
            raise AtKey("first", f"expected at most {spec.queries}, found {points}")
        for name, rule in self.normalisers.items():
            if not isinstance(rule, str) and max(rule[0] + rule[1]) >= points:
                raise AtKey(f"normalisers.{name}", f"expected points below {points}, found {max(rule[0] + rule[1])}")
        for key, names in {"auc": self.auc, "headline": [self.headline]}.items():
            if strangers := [name for name in names if name not in self.normalisers]:
                raise AtKey(key, f"{strangers[0]!r} is none of the normalisers ({', '.join(self.normalisers)})")


class Landmarks(Kind[LandmarksPrediction, LandmarksMetric]):
    name, head, inputs, columns = "landmarks", "map", "dense", ("landmarks",)
    metric_class, headline, higher_is_better, labels_move = LandmarksMetric, "nme_inter_ocular", False, True
    output, drawn, on_photograph, options = "points", True, True, LandmarkOptions
    losses: ClassVar = {
        "heatmap": {"radius": 5.0, "map_size": 0, "coordinate": 1.0, "heatmap": 1.0},
        "star": {"beta": 0.01, "epsilon": 1e-5, "eigenvalue": 1.0},
        "l1": {"beta": 0.0},
    }

    def own_options(self, reader):
        facts = reader.description.landmarks
        rules = facts.rules()
        return {"scheme": reader.scheme, "normalisers": rules, "auc": dict(facts.auc), "headline": next(iter(rules))}

    def options_on(self, spec, own, other):
        """Where the other set has the first points alone, they are what is measured, by its own normalisers."""
        scheme = check_points(spec, other)
        if other.scheme == spec.options["scheme"]:
            return dict(spec.options)
        rules = normalisers(scheme, *spec.options["normalisers"])
        return {**spec.options, "scheme": scheme.name, "normalisers": rules, "first": scheme.count}

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.landmarks import HeatmapLoss, L1Loss, StarLoss

        return {"heatmap": HeatmapLoss, "star": StarLoss, "l1": L1Loss}[name](**numbers)

    def limits(self, spec, *, classes=None):
        return {"points": Limits(*POINT_RANGE)}

    def target(self, spec, sample, crop):
        truth, key = np.asarray(label_of(sample, "landmarks"), np.float32), key_of(sample)
        if truth.shape != (spec.queries, 2):
            raise DataError(
                f"{key}: landmarks have shape {truth.shape}, {spec.name} expects ({spec.queries}, 2); "
                "prepare the data set again"
            )
        points = ((crop.points(truth) + 0.5) / crop.size).astype(np.float32)
        remedy = "box, points5 and landmarks of this face do not belong together"
        check_within(f"{key}: landmarks in the crop (1 = its side)", points.min(), points.max(), POINT_RANGE, remedy)
        return {"points": points}

    def mirrored(self, spec, target):
        """Points change places as the scheme says, and sides."""
        points = target["points"][list(landmark_scheme(spec.options["scheme"]).flip)]
        return {"points": np.stack([1 - points[:, 0], points[:, 1]], axis=1)}

    def decode(self, spec, raw, crop):
        from faceptor.tasks.losses.landmarks import points_of

        raw = raw.detach().float()
        points = points_of(raw[None])[0].cpu().numpy().astype(np.float64) * crop.size - 0.5
        scores = raw.amax((-2, -1)).sigmoid().cpu().numpy() if raw.ndim == 3 else None
        return LandmarksPrediction(crop.points_back(points), scores)

    def constant_baseline(self, spec, train, place=None):
        """The mean training shape in the crop's frame; it knows where the crop is, and nothing else."""
        if place is None:
            raise TypeError("landmarks need `place`: the mean shape lives in the crop's frame")
        if not len(train):
            raise DataError(f"{spec.name}: the training split of {spec.dataset} is empty; prepare the data set")
        total = np.zeros((spec.queries, 2))
        for index in range(len(train)):
            sample = train.sample(index, labels=("landmarks", "box", "points5"), image=False)
            crop = place(sample)
            total += (crop.points(label_of(sample, "landmarks")) + 0.5) / crop.size
        mean = total / len(train)
        return lambda sample, crop: LandmarksPrediction(crop.points_back(mean * crop.size - 0.5), np.zeros(len(mean)))

    def figure(self, spec, metric):
        """Cumulative error distribution of the headline NME, all faces and each subset, with AUC in the legend."""
        name = self.headline_of(spec)
        threshold = spec.options["auc"].get(name, 0.10)
        figure, (panel,) = new_figure(f"{spec.name}: {name} {100 * np.nanmean(metric.errors[name]):.2f} %")
        for index, (subset, errors) in enumerate(metric.curves(name).items()):
            grid, share = error_curve(errors, threshold)
            label = (
                f"{subset or 'all'}: NME {100 * errors.mean():.2f}, "
                f"AUC {100 * area_under_curve(errors, threshold):.1f} (n = {len(errors)})"
            )
            panel.plot(100 * grid, 100 * share, color=PALETTE[index % len(PALETTE)], label=label)
        panel.set(xlabel=f"{name} (%)", ylabel="faces at or below (%)", xlim=(0, 100 * threshold), ylim=(0, 100))
        panel.legend(fontsize=8)
        return figure

    def plots(self, spec, metric):
        """Errors in percent, as the metric has them."""
        name = self.headline_of(spec)
        most = 100 * spec.options["auc"].get(name, 0.10)
        return [error_data(100 * errors, most, series) for series, errors in metric.curves(name).items()]

    def draw(self, spec, canvas, prediction):
        return draw_points(canvas, prediction.points, landmark_scheme(spec.options["scheme"]))

    def describe(self, spec, prediction):
        peak = "" if prediction.scores is None else f", mean peak {np.mean(prediction.scores):.2f}"
        return [f"{len(prediction.points)} landmarks{peak}"]
