"""Head pose: pitch, yaw and roll, trained and judged as rotations (FaceXFormer sections 3.3, 3.4 and F.3).

Labels and predictions are degrees in the convention of 300W-LP (`faceptor.tasks.rotations`). A model answers either
three Euler angles in *radians*, (B, 3) in that order, or nine numbers (B, 3, 3), of which the nearest rotation matrix
is taken (FaceXFormer's paper has nine tokens, its released weights three angles in radians).

Turning the crop turns the head with it, mirroring negates yaw and roll: targets say where the head points in the
crop, predictions where it points in the photograph. Shift, scale and stretch of the crop leave the angles alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from faceptor.datasets.labels import MAX_JUDGED_ANGLE
from faceptor.errors import DataError
from faceptor.figures.drawing import draw_axes
from faceptor.figures.parts import Words
from faceptor.figures.plots import PALETTE, error_data, new_figure
from faceptor.tasks.base import Kind, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.metric import PairedMetric, of_subsets
from faceptor.tasks.rotations import (
    MIRROR,
    about_view_axis,
    degrees_of_matrix,
    matrix_of_degrees,
    other_angles,
    wrapped,
)

ANGLES = ("pitch", "yaw", "roll")

MAX_PLOTTED_DEGREES = 30.0  # end of the plotted distribution of errors


@dataclass(frozen=True)
class PosePrediction(Prediction):
    """angles: (3,) pitch, yaw, roll in degrees. centre: (2,) xy pixels of the image, the middle of what the network
    saw, and side: pixels, its side; both serve drawing alone."""

    angles: np.ndarray
    centre: np.ndarray
    side: float

    def magnified(self, k: int) -> PosePrediction:
        return replace(self, centre=(self.centre + 0.5) * k - 0.5, side=self.side * k)

    def windowed(self, matrix: np.ndarray, size: tuple[int, int]) -> PosePrediction:
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        return replace(self, centre=matrix[:, :2] @ self.centre + matrix[:, 2], side=scale * self.side)

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {"unit": "degrees", **{name: float(value) for name, value in zip(ANGLES, self.angles, strict=True)}}


# --- crops -----------------------------------------------------------------------------------------------------------


def crop_turn(crop: Any) -> tuple[float, bool]:
    """How a crop displays the image: its turn in radians from x towards y, and whether it is mirrored before that.

    Of a stretched crop, the rotation nearest to it (polar decomposition).
    """
    linear = np.asarray(crop.matrix, np.float64)[:2, :2]
    mirrored = bool(np.linalg.det(linear) < 0)
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    u, _, vh = np.linalg.svd(linear)
    turn = u @ vh
    return float(np.arctan2(turn[1, 0], turn[0, 0])), mirrored


def into_crop(rotation: np.ndarray, crop: Any) -> np.ndarray:
    """(3, 3) rotation in the image -> in the crop."""
    turn, mirrored = crop_turn(crop)
    rotation = MIRROR @ rotation @ MIRROR if mirrored else rotation
    return rotation @ about_view_axis(turn)


def out_of_crop(rotation: np.ndarray, crop: Any) -> np.ndarray:
    """The inverse of `into_crop`."""
    turn, mirrored = crop_turn(crop)
    rotation = rotation @ about_view_axis(-turn)
    return MIRROR @ rotation @ MIRROR if mirrored else rotation


# --- metric ----------------------------------------------------------------------------------------------------------


def angle_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, 3), (n, 3) degrees -> (n, 3) absolute errors around the circle, in degrees.

    Two triples mean one rotation; of the prediction's two, the one nearer to the truth counts.
    """
    truth = np.asarray(truth, np.float64)
    both = np.stack([np.abs(wrapped(given - truth)) for given in (np.asarray(predicted), other_angles(predicted))])
    return np.take_along_axis(both, both.sum(-1).argmin(0)[None, :, None], axis=0)[0]


class PoseMetric(PairedMetric):
    """mae and mae_<angle>: mean absolute error of the Euler angles; geodesic: mean angle between the rotations. The
    same per named test subset with `_<subset>` behind the name. All in degrees."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.subsets: list[tuple[str, ...]] = []

    def _update(self, prediction: PosePrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.angles)
        self.predicted.append(np.asarray(prediction.angles, np.float64))
        self.truth.append(_labelled(sample))
        self.subsets.append(tuple(sample.get("subsets", ())))

    def judged(self) -> np.ndarray:
        """(samples,) bool: the faces within MAX_JUDGED_ANGLE."""
        return np.abs(np.reshape(self.truth, (-1, 3))).max(1) <= MAX_JUDGED_ANGLE

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) predicted and (n, 3) true pitch, yaw, roll in degrees, of the faces within MAX_JUDGED_ANGLE."""
        judged = self.judged()
        if not judged.any():
            raise DataError(
                f"{self.spec.name}: every face is turned by more than {MAX_JUDGED_ANGLE:g} degrees; check the pose "
                f"labels of {self.spec.dataset}"
            )
        predicted, truth = super().arrays()
        return predicted[judged], truth[judged]

    def turns(self) -> np.ndarray:
        """(n,) degrees between predicted and true rotation, of the faces within MAX_JUDGED_ANGLE."""
        import torch

        from faceptor.tasks.losses.rotations import geodesic

        pair = (torch.as_tensor(matrix_of_degrees(angles)) for angles in self.arrays())
        return np.rad2deg(geodesic(*pair).numpy())

    def _compute(self) -> dict[str, float]:
        return {name: float(np.nanmean(values)) for name, values in self._values().items()}

    def _values(self):
        errors, judged = angle_errors(*self.arrays()), self.judged()
        columns = {"mae": errors.mean(1), **{f"mae_{name}": errors[:, i] for i, name in enumerate(ANGLES)}}
        columns["geodesic"] = self.turns()
        found = {}
        for subset, mask in of_subsets(self.subsets).items():
            for key, values in columns.items():
                own = found[f"{key}_{subset}" if subset else key] = np.full(len(mask), np.nan)
                own[mask & judged] = values[mask[judged]]
        return found

    def notes(self) -> list[str]:
        left_out = int((~self.judged()).sum())
        told = f"{left_out} faces turned by more than {MAX_JUDGED_ANGLE:g} degrees left out, as the field does"
        return [told] if left_out else []


