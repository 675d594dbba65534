"""Losses of class maps: cross entropy of pixels, dice of classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.tasks.losses.across_processes import own_mean, summed


def raised(raw: Tensor, target: dict[str, Tensor], ignore: int | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    """(B, C, h, w) logits of any size -> float logits raised bilinearly (half-pixel) to that of the (B, H, W) int64
    label map; that map; and where its pixels have a class, (B, H, W) bool, None for everywhere. Pixels of the
    value `ignore` have none; the map is 0 there."""
    mask, known = target["mask"].long(), None
    if ignore is not None:
        known = mask != ignore
        mask = mask.masked_fill(~known, 0)  # a number in place of a tensor: `where` would copy it to the GPU
    logits = raw.float()
    if logits.shape[-2:] != mask.shape[-2:]:
        logits = F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    return logits, mask, known


def pixel_loss(log_p: Tensor, mask: Tensor, known: Tensor | None) -> Tensor:
    """Mean negative log likelihood over the pixels with a class; (B, C, H, W) log probabilities."""
    if known is None:
        return F.nll_loss(log_p, mask) if len(mask) else log_p.sum()
    terms = F.nll_loss(log_p, mask, reduction="none") * known
    return summed(terms.sum()) / summed(known.sum()).clamp(min=1)


def generalised_dice(p: Tensor, mask: Tensor, known: Tensor | None = None) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> (B,) generalised dice loss of each image, in [0, 1].

    1 - 2 sum_c w_c sum_n t p / sum_c w_c sum_n (t + p), with w_c = 1 / (sum_n t)^2 (Sudre et al. 2017). A class that
    the image does not have takes the largest weight of those it has, so that painting it costs something. known: pixels
    to sum over; an image without any costs nothing.
    """
    p, counted = _over(p, mask, known)
    true, nothing = mask.flatten(1), p.new_zeros(p.shape[:2])
    area = nothing.scatter_add(1, true, counted.flatten(1))
    overlap = nothing.scatter_add(1, true, p.gather(1, mask[:, None]).flatten(1))
    weight = (area.clamp(min=1) ** -2).masked_fill(area <= 0, 0)
    weight = torch.where(area > 0, weight, weight.amax(1, keepdim=True))
    total = (weight * (area + p.sum((-2, -1)))).sum(1)
    if known is None:
        return 1 - 2 * (weight * overlap).sum(1) / total
    nothing = total <= 0
    return (1 - 2 * (weight * overlap).sum(1) / total.masked_fill(nothing, 1)).masked_fill(nothing, 0)


def batch_dice(p: Tensor, mask: Tensor, known: Tensor | None = None) -> Tensor:
    """(B, C, H, W) probabilities, (B, H, W) int64 classes -> 1 - mean soft F1 of the classes that the batch has.

    F1_c = 2 sum t p / sum (t + p) over all pixels of all images, as the metric counts it: an earring weighs as much as
    the hair, and an image without earrings costs only what is painted there (Milletari et al. 2016, per class). No mean
    over images: the sums are those of all processes. known: pixels to sum over.
    """
    p, counted = _over(p, mask, known)
    t = F.one_hot(mask, p.shape[1]).movedim(-1, 1).to(p.dtype)
    t = t if known is None else t * counted[:, None]
    over = (0, 2, 3)
    area, overlap, painted = summed(torch.stack([t.sum(over), (t * p).sum(over), p.sum(over)]))
    f1 = 2 * overlap / (area + painted).clamp(min=torch.finfo(p.dtype).tiny)
    return 1 - mean_where(f1, area > 0)


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen ones of (C,) values; 1 where none is."""
    if values.is_cpu:
        return values[chosen].mean() if chosen.any() else values.new_ones(())
    count = chosen.sum()  # on a GPU, asking which are chosen would wait for it
    return (values.masked_fill(~chosen, 0).sum() / count.clamp(min=1)).masked_fill(count == 0, 1)


def _over(p: Tensor, mask: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
    """Probabilities that are 0 where no class is known, and what each pixel counts, (B, H, W)."""
    if known is None:
        return p, torch.ones_like(mask, dtype=p.dtype)
    return p * known[:, None], known.to(p.dtype)


class ParsingLoss(nn.Module):
    """Mean pixel cross entropy; with a dice loss as `measure`, dice * (dice loss) + ce * (pixel cross entropy)
    (FaceXFormer section 3.4: their mean). ignore: value of pixels without a class, which count in neither."""

    across_processes = True  # with `ignore` a mean over the known pixels of all processes; `batch_dice` sums over them

    def __init__(
        self, *, measure: Callable[..., Tensor] | None, ignore: int | None, dice: float = 0.0, ce: float = 1.0
    ):
        super().__init__()
        self.measure, self.ignore, self.dice, self.ce = measure, ignore, dice, ce

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        logits, mask, known = raised(raw, target, self.ignore)
        log_p = logits.log_softmax(1)
        ce = pixel_loss(log_p, mask, known)
        if self.measure is None:
            return {"loss": ce}
        dice = own_mean(self.measure(log_p.exp(), mask, known))
        return {"loss": self.dice * dice + self.ce * ce, "dice": dice, "ce": ce}
