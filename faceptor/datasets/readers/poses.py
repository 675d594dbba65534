"""What the head-pose sets share: their angles, the limit that all evaluations use, and the crop about a head.

Angles are pitch, yaw and roll in degrees with the signs of 300W-LP: yaw > 0 turns the nose to the image's left,
pitch > 0 lifts it, roll > 0 tilts the head clockwise as seen.
"""

from pathlib import Path

import numpy as np

from faceptor.datasets.formats.matlab import load_mat, matrix
from faceptor.datasets.labels import MAX_JUDGED_ANGLE
from faceptor.datasets.reader import BadSample, LeftOut
from faceptor.datasets.values import square
from faceptor.errors import DataError

HEAD_MARGIN = 0.3  # the k of `head_box`: middle of the range that is drawn from in training
ROTATION_TOLERANCE = 0.02  # entries of R R^T - 1 up to which three rows of text are a rotation


def label_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Numbers in the small .mat file that labels one image; BadSample when it is missing or damaged."""
    if not path.is_file():
        raise BadSample(f"label file {path.name} is missing")
    try:
        return {name: matrix(path, name, value) for name, value in load_mat(path, names).items()}
    except DataError as error:
        raise BadSample(str(error).replace(str(path), path.name)) from error


def radians(parameters: np.ndarray, *, limited: bool) -> np.ndarray:
    """`Pose_Para` (pitch, yaw, roll in radians, then translation and scale) -> (3,) float32 degrees.

    limited: LeftOut where one of them lies beyond `MAX_JUDGED_ANGLE`.
    """
    values = np.asarray(parameters, np.float64).ravel()
    if values.size < 3 or not np.isfinite(values[:3]).all():
        raise BadSample("Pose_Para: expected pitch, yaw, roll and more as finite numbers")
    pose = np.rad2deg(values[:3]).astype(np.float32)
    if limited and (np.abs(pose) > MAX_JUDGED_ANGLE).any():
        raise LeftOut(f"an angle lies beyond {MAX_JUDGED_ANGLE:.0f} degrees")
    return pose


def euler(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of a head in camera axes (x right, y down, z away from it) -> (3,) float32 degrees."""
    off = np.inf if matrix.shape != (3, 3) else np.abs(matrix @ matrix.T - np.eye(3)).max()
    if off > ROTATION_TOLERANCE or np.linalg.det(matrix) < 0:
        raise BadSample("the matrix is not a rotation")
    r = matrix.T
    pitch = np.arctan2(r[2, 1], r[2, 2])
    yaw = -np.arctan2(-r[2, 0], np.hypot(r[2, 1], r[2, 2]))
    roll = -np.arctan2(r[1, 0], r[0, 0])
    return np.rad2deg([pitch, yaw, roll]).astype(np.float32)


def head_box(xy: np.ndarray) -> np.ndarray:
    """Square (4,) float32 about a head from the landmarks of its face.

    Their bounds grow by 0.6 k of the width to both sides, 2 k of the height above (forehead and hair) and 0.6 k below,
    as in the training of Hopenet; the longer side then makes the square, since stretching a face would turn it.
    """
    low, high = xy.min(axis=0), xy.max(axis=0)
    width, height = high - low
    low = low - HEAD_MARGIN * np.array([0.6 * width, 2 * height])
    high = high + HEAD_MARGIN * np.array([0.6 * width, 0.6 * height])
    return square(low, high)