def _labelled(sample: Any) -> np.ndarray:
    """(3,) degrees of a sample, checked."""
    angles, key = np.asarray(label_of(sample, "pose"), np.float64), key_of(sample)
    if angles.shape != (3,):
        raise DataError(f"{key}: pose has shape {angles.shape}, expected pitch, yaw, roll; prepare the data set again")
    check_within(f"{key}: pose", angles.min(), angles.max(), (-180, 180), "pose is in degrees")
    return angles


# --- kind ------------------------------------------------------------------------------------------------------------


class Pose(Kind[PosePrediction, PoseMetric]):
    name, head, inputs, columns = "pose", "value", "face", ("pose",)
    metric_class, headline, higher_is_better, labels_move = PoseMetric, "mae", False, True
    output, drawn, label_count = "rotation", True, range(3, 4)
    losses: ClassVar = {"geodesic": {}}

    def own_task(self, dataset, reader):
        return TaskSpec(f"pose_{dataset}", "pose", dataset, ANGLES) if "pose" in reader.columns else None

    def loss(self, spec, name, **numbers):
        from faceptor.tasks.losses.rotations import GeodesicLoss

        return GeodesicLoss()

    def limits(self, spec, *, classes=None):
        return {"rotation": Limits(-1.001, 1.001)}  # entries of a matrix, with room for rounding

    def target(self, spec, sample, crop):
        return {"rotation": into_crop(matrix_of_degrees(_labelled(sample)), crop).astype(np.float32)}

    def mirrored(self, spec, target):
        """Yaw and roll change sign."""
        return {"rotation": (MIRROR @ target["rotation"] @ MIRROR).astype(np.float32)}

    def decode(self, spec, raw, crop):
        from faceptor.tasks.losses.rotations import matrix_of, nearest_rotation

        raw = raw.detach().double().cpu()
        check_finite(spec.name, raw.numpy())  # here, because no nearest rotation exists
        turn, mirrored = crop_turn(crop)
        if raw.ndim == 1 and not mirrored and abs(turn) < 1e-6:
            angles = wrapped(np.rad2deg(raw.numpy()))  # as given: yaw may pass 90 degrees
        else:
            matrix = matrix_of(raw) if raw.ndim == 1 else nearest_rotation(raw)
            angles = degrees_of_matrix(out_of_crop(matrix.numpy(), crop))
        return PosePrediction(angles, *_place(crop))

    def constant_baseline(self, spec, train, place=None):
        """The median of each angle: of all constants it has the smallest mean absolute error."""
        median = np.median(np.asarray(train.column("pose"), np.float64), axis=0)
        return lambda sample, crop: PosePrediction(median, *_place(crop))

    def figure(self, spec, metric):
        """Predicted against true angles, and the error by the largest true angle."""
        predicted, truth = metric.arrays()
        errors = angle_errors(predicted, truth)
        figure, panels = new_figure(f"{spec.name}: MAE {errors.mean():.2f} degrees", 4, width=4.2)
        ends = [-MAX_JUDGED_ANGLE, MAX_JUDGED_ANGLE]
        for index, (panel, name) in enumerate(zip(panels, ANGLES, strict=False)):
            panel.plot(ends, ends, color="0.6", linestyle="--", linewidth=1)
            panel.scatter(truth[:, index], predicted[:, index], s=6, alpha=0.4, color=PALETTE[index], linewidths=0)
            title = f"{name}: MAE {errors[:, index].mean():.2f}"
            panel.set(xlabel=f"true {name} (degrees)", ylabel=f"predicted {name} (degrees)", title=title)
        step = 15.0
        turned = np.abs(truth).max(1) // step * step
        starts = np.unique(turned)
        panels[3].bar(
            [f"{start:.0f}\n{(turned == start).sum()}" for start in starts],
            [errors[turned == start].mean() for start in starts],
            color=PALETTE[5],
        )
        xlabel = f"largest true angle, from (steps of {step:.0f} degrees), faces"
        panels[3].set(xlabel=xlabel, ylabel="mean absolute error (degrees)")
        return figure

    def plots(self, spec, metric):
        """Degrees between the true and the predicted rotation."""
        return [error_data(metric.turns(), MAX_PLOTTED_DEGREES)]

    def draw(self, spec, canvas, prediction):
        axes = matrix_of_degrees(prediction.angles) * [1, -1, 1]  # image y points down
        return draw_axes(canvas, prediction.centre, axes * [[1], [-1], [1]], 0.3 * prediction.side)

    def legend(self, spec, prediction):
        return [Words(tuple(self.describe(spec, prediction)))]

    def describe(self, spec, prediction):
        return [f"{name} {value:+.0f}°" for name, value in zip(ANGLES, prediction.angles, strict=True)]


def _place(crop: Any) -> tuple[np.ndarray, float]:
    """Centre (2,) and side of a crop in pixels of the image."""
    middle = (crop.size - 1) / 2
    centre, right = crop.points_back(np.array([[middle, middle], [middle + crop.size / 4, middle]]))
    return np.asarray(centre, np.float64), float(4 * np.linalg.norm(right - centre))
