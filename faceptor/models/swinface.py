"""The attribute head of Naive Faceptor, after SwinFace: several encoder layers, a channel gate, two hidden layers.

Shapes: B images, C encoder width, D hidden width (all layers' channels together), h w patch grid, N labels of a task.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from faceptor.models.outputs import BATCH_NORM_EPS


class ChannelGate(nn.Module):
    """Features (B, D, h, w) times a weight per channel, from their mean and their maximum over the grid."""

    def __init__(self, *, dim: int, reduction: int):
        super().__init__()
        hidden = max(dim // reduction, 1)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, features: Tensor) -> Tensor:
        weights = self.mlp(features.mean(dim=(2, 3))) + self.mlp(features.amax(dim=(2, 3)))
        return features * weights.sigmoid()[:, :, None, None]


class AttributeHead(nn.Module):
    """One kind of task with values: a trunk shared by its tasks, and one linear layer per task (`outputs`).

    layers: the encoder layers it sees, 1-based. The norm runs over whatever images it is given; where several processes
    train, `faceptor.training.batch_norm` makes that all processes' images.
    """

    def __init__(self, *, layers: Sequence[int], features: int, width: int, reduction: int, dropout: float):
        super().__init__()
        self.layers = tuple(layers)
        dim = width * len(self.layers)
        self.reduce = nn.ModuleList(nn.Conv2d(features, width, 3, padding=1, bias=False) for _ in self.layers)
        self.gate = ChannelGate(dim=dim, reduction=reduction)
        self.norm = nn.BatchNorm1d(dim, eps=BATCH_NORM_EPS)
        self.hidden = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(dropout)
        )
        self.outputs = nn.ModuleDict()

    def add_output(self, task: str, count: int) -> None:
        self.outputs[task] = nn.Linear(self.norm.num_features, count).to(self.norm.weight)

    def forward(self, features: Sequence[Tensor], tasks: Sequence[str]) -> dict[str, Tensor]:
        """Features of `layers`, each (B, C, h, w) -> logits (B, N) of each task."""
        reduced = [reduce(layer) for reduce, layer in zip(self.reduce, features, strict=True)]
        gated = self.gate(torch.cat(reduced, dim=1)).relu()
        x = self.hidden(self.norm(gated.amax(dim=(2, 3))))
        return {task: self.outputs[task](x) for task in tasks}
