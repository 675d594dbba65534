"""Losses of age: of the distribution over whole years, and of its mean. Ages in years."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def target_distribution(age: Tensor, ages: Tensor, *, sigma: float = 2.0) -> Tensor:
    """(B,) years -> (B, N): Gaussian density at each whole year, divided by its sum so that the ends lose nothing."""
    return torch.softmax(-((ages - age[:, None]) ** 2) / (2 * sigma**2), dim=1)


def log_distribution(logits: Tensor) -> Tensor:
    """(B, N) logits -> log of sigmoid(logits) / sum, without underflow."""
    return F.log_softmax(F.logsigmoid(logits), dim=1)


def expected_age(log_p: Tensor, ages: Tensor) -> Tensor:
    """(B, N) log of a distribution -> (B,) years."""
    return (log_p.exp() * ages).sum(1)


class YearsLoss(nn.Module):
    """`count` whole years from `first` on, of which a distribution is learnt."""

    ages: Tensor

    def __init__(self, *, first: int, count: int):
        super().__init__()
        self.register_buffer("ages", first + torch.arange(count, dtype=torch.float32), persistent=False)

    def known(self, raw: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Log of the distributions (B, N), true ages (B,), and the years (N,)."""
        return log_distribution(raw.float()), target["age"].float(), self.ages.to(raw.device)


class AgeLoss(YearsLoss):
    """kl * KL(target || p) + l1 * |expected age - age|, both means over samples."""

    def __init__(self, *, first: int, count: int, sigma: float, kl: float, l1: float):
        super().__init__(first=first, count=count)
        self.sigma, self.kl, self.l1 = sigma, kl, l1

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        log_p, age, ages = self.known(raw, target)
        wanted = target_distribution(age, ages, sigma=self.sigma)
        kl = (torch.xlogy(wanted, wanted) - wanted * log_p).sum(1).mean()  # 0 * log 0 = 0
        l1 = (expected_age(log_p, ages) - age).abs().mean()
        return {"loss": self.kl * kl + self.l1 * l1, "kl": kl, "l1": l1}


class L1CrossEntropyLoss(YearsLoss):
    """ce * cross entropy at the whole year nearest to the age + l1 * |expected age - age|, means over samples.

    FaceXFormer (section 3.4) trains age with the mean of the two. Both are taken of the distribution that `decode`
    reads, so that a model answers as it was trained.
    """

    def __init__(self, *, first: int, count: int, ce: float, l1: float):
        super().__init__(first=first, count=count)
        self.ce, self.l1 = ce, l1

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        log_p, age, ages = self.known(raw, target)
        ce = F.nll_loss(log_p, (age - ages[0]).round().long())
        l1 = (expected_age(log_p, ages) - age).abs().mean()
        return {"loss": self.ce * ce + self.l1 * l1, "ce": ce, "l1": l1}
