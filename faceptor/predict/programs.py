"""One layout of crops at one batch size: compiled, or captured as a CUDA graph, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from faceptor.predict.layout import Batch, Crops, forward_batches

Program = Callable[[Crops], dict[str, Tensor]]
"""Crops -> raw numbers by task, float32."""

WARM_UP = 3  # passes before a capture, in which libraries choose their kernels and take their memory
LAYOUTS = 64  # compiled ones of a process, beyond which torch would run the next as Python does, and say nothing


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Matrix products in `dtype`; nothing is changed for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def device_of(crops: Crops) -> torch.device:
    return next(iter(crops.values())).device


def program_of(model: Any, layout: Sequence[Batch], dtype: torch.dtype) -> Program:
    """The layout as Python runs it."""

    def run(crops: Crops) -> dict[str, Tensor]:
        with autocast(device_of(crops), dtype):
            raw = forward_batches(model, layout, crops)
        return {task: values.float() for task, values in raw.items()}

    return run


def compiled(program: Program, crops: Crops) -> Program:
    """The program compiled for crops of these sizes. Takes from seconds to a minute, and raises whatever torch does
    where it cannot (no C++ compiler, say)."""
    from torch._dynamo import config

    faster = torch.compile(program, dynamic=False)

    def run(crops: Crops) -> dict[str, Tensor]:
        with config.patch(recompile_limit=LAYOUTS):
            return faster(crops)

    run(crops)
    return run


class Captured:
    """A program as a CUDA graph. crops: such as it will be given; pool: graphs of one engine share their memory,
    because each one's answers are copied before the next one runs."""

    def __init__(self, program: Program, crops: Crops, *, pool: Any):
        self.crops = {tasks: images.clone() for tasks, images in crops.items()}
        aside = torch.cuda.Stream(device_of(crops))
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                program(self.crops)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        # Other threads may decode photographs meanwhile; only this one's work is captured.
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.raw = program(self.crops)

    def __call__(self, crops: Crops) -> dict[str, Tensor]:
        for tasks, images in crops.items():
            self.crops[tasks].copy_(images)
        self.graph.replay()
        return {task: values.clone() for task, values in self.raw.items()}
