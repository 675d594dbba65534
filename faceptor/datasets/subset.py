"""Parts of a data set that stand for all of it: spread evenly, because owners write their files in some order; halves,
of which one judges what the other chose."""

from collections.abc import Sequence
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np

from faceptor.errors import ConfigError


def spread(size: int, count: int | None, *, run: int = 1) -> list[int]:
    """Up to `count` of `size` positions, ascending and spread evenly from the first to the last; None takes all.

    run: so many neighbours are taken together, counted from the first position, for samples that only mean something
    beside each other (the two images of a pair, pictures of one person). The last run is cut where `count` is reached.
    """
    if count is None or count >= size:
        return list(range(size))
    runs = -(-size // run)
    starts = np.unique(np.linspace(0, runs - 1, -(-count // run)).round().astype(int)) * run
    chosen = [start + step for start in starts.tolist() for step in range(run) if start + step < size]
    if len(chosen) < count:  # the last run was a short one
        taken = set(chosen)
        chosen += list(islice((index for index in range(size) if index not in taken), count - len(chosen)))
    return sorted(chosen[:count])


def halves(groups: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices of two disjoint halves of the samples; a group (a person, a photograph) is on one side only.

    Groups are taken in an order that a hash of their names shuffles, each to the side that has fewer samples, so that
    the same samples always part the same way. The second half is never the larger one by more than a group.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    sides: tuple[list[int], list[int]] = ([], [])
    for group in sorted(members, key=lambda group: (crc32(group.encode()), group)):
        min(sides, key=len).extend(members[group])
    return sorted(sides[0]), sorted(sides[1])


class Chosen(Sequence):
    """Some samples of a split. `rows` are their positions in `samples`."""

    def __init__(self, samples: Sequence, rows: Sequence[int]):
        self.samples, self.rows = samples, list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.samples[self.rows[index]]


class Spread(Chosen):
    """Up to `limit` samples of a split, spread evenly over it: always the same ones, so that scores of different steps
    compare."""

    def __init__(self, samples: Sequence, limit: int | None, *, run: int = 1):
        super().__init__(samples, spread(len(samples), limit, run=run))


class Fewer(Spread):
    """`faces` samples of a training split, spread evenly: the few samples of Faceptor's Table 8 and the fractions of a
    data set. ConfigError, naming the key `where` of params.yaml, if the split has not so many."""

    def __init__(self, samples: Sequence, faces: int, *, where: str):
        if faces > len(samples):
            raise ConfigError(f"{where}: {faces}, but the training split has {len(samples)} samples; null takes all")
        super().__init__(samples, faces)

    def column(self, name: str) -> Any:
        """The chosen samples' values of a column, see `faceptor.prepared.reading.Split.column`."""
        values = self.samples.column(name)  # type: ignore[attr-defined]
        return values[self.rows] if isinstance(values, np.ndarray) else [values[row] for row in self.rows]
