"""What a target may hold. Labels are checked on the CPU, where they are loaded: asking a GPU would wait for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from faceptor.errors import DataError


@dataclass(frozen=True)
class Limits:
    """Smallest and largest value that can be true; for the columns of a target's last axis where they differ.

    unknown: a value that says nothing is known, and is always allowed. An infinite or undefined value never is, unless
    it is that.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    unknown: float | None = None

    def first_outside(self, values: np.ndarray) -> tuple[int, ...] | None:
        """Where the first value lies that cannot be true; None if all can."""
        if not values.size or (values.min() >= np.max(self.low) and values.max() <= np.min(self.high)):
            return None  # by the extremes alone
        fine = (values >= np.asarray(self.low)) & (values <= np.asarray(self.high))
        if self.unknown is not None:
            fine |= np.isnan(values) if math.isnan(self.unknown) else values == self.unknown
        outside = np.argwhere(~fine)
        return tuple(int(at) for at in outside[0]) if len(outside) else None


def check_targets(limits: Mapping[str, Limits], targets: Mapping[str, Any], *, where: str) -> None:
    """Raise DataError for a label of a batch on the CPU, (n, ...) each, that cannot be true: it must not train a
    network silently. where: step and task, for the message."""
    for name, allowed in limits.items():
        values = np.asarray(targets[name])
        place = allowed.first_outside(values)
        if place is not None:
            low, high = (np.broadcast_to(end, values.shape)[place] for end in (allowed.low, allowed.high))
            raise DataError(
                f"{where}: {name} of sample {place[0]} of the batch: expected a value in [{low:g}, {high:g}], found "
                f"{values[place]:g}; check the labels of the data set"
            )
