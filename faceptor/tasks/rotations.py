"""Head rotations: Euler angles in the convention of 300W-LP, and rotation matrices.

The frame is the camera's: x to the image's right, y up, z towards the viewer. With pitch, yaw and roll as labelled by
300W-LP, AFLW2000 and (after transposing its matrices) BIWI, R = Rz(roll) Ry(yaw) Rx(pitch), each factor the usual
right-handed rotation; *rows* of R are the head's axes in that frame (its own x, its up, and where the nose points), for
the sets' own model matrix is R transposed. Hence yaw > 0 turns the nose to the image's left, pitch > 0 lifts it, and
roll > 0 tilts the head clockwise as seen. Reading such a matrix back gives yaw in [-90, 90] degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faceptor.transforms.geometry import rotation

MIRROR = np.diag([-1.0, 1.0, 1.0])  # what a horizontally mirrored picture does to the frame, and to the head's x


def matrix_of_degrees(angles: np.ndarray) -> np.ndarray:
    """(..., 3) pitch, yaw, roll in degrees -> (..., 3, 3) float64."""
    import torch

    from faceptor.tasks.losses.rotations import matrix_of

    return matrix_of(torch.as_tensor(np.deg2rad(np.asarray(angles, np.float64)))).numpy()


def degrees_of_matrix(matrix: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation matrices -> (..., 3) pitch, yaw, roll in degrees, yaw within +-90.

    At yaw = +-90 only pitch -+ roll is defined; roll is then 0.
    """
    matrix = np.asarray(matrix, np.float64)
    level = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    yaw = np.arctan2(-matrix[..., 2, 0], level)
    free = level > 1e-9
    pitch = np.where(
        free,
        np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]),
        np.arctan2(-matrix[..., 1, 2], matrix[..., 1, 1]),
    )
    roll = np.where(free, np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]), 0.0)
    return np.rad2deg(np.stack([pitch, yaw, roll], axis=-1))


def other_angles(angles: np.ndarray) -> np.ndarray:
    """(..., 3) degrees -> the one other triple that means the same rotation."""
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    return wrapped(np.stack([pitch + 180, 180 - yaw, roll + 180], axis=-1))


def wrapped(degrees: Any) -> np.ndarray:
    """Degrees brought to [-180, 180)."""
    return (np.asarray(degrees, np.float64) + 180) % 360 - 180


def about_view_axis(radians: float) -> np.ndarray:
    """(3, 3): what turning the picture by that angle, from x towards y (clockwise as seen), multiplies R with."""
    matrix = np.eye(3)
    matrix[:2, :2] = rotation(radians)
    return matrix
