"""Loss of ratings on continuous scales, where some are not known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from faceptor.tasks.losses.across_processes import summed


class RatingLoss(nn.Module):
    """Mean over the known ratings of |error| or error^2, in shares of the range, so that every scale weighs alike."""

    across_processes = True  # a mean over the known ratings of all processes
    low: Tensor
    width: Tensor

    def __init__(self, ranges: np.ndarray, *, power: int):
        super().__init__()
        self.power = power
        self.register_buffer("low", torch.tensor(ranges[:, 0], dtype=torch.float32), persistent=False)
        self.register_buffer("width", torch.tensor(ranges[:, 1] - ranges[:, 0], dtype=torch.float32), persistent=False)

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        wanted = (target["ratings"].float() - self.low.to(raw.device)) / self.width.to(raw.device)
        known = ~wanted.isnan()
        errors = (raw.float().sigmoid() - wanted.nan_to_num()).abs() ** self.power * known
        return {"loss": summed(errors.sum()) / summed(known.sum()).clamp(min=1)}
