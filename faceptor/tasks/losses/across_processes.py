"""Sums and rows of all processes of a training, with their gradients. One process alone gets what it gave.

A loss that is no mean over samples (a ratio of sums, a softmax over classes that lie on several processes) is made of
these, so that every process has the loss of the whole batch. Each process then weighs it with its share of the samples.
The shares add up to 1, and backward passes add up what the processes weighed: the sum of all processes' gradients is
that of one process with the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The place of this process among them, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def summed(x: Tensor) -> Tensor:
    """The sum of this tensor over all processes, which all give one of its shape."""
    return x if processes() == 1 else _Summed.apply(x)


def gathered(x: Tensor) -> Tensor:
    """(n, ...) rows here -> the rows of all processes, in their order; n may differ, and be 0."""
    return x if processes() == 1 else _Gathered.apply(x)


def own_mean(x: Tensor) -> Tensor:
    """Mean of this process's values; 0 where it has none, for then its share is 0, too."""
    return x.mean() if x.numel() else x.sum()


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _total(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _total(gradient)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        counts = row_counts(len(x))
        ctx.first, ctx.count = sum(counts[: rank()]), len(x)
        filled = x.new_zeros(max(counts), *x.shape[1:])  # all processes must send as much
        filled[: len(x)] = x.detach()
        parts = [torch.empty_like(filled) for _ in counts]
        dist.all_gather(parts, filled)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _total(gradient)[ctx.first : ctx.first + ctx.count]


class _ShardedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, label: Tensor) -> Tensor:
        at, here = local(label, logits.shape[1])
        largest = logits.amax(1)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        p = (logits - largest[:, None]).exp_()
        true = logits.gather(1, at)[:, 0].where(here, 0)
        normaliser, true = _total(torch.stack([p.sum(1), true]))
        p /= normaliser[:, None]
        p.scatter_add_(1, at, -here[:, None].to(p))  # softmax minus one-hot: the derivative by the logits
        ctx.save_for_backward(p)
        return (normaliser.log() + largest - true).mean()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (p,) = ctx.saved_tensors
        return p * (_total(gradient) / len(p)), None


def sharded_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross entropy over classes that are dealt over the processes.

    logits: (B, C) of this process's classes for the samples of all processes; label: (B,) int64, counted from this
    process's first class, so that those of other processes lie outside 0 .. C - 1.
    """
    if processes() == 1:
        return torch.nn.functional.cross_entropy(logits, label)
    return _ShardedCrossEntropy.apply(logits, label)


def local(label: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """(B,) labels counted from the first of `classes` classes that are here -> (B, 1) a class that is here, and (B,)
    whether it is the true one."""
    here = (label >= 0) & (label < classes)
    return label.clamp(0, classes - 1)[:, None], here


def row_counts(count: int) -> list[int]:
    """What every process says."""
    said = torch.zeros(processes(), dtype=torch.int64)  # on the CPU: asking a GPU would wait for it
    said[rank()] = count
    dist.all_reduce(said)
    return said.tolist()


def _total(x: Tensor) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
