"""How the crops of several tasks lie in the batches of a model: one batch per image size, tasks as rows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceptor.errors import ConfigError
from faceptor.tasks import kind_of

Crops = Mapping[tuple[str, ...], Tensor]
"""Tasks that see the same crops -> these crops, (B, 3, S, S) float RGB in [0, 1]; B faces in the same order for all."""


@dataclass(frozen=True)
class Batch:
    """Images of one size. parts: which of the crops lie in it, one after the other: (index, whether mirrored);
    rows: task -> its part of the batch."""

    parts: tuple[tuple[int, bool], ...]
    rows: Mapping[str, slice]


@dataclass(frozen=True)
class Layout:
    """crops: the sets of tasks that see the same crops, in the order in which their images are given."""

    crops: tuple[tuple[str, ...], ...]
    batches: tuple[Batch, ...]

    @classmethod
    def of(cls, model: Any, images: Crops, *, mirror: bool = True) -> Layout:
        """A task of a kind with `mirror` has rows of the crops and behind them of their mirror images (`mirror` False:
        of the crops alone). ConfigError where tasks cannot see the same crops."""
        sets, batches = tuple(images), []
        for tasks in sets:
            check_alike(model, tasks)
        for size in dict.fromkeys(part.shape[-2:] for part in images.values()):
            own = [index for index, tasks in enumerate(sets) if images[tasks].shape[-2:] == size]
            own.sort(key=lambda index: min(model.batch_order(task) for task in sets[index]))
            parts, rows, start = [], {}, 0
            for index in own:
                count = len(images[sets[index]])
                twice = {task: mirror and mirrored(model, task) for task in sets[index]}
                rows |= {task: slice(start, start + count * (1 + both)) for task, both in twice.items()}
                parts += [(index, False)] + [(index, True)] * any(twice.values())
                start += count * (1 + any(twice.values()))
            batches.append(Batch(tuple(parts), rows))
        return cls(sets, tuple(batches))

    def forward(self, model: Any, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """The crops in [0, 1], in the order of `crops` -> raw numbers by task, one row for each row of the task."""
        raw: dict[str, Tensor] = {}
        for batch in self.batches:
            parts = [
                model.normalise(images[index].flip(-1) if turned else images[index], self.crops[index][0])
                for index, turned in batch.parts
            ]
            raw |= model.forward_rows(torch.cat(parts), batch.rows)
        return raw


def forward_crops(model: Any, images: Crops) -> dict[str, Tensor]:
    """Raw numbers by task, one row for each crop, and of kinds with a mirror one for each mirror image behind them."""
    if all(len(tasks) == 1 for tasks in images):
        own = {task: part for (task,), part in images.items()}
        return model.forward_tasks(
            {task: torch.cat([x, x.flip(-1)]) if mirrored(model, task) else x for task, x in own.items()}
        )
    return Layout.of(model, images).forward(model, list(images.values()))


def mirrored(model: Any, task: str) -> bool:
    return kind_of(model.tasks[task]).mirror


def check_alike(model: Any, tasks: Sequence[str]) -> None:
    """ConfigError where tasks are normalised by different statistics: they cannot share an encoder input."""
    if len({model.inputs[model.group[task]].statistics for task in tasks}) > 1:
        raise ConfigError(
            f"crops: {', '.join(tasks)} are normalised by different means and deviations (model.inputs), so that the "
            "encoder sees other numbers for each; give each input group crops of its own"
        )
