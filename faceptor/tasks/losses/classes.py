"""Loss of classes, with an order among them or without; `column` names the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassLoss(nn.Module):
    """Mean cross entropy over samples.

    Of classes with an order, numbered from 0, it may be ce * cross entropy + l1 * |expected class - class|: FaceXFormer
    (section 3.4) trains age with the mean of the two.
    """

    def __init__(self, *, column: str, ce: float = 1.0, l1: float | None = None):
        super().__init__()
        self.column, self.ce, self.l1 = column, ce, l1

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        raw, label = raw.float(), target[self.column].long()
        ce = F.cross_entropy(raw, label)
        if self.l1 is None:
            return {"loss": ce}
        classes = torch.arange(raw.shape[1], device=raw.device, dtype=raw.dtype)
        expected = (raw.softmax(1) * classes).sum(1)
        l1 = (expected - label).abs().mean()
        return {"loss": self.ce * ce + self.l1 * l1, "ce": ce, "l1": l1}
