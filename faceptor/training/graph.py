"""A step of training as one CUDA graph: recorded once, then started as a whole.

A step of a paper-size model is some six thousand kernels of a few microseconds each, which a CPU starts more slowly
than a large GPU works them off. A graph is the same kernels on the same numbers, without the waiting in between.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from faceptor.tasks.losses.across_processes import processes
from faceptor.training.batches import Batch
from faceptor.training.progress import say
from faceptor.training.state import TrainState

Found = dict[str, Tensor | float]
STEPS_BEFORE = 3  # the recording: libraries choose their kernels, the optimiser makes its state


class Recorded:
    """`compute(batch)` of a training step, recorded after a few steps and replayed from then on.

    It must ask the device nothing and take batches of one shape. Where it cannot be recorded, a line says why, and it
    goes on as written. The numbers that it returns are overwritten by the next step.
    """

    def __init__(self, compute: Callable[[Batch], Found], state: TrainState, *, wanted: bool):
        self.compute, self.state = compute, state
        self.wanted = wanted and processes() == 1  # several wait for each other on the CPU, too
        self.taken = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.batch: dict[str, dict[str, Tensor]] = {}  # where the graph reads
        self.found: Found = {}  # where it writes

    def __call__(self, batch: Batch) -> Found:
        self.taken += 1
        if not self.wanted or self.taken <= STEPS_BEFORE:
            return self.compute(batch)
        if self.graph is None:
            self.record(batch)
        if self.graph is None or described(batch) != described(self.batch):
            return self.compute(batch)
        for name, parts in batch.items():
            for key, value in parts.items():
                self.batch[name][key].copy_(value, non_blocking=True)
        self.graph.replay()
        return self.found

    def record(self, batch: Batch) -> None:
        """Make the graph of a step with batches like this one. Nothing is computed."""
        try:
            require_fit(self.state)
            graph = torch.cuda.CUDAGraph()
            self.batch = {name: {key: value.clone() for key, value in parts.items()} for name, parts in batch.items()}
            torch.cuda.synchronize()
            record = partial(torch.cuda.graph, capture_error_mode="thread_local")  # the loader's thread goes on
            with rates_on_device(self.state.optimiser), record(graph):
                self.found = self.compute(self.batch)
        except Exception as error:  # whatever part it was that asked the device something
            self.wanted, self.batch, self.found = False, {}, {}
            reason = (str(error).strip().splitlines() or [""])[0]
            say(f"cuda_graph: not possible here ({type(error).__name__}: {reason}); going on without")
            return
        self.graph = graph


@contextmanager
def rates_on_device(optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """Inside, the optimiser may be recorded: its learning rates become tensors, which `set_rate` fills from then on.
    They are numbers again if that fails."""
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        device = group["params"][0].device
        group.update({"lr": torch.full((), rate, dtype=torch.float32, device=device), "capturable": True})
    try:
        yield
    except BaseException:
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        raise
    finally:
        for group in optimiser.param_groups:
            group["capturable"] = False


def require_fit(state: TrainState) -> None:
    """Raise ValueError for an optimiser or a scaler that asks the device in every step."""
    if state.scaler.is_enabled():
        raise ValueError("the scale of float16 is not the same in every step")
    if not all(group.get("fused") for group in state.optimiser.param_groups):
        raise ValueError(f"{type(state.optimiser).__name__} is not fused")


def described(batch: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]]:
    """Shape and type of every tensor."""
    return {name: {key: (value.shape, value.dtype) for key, value in parts.items()} for name, parts in batch.items()}
