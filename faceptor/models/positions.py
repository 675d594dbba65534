"""Where a token lies on the grid: Faceptor's P of the keys, in both readings of the method, and FaceXFormer's.

Shapes: all modules map a grid of h x w cells to (h * w, C), row-major; C decoder width.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class SinePosition(nn.Module):
    """Faceptor, released code: sines of the cell centres through a learned two-layer MLP; any grid, no table."""

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
        """Centres of n cells -> (n, C / 2): even channels sine, odd channels cosine."""
        centres = cell_centres(n, dtype=self.frequency.dtype, device=self.frequency.device)
        phase = 2 * math.pi * centres[:, None] * self.frequency
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], dim=-1).flatten(1)


class TablePosition(nn.Module):
    """Faceptor, paper: a freely learned map (C, grid, grid), resized bicubically to the actual grid."""

    def __init__(self, *, dim: int, grid: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(dim, grid, grid) * 0.02)

    def forward(self, h: int, w: int) -> Tensor:
        table = self.table[None]
        if table.shape[-2:] != (h, w):
            table = F.interpolate(table, size=(h, w), mode="bicubic", align_corners=False)
        return rearrange(table, "1 c h w -> (h w) c")


class FourierPosition(nn.Module):
    """FaceXFormer: random Fourier features of the cell centres in [-1, 1]; the matrix is drawn once and is a buffer."""

    matrix: Tensor  # (2, C / 2)

    def __init__(self, *, dim: int):
        super().__init__()
        self.register_buffer("matrix", torch.randn(2, dim // 2))

    def forward(self, h: int, w: int) -> Tensor:
        """(h * w, C), row-major: sines, then cosines."""
        y, x = (cell_centres(n, dtype=torch.float32, device=self.matrix.device) for n in (h, w))
        centres = torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1).flatten(0, 1)
        phase = 2 * math.pi * ((2 * centres - 1) @ self.matrix.float())
        return torch.cat([phase.sin(), phase.cos()], dim=-1).to(self.matrix)


def cell_centres(n: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(i + 0.5) / n of n cells, (n,)."""
    return (torch.arange(n, device=device, dtype=dtype) + 0.5) / n
