"""The dense head of Naive Faceptor: UPerNet on a pyramid made of four layers of a plain ViT.

Shapes: B images, C encoder width, D head width, h w patch grid, N maps of a task. Resizing is bilinear with half-pixel
centres everywhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNormReLU(nn.Sequential):
    """Its weights start as MMSegmentation's, from which the paper's code takes its UPerNet: He normal over outputs."""

    def __init__(self, *, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")


class CellMaximum(nn.Module):
    """Maximum over whole factor x factor cells; a grid smaller than one cell gives one value."""

    def __init__(self, *, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        window = [min(self.factor, side) for side in x.shape[-2:]]
        return F.max_pool2d(x, kernel_size=window)


def rescale(*, features: int, up: int, down: int) -> nn.Module:
    """Features (B, C, h, w) at `up / down` times the grid: 2x2 transposed convolutions with a norm and a GELU in
    between, or a maximum."""
    if down > 1:
        return CellMaximum(factor=down)
    parts = nn.Sequential()
    for step in range(up.bit_length() - 1):
        if step:
            parts.add_module(f"norm{step}", nn.BatchNorm2d(features))
            parts.add_module(f"gelu{step}", nn.GELU())
        parts.add_module(f"up{step}", nn.ConvTranspose2d(features, features, kernel_size=2, stride=2))
    return parts


class PyramidPooling(nn.Module):
    """The coarsest level beside its means over 1, 2, 3 and 6 cells a side: (B, C, h, w) -> (B, D, h, w)."""

    def __init__(self, *, features: int, width: int, pools: Sequence[int]):
        super().__init__()
        self.pools = tuple(pools)
        self.branches = nn.ModuleList(ConvNormReLU(inputs=features, outputs=width, kernel=1) for _ in self.pools)
        self.fuse = ConvNormReLU(inputs=features + len(self.pools) * width, outputs=width, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [
            resize(branch(F.adaptive_avg_pool2d(x, cells)), like=x)
            for cells, branch in zip(self.pools, self.branches, strict=True)
        ]
        return self.fuse(torch.cat([x, *pooled], dim=1))


class DenseHead(nn.Module):
    """One kind of task with maps: a UPerNet shared by its tasks, and one 1x1 convolution per task (`outputs`).

    layers: the encoder layers it sees, 1-based; they become the levels H/4, H/8, H/16, H/32 in this order, whatever
    the patch. The norms run over whatever images they are given; where several processes train,
    `faceptor.training.batch_norm` makes that all processes' images, as the paper's code does.
    """

    def __init__(
        self, *, layers: Sequence[int], features: int, width: int, finest: int, pools: Sequence[int], dropout: float
    ):
        super().__init__()
        self.layers = tuple(layers)
        steps = [2**level for level in range(len(self.layers))]
        self.levels = nn.ModuleList(
            rescale(features=features, up=max(finest // step, 1), down=max(step // finest, 1)) for step in steps
        )
        self.pyramid = PyramidPooling(features=features, width=width, pools=pools)
        self.lateral = nn.ModuleList(ConvNormReLU(inputs=features, outputs=width, kernel=1) for _ in steps[:-1])
        self.smooth = nn.ModuleList(ConvNormReLU(inputs=width, outputs=width, kernel=3) for _ in steps[:-1])
        self.fuse = ConvNormReLU(inputs=len(steps) * width, outputs=width, kernel=3)
        self.dropout = nn.Dropout2d(dropout)  # whole channels
        self.outputs = nn.ModuleDict()

    def add_output(self, task: str, count: int) -> None:
        norm = self.fuse.norm
        self.outputs[task] = nn.Conv2d(norm.num_features, count, kernel_size=1).to(norm.weight)

    def forward(self, features: Sequence[Tensor], tasks: Sequence[str]) -> dict[str, Tensor]:
        """Features of `layers`, each (B, C, h, w) -> map logits (B, N, H/4, W/4) of each task."""
        *fine, coarse = (level(layer) for level, layer in zip(self.levels, features, strict=True))
        tops = [self.pyramid(coarse)]  # coarse to fine
        for lateral, level in zip(reversed(self.lateral), reversed(fine), strict=True):
            side = lateral(level)
            tops.append(side + resize(tops[-1], like=side))
        smoothed = [smooth(top) for smooth, top in zip(self.smooth, reversed(tops[1:]), strict=True)]
        smoothed.append(tops[0])
        x = self.fuse(torch.cat([resize(level, like=smoothed[0]) for level in smoothed], dim=1))
        x = self.dropout(x)
        return {task: self.outputs[task](x) for task in tasks}


def resize(x: Tensor, *, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
