"""Rotations of heads as tensors (convention: `faceptor.tasks.rotations`), the angle between two, the loss of pose."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def matrix_of(angles: Tensor) -> Tensor:
    """(..., 3) pitch, yaw, roll in radians -> (..., 3, 3) rotation matrices."""
    (cp, cy, cr), (sp, sy, sr) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = (
        (cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp),
        (sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp),
        (-sy, cy * sp, cy * cp),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


class _NearestRotation(torch.autograd.Function):
    """Orthogonal Procrustes. The derivative of torch's SVD is infinite where two singular values are equal, which they
    are at every rotation matrix; that of the projection is not, so it is written out here."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        u, s, vh = torch.linalg.svd(matrix)
        sign = torch.ones_like(s)
        sign[..., 2] = torch.linalg.det(u @ vh).sign()  # at the least singular value: else it might be a reflection
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


def rotations(raw: Tensor) -> Tensor:
    """(B, 3) radians or (B, 3, 3) numbers -> (B, 3, 3) float32 rotations."""
    return matrix_of(raw.float()) if raw.ndim == 2 else nearest_rotation(raw.float())


class GeodesicLoss(nn.Module):
    """Mean angle in radians between predicted and true rotation."""

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        truth = target["rotation"].float()
        with torch.autocast(raw.device.type, enabled=False):  # products of matrices in bfloat16 lose a degree
            return {"loss": geodesic(rotations(raw), truth).mean()}
