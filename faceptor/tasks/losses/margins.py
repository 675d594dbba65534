"""Margin losses of recognition: softmax over cosines with class centres, the true class held back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.base import check_target


class MarginLoss(nn.Module):
    """Cross entropy of scale * cosine, the cosine of the true class first made smaller by `lowered`; `classifier`
    (classes, 512) holds the class centres."""

    def __init__(self, *, classes: int, embedding: int, scale: float, margin: float):
        super().__init__()
        self.scale, self.margin = scale, margin
        self.classifier = nn.Parameter(torch.empty(classes, embedding))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(512), as released. The loss ignores lengths, but AdamW's steps do not: short rows turn
        faster."""
        bound = self.classifier.shape[1] ** -0.5
        nn.init.uniform_(self.classifier, -bound, bound)

    def cosines(self, embedding: Tensor) -> Tensor:
        """(B, 512) -> (B, classes) cosines with the class centres."""
        with torch.autocast(embedding.device.type, enabled=False):  # times 64, bfloat16 would drown the margin
            return F.normalize(embedding.float(), eps=1e-8) @ F.normalize(self.classifier.float(), eps=1e-8).T

    def lowered(self, cosine: Tensor) -> Tensor:
        """(B, 1) cosines of the true classes -> the same with the margin."""
        raise NotImplementedError

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        label = target["identity"].long()
        check_target("identity", label, 0, len(self.classifier) - 1)
        cosines = self.cosines(raw)
        true = label[:, None]
        cosines = cosines.scatter(1, true, self.lowered(cosines.gather(1, true)))
        return {"loss": F.cross_entropy(self.scale * cosines, label)}


class CosFace(MarginLoss):
    """The true class has cosine - margin."""

    def lowered(self, cosine: Tensor) -> Tensor:
        return cosine - self.margin


class ArcFace(MarginLoss):
    """The true class has cos(angle + margin), the margin in radians (Deng et al. 2019).

    Beyond angle = pi - margin the cosine would rise again; from there on cosine - margin * sin(margin) continues it
    downwards. The sine is kept off 0, where its slope is infinite.
    """

    def lowered(self, cosine: Tensor) -> Tensor:
        sine = (1 - cosine.square()).clamp(min=1e-6).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        return torch.where(cosine > -math.cos(self.margin), turned, cosine - self.margin * math.sin(self.margin))
