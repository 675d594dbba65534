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
    """Images of one size. parts: which crops lie in it, one after the other: (their tasks, whether mirrored);
    rows: task -> its part of the batch."""

    parts: Sequence[tuple[tuple[str, ...], bool]]
    rows: Mapping[str, slice]


def layout_of(model: Any, crops: Crops, *, mirror: bool = True) -> list[Batch]:
    """A task of a kind with `mirror` has rows of the crops and behind them of their mirror images (`mirror` False:
    of the crops alone). ConfigError where tasks cannot see the same crops."""
    for tasks in crops:
        check_alike(model, tasks)
    batches = []
    for size in dict.fromkeys(images.shape[-2:] for images in crops.values()):
        own = [tasks for tasks, images in crops.items() if images.shape[-2:] == size]
        parts, rows, start = [], {}, 0
        for tasks in sorted(own, key=lambda tasks: min(model.batch_order(task) for task in tasks)):
            count = len(crops[tasks])
            twice = {task: mirror and mirrored(model, task) for task in tasks}
            rows |= {task: slice(start, start + count * (1 + both)) for task, both in twice.items()}
            parts += [(tasks, False)] + [(tasks, True)] * any(twice.values())
            start += count * (1 + any(twice.values()))
        batches.append(Batch(parts, rows))
    return batches


def forward_batches(model: Any, batches: Sequence[Batch], crops: Crops) -> dict[str, Tensor]:
    """The crops of a layout -> raw numbers by task, one row for each row of the task."""
    raw: dict[str, Tensor] = {}
    for batch in batches:
        parts = [
            model.normalise(crops[tasks].flip(-1) if turned else crops[tasks], tasks[0])
            for tasks, turned in batch.parts
        ]
        raw |= model.forward_rows(torch.cat(parts), batch.rows)
    return raw


def forward_crops(model: Any, crops: Crops) -> dict[str, Tensor]:
    """Raw numbers by task, one row for each crop, and of kinds with a mirror one for each mirror image behind them."""
    if all(len(tasks) == 1 for tasks in crops):
        own = {task: images for (task,), images in crops.items()}
        return model.forward_tasks(
            {task: torch.cat([x, x.flip(-1)]) if mirrored(model, task) else x for task, x in own.items()}
        )
    return forward_batches(model, layout_of(model, crops), crops)


def mirrored(model: Any, task: str) -> bool:
    return kind_of(model.tasks[task]).mirror


def check_alike(model: Any, tasks: Sequence[str]) -> None:
    """ConfigError where tasks are normalised by different statistics: they cannot share an encoder input."""
    if len({model.inputs[model.group[task]].statistics for task in tasks}) > 1:
        raise ConfigError(
            f"crops: {', '.join(tasks)} are normalised by different means and deviations (model.inputs), so that the "
            "encoder sees other numbers for each; give each input group crops of its own"
        )
