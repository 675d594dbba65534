"""Head rotations: Euler angles in the convention of 300W-LP, rotation matrices, and the angle between two of them.

The frame is the camera's: x to the image's right, y up, z towards the viewer. With pitch, yaw and roll as labelled by
300W-LP, AFLW2000 and (after transposing its matrices) BIWI, R = Rz(roll) Ry(yaw) Rx(pitch), each factor the usual
right-handed rotation; *rows* of R are the head's axes in that frame (its own x, its up, and where the nose points), for
the sets' own model matrix is R transposed. Hence yaw > 0 turns the nose to the image's left, pitch > 0 lifts it, and
roll > 0 tilts the head clockwise as seen. Reading such a matrix back gives yaw in [-90, 90] degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceptor.transforms.geometry import rotation

MIRROR = np.diag([-1.0, 1.0, 1.0])  # what a horizontally mirrored picture does to the frame, and to the head's x


def matrix_of(angles: Tensor) -> Tensor:
    """(..., 3) pitch, yaw, roll in radians -> (..., 3, 3) rotation matrices."""
    (cp, cy, cr), (sp, sy, sr) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = (
        (cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp),
        (sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp),
        (-sy, cy * sp, cy * cp),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def matrix_of_degrees(angles: np.ndarray) -> np.ndarray:
    """(..., 3) pitch, yaw, roll in degrees -> (..., 3, 3) float64."""
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


class _NearestRotation(torch.autograd.Function):
    """Orthogonal Procrustes. The derivative of torch's SVD is infinite where two singular values are equal, which they
    are at every rotation matrix; that of the projection is not, so it is written out here."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        u, s, vh = torch.linalg.svd(matrix)
        sign = torch.ones_like(s)
        sign[..., 2] = torch.linalg.det(u @ vh).sign()  # the least singular value pays for a proper rotation
        s, vh = s * sign, sign[..., None] * vh
        ctx.save_for_backward(u, s, vh)
        return u @ vh

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        u, s, vh = ctx.saved_tensors
        inner = u.mT @ gradient @ vh.mT
        sums = (s[..., :, None] + s[..., None, :]).clamp(min=1e-4)  # 0 where the nearest rotation is not unique
        return u @ ((inner - inner.mT) / sums) @ vh


def nearest_rotation(matrix: Tensor) -> Tensor:
    """(..., 3, 3) any matrices -> the nearest rotations in the Frobenius norm, with a bounded gradient."""
    return _NearestRotation.apply(matrix)


def geodesic(a: Tensor, b: Tensor) -> Tensor:
    """(..., 3, 3) rotations -> (...) angle in radians of the turn that leads from one to the other, in [0, pi].

    arccos((trace(a b^T) - 1) / 2) has an infinite slope at 0 and pi. The same angle is the arctangent of its sine,
    half the length of the antisymmetric part, and that cosine; its gradient stays at most 1 in length, and is 0 at the
    two ends, where the direction is undefined.
    """
    turn = a @ b.mT
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    skew = turn - turn.mT
    axis = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1)
    return torch.atan2(torch.linalg.vector_norm(axis, dim=-1) / 2, cosine)
