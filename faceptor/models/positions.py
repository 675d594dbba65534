"""The position embedding P of the keys of memory tokens, in both readings of the method.

Shapes: both modules map a grid of h x w cells to (h * w, C), row-major; C decoder width.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class SinePosition(nn.Module):
    """Released code: sines of the cell centres through a learned two-layer MLP; any grid, no table."""

    frequency: Tensor  # (C / 2,)

    def __init__(self, *, dim: int):
        super().__init__()
        half = dim // 2
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        frequency = 10000.0 ** (-2 * torch.arange(half).div(2, rounding_mode="floor") / half)
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, h: int, w: int) -> Tensor:
        y, x = (self.sines(n) for n in (h, w))
        grid = torch.cat([y[:, None].expand(h, w, -1), x[None, :].expand(h, w, -1)], dim=-1)
        return self.mlp(grid.flatten(0, 1))

    def sines(self, n: int) -> Tensor:
        """Centres (i + 0.5) / n of n cells -> (n, C / 2): even channels sine, odd channels cosine."""
        centres = (torch.arange(n, device=self.frequency.device, dtype=self.frequency.dtype) + 0.5) / n
        phase = 2 * math.pi * centres[:, None] * self.frequency
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=-1).flatten(1)


class TablePosition(nn.Module):
    """Paper: a freely learned map (C, grid, grid), resized bicubically to the actual grid."""

    def __init__(self, *, dim: int, grid: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(dim, grid, grid) * 0.02)

    def forward(self, h: int, w: int) -> Tensor:
        table = self.table[None]
        if table.shape[-2:] != (h, w):
            table = F.interpolate(table, size=(h, w), mode="bicubic", align_corners=False)
        return rearrange(table, "1 c h w -> (h w) c")
