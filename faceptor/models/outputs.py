"""Output modules, shared by all tasks of a category (paper section 3.2, "Outputs").

Shapes: B images, N queries, C token channels, h w patch grid.
"""

from einops import einsum
from torch import Tensor, nn

BATCH_NORM_EPS = 2e-5  # of heads for identity and values, as in the published code


class MapOutput(nn.Module):
    """Tokens (B, N, C) and pixel embeddings (B, C, H/4, W/4) -> map logits (B, N, H/4, W/4)."""

    def __init__(self, *, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        return einsum(self.mlp(tokens), pixels, "b n c, b c y x -> b n y x")


class ValueOutput(nn.Module):
    """Tokens (B, N, C) -> one logit per query (B, N)."""

    def __init__(self, *, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear(tokens).squeeze(-1)


class IdentityOutput(nn.Module):
    """Top features (B, C, h, w) -> identity embedding (B, embedding): norm, mean over tokens, FC-BN-FC-BN."""

    def __init__(self, *, dim: int, embedding: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, dim, bias=False)
        self.bn1 = nn.BatchNorm1d(dim, eps=BATCH_NORM_EPS)
        self.fc2 = nn.Linear(dim, embedding, bias=False)
        self.bn2 = nn.BatchNorm1d(embedding, eps=BATCH_NORM_EPS)

    def forward(self, features: Tensor) -> Tensor:
        x = self.norm(features.flatten(2).transpose(1, 2)).mean(dim=1)
        return self.bn2(self.fc2(self.bn1(self.fc1(x))))


class Outputs(nn.Module):
    """The three output modules under the names of what they give."""

    def __init__(self, *, dim: int, features: int, embedding: int):
        super().__init__()
        self.map = MapOutput(dim=dim)
        self.value = ValueOutput(dim=dim)
        self.identity = IdentityOutput(dim=features, embedding=embedding)
