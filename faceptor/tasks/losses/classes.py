"""Losses of classes, with an order among them or without; `column` names the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.base import check_target


class ClassLoss(nn.Module):
    """Mean cross entropy over samples."""

    def __init__(self, *, column: str):
        super().__init__()
        self.column = column

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        label = target[self.column].long()
        check_target(self.column, label, 0, raw.shape[1] - 1)
        return {"loss": F.cross_entropy(raw.float(), label)}


class OrderedLoss(nn.Module):
    """ce * cross entropy + l1 * |expected group - group|, means over samples; groups are numbered from 0.

    FaceXFormer (section 3.4) trains age with the mean of the two.
    """

    def __init__(self, *, column: str, ce: float, l1: float):
        super().__init__()
        self.column, self.ce, self.l1 = column, ce, l1

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        raw, label = raw.float(), target[self.column].long()
        check_target(self.column, label, 0, raw.shape[1] - 1)
        groups = torch.arange(raw.shape[1], device=raw.device, dtype=raw.dtype)
        expected = (raw.softmax(1) * groups).sum(1)
        ce, l1 = F.cross_entropy(raw, label), (expected - label).abs().mean()
        return {"loss": self.ce * ce + self.l1 * l1, "ce": ce, "l1": l1}
