"""Multi-head attention as its four linear maps, which callers may also use apart.

Shapes: B images, N queries, M keys, C width, H heads, D head width.
"""

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Queries, keys and values are different tensors, each (B, tokens, dim); inner: the width of all heads together."""

    def __init__(self, *, dim: int, heads: int, inner: int | None = None):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(dim, inner or dim) for _ in range(3))
        self.output = nn.Linear(inner or dim, dim)

    def split(self, x: Tensor) -> Tensor:
        return rearrange(x, "b n (h d) -> b h n d", h=self.heads)

    def merge(self, x: Tensor) -> Tensor:
        return rearrange(x, "b h n d -> b n (h d)")

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """queries (B, N, C), keys and values (B, M, C) -> (B, N, C)."""
        q, k, v = (self.split(part) for part in (self.query(queries), self.key(keys), self.value(values)))
        return self.output(self.merge(F.scaled_dot_product_attention(q, k, v)))
