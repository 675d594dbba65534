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
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.config.choices import EnginePrecision
from faceptor.errors import ConfigError
from faceptor.predict.layout import Crops, Layout, forward_crops, mirrored
from faceptor.predict.programs import Captured, Program, autocast, compiled, program_of

PRECISIONS: dict[EnginePrecision, torch.dtype] = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
}  # fmt: skip
COMPILED = ("auto", "never", "always")
BATCH_SIZES = (1, 8, 32, 128)  # faces
# Faces of photographs in one pass, which bounds the memory that these take; a CPU gains nothing from more.
FACES_PER_PASS, FACES_PER_GPU_PASS = 8, 32
COMPILED_AFTER = 300  # passes: what these take in Python is about what compiling takes
CAST = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)  # whose weights autocast would cast in every pass


class EngineWarning(UserWarning):
    """The engine runs, but not as fast as it was asked to."""


class Engine:
    """Answers crops with a model's tasks. What is not here is the model's own (`engine.tasks`), and it may be called as
    the model is, so that it can stand for one where a model is measured.

    precision  "fp32", "bf16" or "fp16": what matrix products are computed in. Weights are the model's own in fp32, else
               a copy of what they are now
    compiled   "never": as Python runs it. "auto": on a CUDA device a layout of crops (tasks, sizes, faces) is captured
               as a CUDA graph when it comes again, and compiled when it has come often; a CPU computes as Python runs
               it, because its time is in matrix products that compiling leaves as they are. "always": compiled at once,
               on a CPU too. Where torch cannot, a warning says so and the next best is done
    batch_sizes  faces of a compiled or captured pass: fewer are filled up to the next one and cut again, which changes
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
        if self.device.type == "cpu" and not _computes_in(precision):
            told = f"engine: this processor does not compute in {precision} and imitates it, far slower than fp32"
            warnings.warn(told, EngineWarning, stacklevel=2)
        self.programs: dict[tuple, Program] = {}
        self._seen: Counter[tuple] = Counter()
        self._failed: set[str] = set()  # of "compiled", "captured"

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # not there yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def __call__(self, images: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """As of the model itself (`FaceModel.forward`): raw numbers by task, (B, ...), float32, for images of any size
        that all tasks see. `faceptor.evaluation` asks in this way."""
        self.model.check_images(images)
        raw: dict[str, Tensor] = {}
        for bundle in self.model.grouped_by_statistics(self.model.choose_tasks(tasks)):
            raw |= self._answer({tuple(bundle): images}, mirror=False)
        return raw

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
        return self._answer(crops, mirror=True)

    @torch.no_grad()
    def _answer(self, crops: Crops, *, mirror: bool) -> dict[str, Tensor]:
        count, most = len(next(iter(crops.values()))), self.batch_sizes[-1]
        was_training = self.model.training
        self.model.eval()
        try:
            parts = [
                self._pass({tasks: part[start : start + most].to(self.device) for tasks, part in crops.items()}, mirror)
                for start in range(0, count, most)
            ]
        finally:
            self.model.train(was_training)
        return parts[0] if len(parts) == 1 else {task: torch.cat([part[task] for part in parts]) for task in parts[0]}

    def _pass(self, crops: Crops, mirror: bool) -> dict[str, Tensor]:
        """At most as many faces as the largest batch size."""
        count = len(next(iter(crops.values())))
        size = next(size for size in self.batch_sizes if size >= count)
        if program := self._program(crops, size, mirror):
            raw = program([_filled(images, size) for images in crops.values()])
        else:
            with autocast(self.device, self.dtype):
                raw = {task: values.float() for task, values in self._eager(crops, mirror).items()}
        return {
            task: (torch.stack(values.chunk(2), dim=1) if mirror and mirrored(self.model, task) else values)[:count]
            for task, values in raw.items()
        }

    def _eager(self, crops: Crops, mirror: bool) -> dict[str, Tensor]:
        if mirror:
            return forward_crops(self.model, crops)
        ((tasks, images),) = crops.items()
        return self.model(images, tasks=tasks)

    # --- programs ---------------------------------------------------------------------------------------------------

    def _program(self, crops: Crops, size: int, mirror: bool) -> Program | None:
        """What computes such crops, filled up to `size` faces; None: Python does."""
        key = (tuple((tasks, tuple(images.shape[1:])) for tasks, images in crops.items()), size, mirror)
        self._seen[key] += 1
        for way in self._ways(self._seen[key]):
            if (key, way) not in self.programs:
                filled = {tasks: _filled(images, size) for tasks, images in crops.items()}
                self._make(key, way, filled, mirror)
            if (key, way) in self.programs:
                return self.programs[key, way]
        return None

    def _ways(self, times: int) -> list[str]:
        """Ways to compute a layout that comes for the so manieth time, the best first."""
        on_gpu = self.device.type == "cuda"
        if self.compiled == "never" or (self.compiled == "auto" and not on_gpu):
            return []
        wanted = {"compiled": self.compiled == "always" or times > COMPILED_AFTER, "captured": on_gpu and times > 1}
        return [way for way, now in wanted.items() if now and way not in self._failed]

    def _make(self, key: tuple, way: str, crops: Mapping[tuple[str, ...], Tensor], mirror: bool) -> None:
        """Make a program, or warn that it cannot be made, and try no further one of that sort."""
        images = list(crops.values())
        try:
            program = program_of(self.model, Layout.of(self.model, crops, mirror=mirror), self.dtype)
            if way == "compiled":
                program = compiled(program, images)
            if self.device.type == "cuda":
                program = Captured(program, images, pool=self._pool)
        except Exception as error:
            self._failed.add(way)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"engine: not {way}, and slower without ({reason})", EngineWarning, stacklevel=2)
            return
        self.programs.pop((key, "captured"), None)  # replaced by a compiled one
        self.programs[key, way] = program

    @cached_property
    def _pool(self) -> Any:
        """The memory that all CUDA graphs share."""
        return torch.cuda.graph_pool_handle()


def _filled(images: Tensor, size: int) -> Tensor:
    """(B, 3, S, S) with black images behind them, `size` in all."""
    missing = size - len(images)
    return images if not missing else torch.cat([images, images.new_zeros(missing, *images.shape[1:])])


def _with_cast_weights(model: Any, dtype: torch.dtype) -> Any:
    """A copy whose linear maps hold what autocast makes of their weights, so that no pass casts them again."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, CAST):
            module.to(dtype)
    return model


def _computes_in(precision: str) -> bool:
    """Whether the processor has instructions for it."""
    known = {"bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported, "fp16": torch.ops.mkldnn._is_mkldnn_fp16_supported}
    return precision not in known or bool(known[precision]())


def engine_of(model: Any) -> Engine:
    """A model as an engine that computes as the model does: in float32."""
    return model if isinstance(model, Engine) else Engine(model)
