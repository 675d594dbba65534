"""A model that answers many crops at once: at a chosen precision, on a GPU as captured graphs of a few batch sizes.

>>> engine = Engine(faceptor.load("models/stage2"), precision="bf16")
>>> raw = engine.answer({("age_morph2",): crops})  # crops (B, 3, S, S) in [0, 1] -> task: raw numbers, float32

Work of one shape is repeated a thousand times in a folder or a video, and of the 34 ms that a face took on an H100 the
card computed for 5: the rest was Python starting 1,700 kernels. A CUDA graph starts them at once, and a compiled one
has fewer of them.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.predict.layout import Crops, forward_crops, mirrored
from faceptor.training.precision import autocast

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILED = ("auto", "never", "always")
BATCH_SIZES = (1, 8, 32, 128)  # faces
# Faces of photographs in one pass, which bounds the memory that these take; a CPU gains nothing from more.
FACES_PER_PASS, FACES_PER_GPU_PASS = 8, 32
CAST = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)  # whose weights autocast would cast in every pass


class EngineWarning(UserWarning):
    """The engine runs, but not as fast as it was asked to."""


class Engine:
    """Answers crops with a model's tasks. Everything that is not here is the model's own (`engine.tasks`).

    precision  "fp32", "bf16" or "fp16": what matrix products are computed in (weights are then a copy of the model's;
               fp32 follows the model where its weights change)
    compiled   "never": as Python runs it. "auto": on a CUDA device a layout of crops (which tasks, which sizes) is
               captured as a CUDA graph when it comes again, and compiled when it comes often; a CPU computes eagerly,
               because its time is in matrix products that compiling leaves as they are. "always": compiled at once, on
               a CPU too
    batch_sizes  faces of a compiled or captured pass; fewer are padded up to the next one and cut again, which changes
               no answer, and more go in several passes

    Raises ConfigError for a name or a number that is none of these.
    """

    def __init__(
        self,
        model: Any,
        precision: str = "fp32",
        compiled: str = "auto",
        batch_sizes: Sequence[int] = BATCH_SIZES,
    ):
        for what, value, known in (("precision", precision, PRECISIONS), ("compiled", compiled, COMPILED)):
            if value not in known:
                raise ConfigError(f"engine: {what}: expected one of {', '.join(known)}, found {value!r}")
        if not batch_sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in batch_sizes):
            raise ConfigError(f"engine: batch_sizes: expected numbers of faces from 1 up, found {batch_sizes!r}")
        self.precision, self.compiled, self.batch_sizes = precision, compiled, tuple(sorted(set(batch_sizes)))
        self.dtype = PRECISIONS[precision]
        self.model = model if precision == "fp32" else _with_cast_weights(model, self.dtype)

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # not there yet
            raise AttributeError(name)
        return getattr(self.model, name)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def faces_per_pass(self) -> int:
        """Faces of photographs that are best answered together."""
        most = FACES_PER_PASS if self.device.type == "cpu" else FACES_PER_GPU_PASS
        return min(most, self.batch_sizes[-1])

    def answer(self, crops: Crops) -> dict[str, Tensor]:
        """Raw numbers by task, float32 on the model's device: (B, ...), and (B, 2, ...) of kinds that also want the
        mirrored crop. Tasks that are named together see the same crops, and so cost one encoder input a face."""
        count = len(next(iter(crops.values())))
        parts = [
            self._pass({tasks: images[start:stop] for tasks, images in crops.items()})
            for start, stop in self._passes(count)
        ]
        return parts[0] if len(parts) == 1 else {task: torch.cat([part[task] for part in parts]) for task in parts[0]}

    def _passes(self, count: int) -> Iterator[tuple[int, int]]:
        most = self.batch_sizes[-1]
        for start in range(0, count, most):
            yield start, min(start + most, count)

    @torch.inference_mode()
    def _pass(self, crops: Crops) -> dict[str, Tensor]:
        was_training = self.model.training
        self.model.eval()
        try:
            images = {tasks: part.to(self.device) for tasks, part in crops.items()}
            with autocast(self.device, self.dtype):
                raw = forward_crops(self.model, images)
        finally:
            self.model.train(was_training)
        return {task: _by_face(self.model, task, values.float()) for task, values in raw.items()}


def _by_face(model: Any, task: str, values: Tensor) -> Tensor:
    """Rows of all faces, then of their mirror images -> (B, 2, ...)."""
    return torch.stack(values.chunk(2), dim=1) if mirrored(model, task) else values


def _with_cast_weights(model: Any, dtype: torch.dtype) -> Any:
    """A copy whose linear maps hold what autocast makes of their weights, so that no pass casts them again."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, CAST):
            module.to(dtype)
    return model


def engine_of(model: Any) -> Engine:
    """A model as an engine that computes as the model does: in float32."""
    return model if isinstance(model, Engine) else Engine(model)


def warn(reason: str) -> None:
    warnings.warn(f"engine: {reason}", EngineWarning, stacklevel=2)
