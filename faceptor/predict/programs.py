"""One layout of crops at one batch size: compiled, or captured as a CUDA graph, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from faceptor.predict.layout import Layout

Program = Callable[[Sequence[Tensor]], dict[str, Tensor]]
"""Crops (B, 3, S, S) in [0, 1], in the order of the layout -> raw numbers by task, float32."""

WARM_UP = 3  # passes before a capture, in which libraries choose their kernels and take their memory
LAYOUTS = 64  # compiled ones of a process, beyond which torch would run the next as Python does, and say nothing


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Matrix products in `dtype`; nothing is changed for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def program_of(model: Any, layout: Layout, dtype: torch.dtype) -> Program:
    """The layout as Python runs it."""

    def run(images: Sequence[Tensor]) -> dict[str, Tensor]:
        with autocast(images[0].device, dtype):
            raw = layout.forward(model, images)
        return {task: values.float() for task, values in raw.items()}

    return run


def compiled(program: Program, images: Sequence[Tensor]) -> Program:
    """The program compiled for crops of these sizes. Takes from seconds to a minute, and raises whatever torch does
    where it cannot (no C++ compiler, say)."""
    from torch._dynamo import config

    faster = torch.compile(program, dynamic=False)

    def run(images: Sequence[Tensor]) -> dict[str, Tensor]:
        with config.patch(recompile_limit=LAYOUTS):
            return faster(images)

    run(images)
    return run


class Captured:
    """A program as a CUDA graph. images: such as it will be given; pool: graphs of one engine share their memory,
    because each one's answers are copied before the next one runs."""

    def __init__(self, program: Program, images: Sequence[Tensor], *, pool: Any):
        self.images = [part.clone() for part in images]
        aside = torch.cuda.Stream(self.images[0].device)
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                program(self.images)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        # Other threads may decode photographs meanwhile; only this one's work is captured.
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.raw = program(self.images)

    def __call__(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        for own, given in zip(self.images, images, strict=True):
            own.copy_(given)
        self.graph.replay()
        return {task: values.clone() for task, values in self.raw.items()}
