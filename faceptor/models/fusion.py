"""MLP-Fusion: feature maps of several scales become one face representation F (FaceXFormer, section 3.1).

Shapes: B images, C width, h w grid of the finest level.
"""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Fusion(nn.Module):
    """A linear map per level, bilinear resize (half-pixel) to the finest grid, concatenation, a linear map without
    bias.

    The paper counts 983k parameters here; its formulas and the released code have 754 688 with Swin-B and C = 256.
    """

    def __init__(self, *, channels: Sequence[int], dim: int):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, dim, kernel_size=1) for count in channels)
        self.fuse = nn.Conv2d(len(channels) * dim, dim, kernel_size=1, bias=False)  # inputs: coarsest level first

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, channels[i], h_i, w_i), finest first -> F (B, C, h, w).

        A linear map of channels and a resize commute, and so do a sum and a concatenation before a linear map: every
        level is fused on its own small grid, and the wide concatenated map is never made.
        """
        size = levels[0].shape[-2:]
        parts = self.fuse.weight.chunk(len(levels), dim=1)[::-1]  # finest first
        fused = [
            F.conv2d(project(level), part) for project, level, part in zip(self.project, levels, parts, strict=True)
        ]
        if not levels[0].is_cpu:
            return reduce(torch.add, [raised(x, size) for x in fused[1:]], channels_last(fused[0]))
        return torch.stack([fused[0], *(raised(x, size) for x in fused[1:])]).sum(dim=0)


class LastLevel(nn.Module):
    """Instead of `Fusion`, for the ablation "without MLP-Fusion" (FaceXFormer, Table 7, row 1): a linear map of the
    coarsest level alone, resized to the finest grid, so that all that follows sees a map of the same size.

    The paper does not say what row 1 reads instead; this is our reading.
    """

    def __init__(self, *, channels: Sequence[int], dim: int):
        super().__init__()
        self.fuse = nn.Conv2d(channels[-1], dim, kernel_size=1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """As `Fusion.forward`."""
        return raised(self.fuse(levels[-1]), levels[0].shape[-2:])


def raised(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) resized bilinearly (half-pixel) to a larger grid.

    A GPU gets it with the channels of a pixel side by side, and in its own precision, whatever autocast thinks of
    resizing: its kernel for the other layout takes more than ten times as long.
    """
    if x.is_cpu:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    with torch.autocast(x.device.type, enabled=False):
        return F.interpolate(channels_last(x), size=size, mode="bilinear", align_corners=False)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


FUSIONS = {"all": Fusion, "last": LastLevel}
