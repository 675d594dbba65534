"""Losses of class maps: cross entropy of pixels, dice of classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.base import check_target


def raised(raw: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) logits of any size -> float logits raised bilinearly (half-pixel) to that of the (B, H, W) int64
    label map, and that map, checked."""
    mask = target["mask"].long()
    check_target("mask", mask, 0, raw.shape[1] - 1)
    logits = raw.float()
    if logits.shape[-2:] != mask.shape[-2:]:
        logits = F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    return logits, mask


class ParsingLoss(nn.Module):
    """Mean pixel cross entropy, the logits raised bilinearly (half-pixel) to the size of the label map."""

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(*raised(raw, target))}


def generalised_dice(p: Tensor, mask: Tensor) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> (B,) generalised dice loss of each image, in [0, 1].

    1 - 2 sum_c w_c sum_n t p / sum_c w_c sum_n (t + p), with w_c = 1 / (sum_n t)^2 (Sudre et al. 2017). A class that
    the image does not have takes the largest weight of those it has, so that painting it costs something.
    """
    true, nothing = mask.flatten(1), p.new_zeros(p.shape[:2])
    area = nothing.scatter_add(1, true, torch.ones_like(true, dtype=p.dtype))
    overlap = nothing.scatter_add(1, true, p.gather(1, mask[:, None]).flatten(1))
    weight = torch.where(area > 0, area.clamp(min=1) ** -2, 0)
    weight = torch.where(area > 0, weight, weight.amax(1, keepdim=True))
    return 1 - 2 * (weight * overlap).sum(1) / (weight * (area + p.sum((-2, -1)))).sum(1)


def batch_dice(p: Tensor, mask: Tensor) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> 1 - mean soft F1 of the classes that the batch has.

    F1_c = 2 sum t p / sum (t + p) over all pixels of all images, as the metric counts it: an earring weighs as much as
    the hair, and an image without earrings costs only what is painted there (Milletari et al. 2016, per class). No mean
    over images: with several processes each takes the F1 of its own share of the batch.
    """
    t = F.one_hot(mask, p.shape[1]).movedim(-1, 1).to(p.dtype)
    over = (0, 2, 3)
    area = t.sum(over)
    f1 = 2 * (t * p).sum(over) / (area + p.sum(over))
    return 1 - f1[area > 0].mean()


class DiceCrossEntropyLoss(nn.Module):
    """dice * (dice loss) + ce * (pixel cross entropy); `measure` is the dice loss (FaceXFormer section 3.4: their
    mean)."""

    def __init__(self, *, dice: float, ce: float, measure: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.dice, self.ce, self.measure = dice, ce, measure

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        logits, mask = raised(raw, target)
        log_p = logits.log_softmax(1)
        ce = F.nll_loss(log_p, mask)
        dice = self.measure(log_p.exp(), mask).mean()
        return {"loss": self.dice * dice + self.ce * ce, "dice": dice, "ce": ce}
