"""Margin losses of recognition: softmax over cosines with class centres, the true class held back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.tasks.losses.across_processes import gathered, local, sharded_cross_entropy
from faceptor.tasks.losses.class_centres import Rows, part_of, uniform_rows


class MarginLoss(nn.Module):
    """Cross entropy of scale * cosine, the cosine of the true class first made smaller by `lowered`; `classifier`
    (classes, 512) holds the class centres.

    sample_rate: share of the classes that a step compares with, drawn anew each time beside those of the batch
    (PartialFC, An et al. 2022); 1 is all of them. A centre that is not drawn has a gradient of 0 in that step.
    """

    def __init__(self, *, classes: int, embedding: int, scale: float, margin: float, sample_rate: float = 1.0):
        super().__init__()
        if not 0 < sample_rate <= 1:
            raise ConfigError(f"criterion.sample_rate: expected a share above 0, up to 1, found {sample_rate:g}")
        self.scale, self.margin, self.sample_rate = scale, margin, sample_rate
        self.classes, self.first = classes, 0  # in all; the first one here
        self.classifier = nn.Parameter(torch.empty(classes, embedding))
        self.reset_parameters()

    @property
    def across_processes(self) -> bool:
        """Whether other processes have some of the centres, and are asked for what is not here."""
        return len(self.classifier) < self.classes

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(512), as released. The loss ignores lengths, but AdamW's steps do not: short rows turn
        faster."""
        bound = self.classifier.shape[1] ** -0.5
        nn.init.uniform_(self.classifier, -bound, bound)

    def deal(self, rank: int, world: int) -> None:
        """Keep the centres of this process's classes, the rank-th part, as all of them would have been drawn. Built on
        the device `meta`, the module never holds the others."""
        width = self.classifier.shape[1]
        part = part_of(self.classes, rank, world)
        self.classifier = nn.Parameter(uniform_rows(self.classes, width, part, bound=width**-0.5))
        self.classifier.rows = Rows(part.start, self.classes)  # pyright: ignore[reportAttributeAccessIssue]
        self.first = part.start

    def cosines(self, embedding: Tensor, drawn: Tensor | None = None) -> Tensor:
        """(B, 512) -> (B, C) cosines with the centres that are here, or with those of the rows `drawn`."""
        with torch.autocast(embedding.device.type, enabled=False):  # times 64, bfloat16 would drown the margin
            centres = self.classifier if drawn is None else self.classifier[drawn]
            return F.normalize(embedding.float(), eps=1e-8) @ F.normalize(centres.float(), eps=1e-8).T

    def drawn(self, label: Tensor) -> Tensor | None:
        """Rows of the centres of this step, in order: those of the labels, others at random; None is all of them."""
        rows = len(self.classifier)
        count = max(int(self.sample_rate * rows), min(len(label), rows))
        if count == rows or not self.training:
            return None
        at, here = local(label, rows)
        chance = torch.rand(rows, device=label.device)
        chance = chance.scatter_reduce(0, at[:, 0], 2.0 * here, "amax")  # the largest, so that they are taken
        return chance.topk(count).indices.sort().values

    def lowered(self, cosine: Tensor) -> Tensor:
        """(B, 1) cosines of the true classes -> the same with the margin."""
        raise NotImplementedError

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        label = target["identity"].long()
        if self.across_processes:
            raw, label = gathered(raw), gathered(label) - self.first
        drawn = self.drawn(label)
        cosines = self.cosines(raw, drawn)
        if drawn is not None:
            at, here = local(label, len(self.classifier))
            label = torch.searchsorted(drawn, at[:, 0]).where(here, -1)
        at, here = local(label, cosines.shape[1])
        true = cosines.gather(1, at)
        cosines = cosines.scatter(1, at, self.lowered(true).where(here[:, None], true))
        return {"loss": sharded_cross_entropy(self.scale * cosines, label)}


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
