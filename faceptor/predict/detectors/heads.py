"""From a detector's box and five points to a face box: brows to chin, ear to ear (`faceptor.transforms.framing`).

The detectors here learned the boxes of WIDER FACE, which reach from the hairline to the chin and are higher than wide.
Their height is the steadiest measure of a face: a head that turns away becomes narrower, not lower. The distance from
eyes to mouth steadies it further. The three numbers below were fitted once for CenterFace, on 291 generated faces with
exact landmarks in the layouts of 300W and 300W-LP, seen upright as `faceptor.predict.detectors.centerface` looks at
faces for the second time, and checked on two photographs that come with Python packages (scikit-image's astronaut,
Matplotlib's Grace Hopper), their brows, chins and ears pointed out by eye. `docs/detector.md` has the numbers.
"""

from __future__ import annotations

import numpy as np

from faceptor.predict.detectors.base import Detection, Sight
from faceptor.transforms.geometry import rotation

SIDE = 1.35  # of the face box, in the geometric mean of the box's height and the distance from eyes to mouth
LOWER = 0.12  # of the box's height: how far the face box's centre lies below the box's
EYES_TO_MOUTH = (0.2, 0.7)  # of the box's height: what is believed


def roll_of(points: np.ndarray) -> float:
    """Degrees, clockwise as seen, by which the line between the eyes of (5, 2) points is turned."""
    across = points[1] - points[0]
    return float(np.rad2deg(np.arctan2(across[1], across[0])))


def face_box_of_head(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(4,) face box of an upright face from the detector's box (4,) and points (5, 2)."""
    height = box[3] - box[1]
    mouth = np.clip(np.linalg.norm(points[3:].mean(0) - points[:2].mean(0)), *(np.array(EYES_TO_MOUTH) * height))
    half = SIDE * np.sqrt(height * mouth) / 2
    centre = (box[:2] + box[2:]) / 2 + [0, LOWER * height]
    return np.concatenate([centre - half, centre + half])


def detection_of(box: np.ndarray, points: np.ndarray, score: float) -> Detection:
    """A face from a detector's box (4,) and points (5, 2), seen as they lie: the box of a head that leans is larger."""
    roll, centre = roll_of(points), (box[:2] + box[2:]) / 2
    upright = (points - centre) @ rotation(np.deg2rad(-roll)).T + centre
    return placed(face_box_of_head(box, upright), centre, score=score, roll=roll, points=points)


def placed(face: np.ndarray, about: np.ndarray, *, score: float, roll: float, points: np.ndarray) -> Detection:
    """A face box (4,) of an upright face as that of one which is turned by `roll` degrees about a point (2,)."""
    centre = rotation(np.deg2rad(roll)) @ ((face[:2] + face[2:]) / 2 - about) + about
    half = (face[2] - face[0]) / 2
    return Detection(np.concatenate([centre - half, centre + half]), round(score, 4), round(roll, 2), points)


def detections_of(seen: Sight) -> list[Detection]:
    """Faces of boxes and points as they lie, largest first."""
    return largest_first(
        [detection_of(*each) for each in zip(seen.boxes, seen.points, seen.scores.tolist(), strict=True)]
    )


def largest_first(found: list[Detection]) -> list[Detection]:
    """By the side of the face box."""
    return sorted(found, key=lambda one: one.box[2] - one.box[0], reverse=True)
