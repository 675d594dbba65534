"""Batch norms whose statistics are those of all processes' samples, as they are of one process with the whole batch.

`torch.nn.SyncBatchNorm` does the same, on GPUs alone; this one runs wherever processes can send each other tensors, so
that what two GPUs compute is what the tests compare.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.tasks.losses.across_processes import processes, summed


class BatchNorm1d(nn.BatchNorm1d):
    """In training, (n, C) of any n, 0 as well, is normalised by mean and variance over all processes."""

    def forward(self, input: Tensor) -> Tensor:
        return normalised(self, input) if self.training else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """The same of (n, C, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        return normalised(self, input) if self.training else super().forward(input)


SHARED = {nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d}


def normalised(norm: Any, x: Tensor) -> Tensor:
    """What a batch norm in training makes of (n, C, ...), its running statistics moved as well."""
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, variance, count = statistics(x.float(), [axis for axis in range(x.ndim) if axis != 1])
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.detach(), norm.momentum)
        norm.running_var.lerp_(variance.detach() * (count / (count - 1)), norm.momentum)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return ((x.float() - mean.view(shape)) * scale.view(shape) + norm.bias.view(shape)).to(x.dtype)


def statistics(x: Tensor, over: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased variance (C,) and number of values a channel (), over all processes.

    Each process sums squares around its own mean; what brings these to the common mean is added in float64, where the
    difference of two large squares keeps its digits.
    """
    count = x.new_tensor(x.numel() // x.shape[1], dtype=torch.float64)
    mean = x.sum(over) / count.clamp(min=1).float()
    squares = (x - mean.view([1, -1] + [1] * (x.ndim - 2))).square().sum(over)
    own = torch.stack([count.expand(len(mean)), count * mean.double(), squares.double() + count * mean.double() ** 2])
    count, total, squares = summed(own)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp(min=0).float(), count[0].detach()


@contextmanager
def shared_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, the batch norms of a model are shared over the processes, if there are several."""
    norms = [module for module in model.modules() if type(module) in SHARED] if processes() > 1 else []
    with ExitStack() as back:
        for norm in norms:
            back.callback(setattr, norm, "__class__", type(norm))
            norm.__class__ = SHARED[type(norm)]
        yield
