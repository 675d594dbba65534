"""A model as one graph: an input for each input group, an output for each task.

Shapes: B images of a group (each group has its own number), S side of the group's images in pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from faceptor.models.base import FaceModel
from faceptor.models.facexformer_heads import Rotation

SQUARINGS = 24  # the gap between the two largest eigenvalues counts 2^24 times


class Graph(nn.Module):
    """Takes a model over: its tasks change, so hand in a copy.

    tasks: those that are answered; others are left out of the model where that changes no answer.

    groups: input group -> its tasks, in the order of the inputs; outputs: tasks in the order of the outputs.
    """

    def __init__(self, model: FaceModel, tasks: Sequence[str]):
        super().__init__()
        if model.isolated:
            for task in [each for each in model.tasks if each not in tasks]:
                model.remove_task(task)
        for module in model.modules():
            if isinstance(module, Rotation):
                module.__class__ = RotationBySquaring
        self.model = model
        members = {group: [task for task in tasks if model.group[task] == group] for group in model.inputs}
        self.groups = {group: its for group, its in members.items() if its}
        self.outputs = [task for its in self.groups.values() for task in its]

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """images: one tensor for each group, float RGB in [0, 1], (B, 3, S, S); the normalisation is inside."""
        raw: dict[str, Tensor] = {}
        for (group, tasks), its in zip(self.groups.items(), images, strict=True):
            rows = dict.fromkeys(tasks, slice(0, its.shape[0]))
            raw |= self.model.forward_rows(self.model.inputs[group](its), rows)
        return tuple(raw[task] for task in self.outputs)

    def examples(self, count: int) -> tuple[Tensor, ...]:
        """`count` pictures of noise for every input, always the same."""
        generator = torch.Generator().manual_seed(count)
        sides = [self.model.inputs[group].size for group in self.groups]
        return tuple(torch.rand(count, 3, side, side, generator=generator) for side in sides)


class RotationBySquaring(Rotation):
    """The nearest rotation without a singular value decomposition, which no ONNX operator has."""

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        entries = self.mlp(tokens).unflatten(1, (3, 3)).squeeze(-1)
        return nearest_rotation(entries + torch.eye(3, device=entries.device))


def nearest_rotation(matrix: Tensor) -> Tensor:
    """(B, 3, 3) -> the rotations that maximise trace(R^T M), (B, 3, 3).

    As a quaternion q the trace is q^T K q (Davenport's matrix): q is the eigenvector of the largest eigenvalue. K,
    shifted to be positive and squared again and again, becomes q q^T, in whose entries R is linear.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in matrix.unbind(1))
    rows = (
        (a + e + i, h - f, c - g, d - b),
        (h - f, a - e - i, b + d, c + g),
        (c - g, b + d, e - a - i, f + h),
        (d - b, c + g, f + h, i - a - e),
    )
    k = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (B, 4, 4)
    # No eigenvalue is below minus three times the root of the sum of squares of M.
    shift = 3 * matrix.square().sum(dim=(1, 2)).sqrt()
    k = k + shift[:, None, None] * torch.eye(4, device=k.device)
    for _ in range(SQUARINGS):
        k = _of_trace_one(k)
        k = k @ k
    k = _of_trace_one(k)
    ww, xx, yy, zz = (k[:, each, each] for each in range(4))
    wx, wy, wz, xy, xz, yz = (2 * k[:, one, other] for one, other in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))
    rows = (
        (ww + xx - yy - zz, xy - wz, xz + wy),
        (xy + wz, ww - xx + yy - zz, yz - wx),
        (xz - wy, yz + wx, ww - xx - yy + zz),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _of_trace_one(k: Tensor) -> Tensor:
    trace = sum(k[:, each, each] for each in range(4))
    return k / trace[:, None, None]
