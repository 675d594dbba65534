"""Batch norms whose statistics are those of all processes' samples, as they are of one process with the whole batch.

`torch.nn.SyncBatchNorm` does the same, on GPUs alone; this one runs wherever processes can send each other tensors, so
that what two GPUs compute is what the tests compare.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from faceptor.tasks.losses.across_processes import processes, summed


class _Shared:
    """In training, (n, C, ...) of any n, 0 as well, is normalised by the mean and variance over all processes."""

    def forward(self: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:  # pyright: ignore
        if not self.training:
            return super().forward(x)  # pyright: ignore
        over = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, variance, count = statistics(x.float(), over)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * (count / (count - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((x.float() - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


class BatchNorm1d(_Shared, nn.BatchNorm1d):
    pass


class BatchNorm2d(_Shared, nn.BatchNorm2d):
    pass


SHARED = {nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d}


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
    for norm in norms:
        norm.__class__ = SHARED[type(norm)]
    try:
        yield
    finally:
        back = {shared: plain for plain, shared in SHARED.items()}
        for norm in norms:
            norm.__class__ = back[type(norm)]
