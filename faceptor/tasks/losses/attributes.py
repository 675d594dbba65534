"""Loss of binary attributes, where some are not known; `column` names the target."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class AttributesLoss(nn.Module):
    """Binary cross entropy, SUMMED over known attributes and averaged over samples, as released for Faceptor.

    mean: averaged over the known attributes of a sample instead, as FaceXFormer has it.
    """

    def __init__(self, *, column: str, mean: bool = False):
        super().__init__()
        self.column, self.mean = column, mean

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        label = target[self.column].float()
        terms = F.binary_cross_entropy_with_logits(raw.float(), label.clamp(min=0), reduction="none")
        known = label >= 0
        if not self.mean:
            return {"loss": (terms * known).sum() / len(raw)}
        return {"loss": ((terms * known).sum(1) / known.sum(1).clamp(min=1)).mean()}
