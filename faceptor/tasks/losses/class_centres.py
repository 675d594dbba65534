"""Class centres that are dealt over processes: which rows a process has, and how they are drawn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from faceptor.errors import ConfigError

ROWS_AT_ONCE = 65_536  # drawn and mostly thrown away; 134 MB at a width of 512


class Rows(NamedTuple):
    """The rows of a tensor that this process holds: from `first` on, of `total` rows on all processes."""

    first: int
    total: int


def part_of(classes: int, rank: int, world: int) -> slice:
    """The classes of a process: all parts are equally long but the last, as torch.chunk and DTensor cut."""
    length = -(-classes // world)
    if (world - 1) * length >= classes:
        raise ConfigError(
            f"{classes} training identities cannot be dealt over {world} processes; use fewer (train.processes)"
        )
    return slice(rank * length, min((rank + 1) * length, classes))


def uniform_rows(classes: int, width: int, part: slice, *, bound: float, at_once: int = ROWS_AT_ONCE) -> Tensor:
    """Rows `part` of what `torch.empty(classes, width).uniform_(-bound, bound)` draws on the CPU, with as many numbers
    taken from the generator; no more than `at_once` other rows are in memory."""
    own = torch.empty(part.stop - part.start, width)
    for start in range(0, classes, at_once):
        drawn = torch.empty(min(at_once, classes - start), width).uniform_(-bound, bound)
        first, last = max(start, part.start), min(start + len(drawn), part.stop)
        if first < last:
            own[first - part.start : last - part.start] = drawn[first - start : last - start]
    return own
