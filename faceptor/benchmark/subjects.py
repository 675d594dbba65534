"""What is measured: models of presets with random weights, and the ways in which they are asked.

`together` is this project's way: one encoder pass for each image size, all tasks in one decoder pass. `one_by_one` is
the textbook mode, how the papers' code is used: a call, and so an encoder pass, for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faceptor.analysis.compute import passes
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.models.faceptor import Faceptor
from faceptor.models.textbook import textbook_decode
from faceptor.pipeline.experiment import Experiment
from faceptor.predict.engine import PRECISIONS, Engine
from faceptor.tasks import TaskSpec
from faceptor.training.precision import autocast

SEED = 1
ALL_TASKS = frozenset({"full"})  # presets whose model is that of `base`: asked for is what they add, the other tasks

Run = Callable[[], object]


def specs_of(name: str, experiment: Experiment) -> tuple[TaskSpec, ...]:
    """The tasks that a preset is asked for: one of each kind, or all."""
    specs = experiment.joint_specs
    return specs if name in ALL_TASKS else tuple({spec.kind: spec for spec in reversed(specs)}.values())[::-1]


def model_of(experiment: Experiment, specs: Sequence[TaskSpec], device: torch.device) -> FaceModel:
    """The model of a configuration with random weights, in evaluation mode."""
    torch.manual_seed(SEED)
    return build_model(experiment.params.model, list(specs)).to(device).eval()


@dataclass(frozen=True)
class Asked:
    """A model and what it is asked: images by the side of their square, and the tasks that each side serves."""

    model: FaceModel
    images: Mapping[int, Tensor]  # (B, 3, side, side) in [0, 1]
    tasks: Mapping[int, list[str]]

    @classmethod
    def of(cls, model: FaceModel, *, batch: int, tasks: Sequence[str] | None = None) -> Asked:
        device = next(model.parameters()).device
        sizes = passes(model, tasks)
        draw = torch.Generator().manual_seed(SEED)
        images = {side: torch.rand(batch, 3, side, side, generator=draw).to(device) for side in sizes}
        return cls(model, images, sizes)

    def together(self, precision: str = "fp32") -> dict[str, Tensor]:
        """All tasks, one call for each image size."""
        return self._called(self.tasks.items(), precision)

    def one_by_one(self, precision: str = "fp32") -> dict[str, Tensor]:
        """All tasks, one call for each task: the textbook mode."""
        return self._called(((side, [name]) for side, names in self.tasks.items() for name in names), precision)

    @torch.inference_mode()
    def _called(self, calls: Iterable[tuple[int, list[str]]], precision: str) -> dict[str, Tensor]:
        raw: dict[str, Tensor] = {}
        with self._autocast(precision):
            for side, names in calls:
                raw |= self.model(self.images[side], names)
        return raw

    @torch.inference_mode()
    def rows(self, precision: str = "fp32") -> dict[str, Tensor]:
        """As `together`, without a look at the values of the pixels, for which a GPU would have to be waited for."""
        with self._autocast(precision):
            return self._rows()

    def _rows(self) -> dict[str, Tensor]:
        raw: dict[str, Tensor] = {}
        for side, names in self.tasks.items():
            images = self.images[side]
            for bundle in self.model.grouped_by_statistics(names):
                rows = dict.fromkeys(bundle, slice(0, len(images)))
                raw |= self.model.forward_rows(self.model.normalise(images, bundle[0]), rows)
        return raw

    def compiled(self, precision: str = "fp32", backend: str = "inductor") -> Run:
        """`rows` through `torch.compile`, on a GPU with graphs. backend "eager" traces and compiles nothing."""
        mode = "reduce-overhead" if self._device.type == "cuda" else None
        compiled = torch.compile(self._rows, mode=mode, dynamic=False, backend=backend)

        @torch.inference_mode()
        def run() -> dict[str, Tensor]:
            with self._autocast(precision):
                return compiled()

        return run

    def engine(self, precision: str = "fp32") -> Run:
        """As `faceptor.predict` asks: one set of crops for each image size, and the mirror images that recognition
        wants besides; on a GPU as captured graphs."""
        engine = Engine(self.model, precision, batch_sizes=(len(next(iter(self.images.values()))),))
        crops = {
            tuple(bundle): self.images[side]
            for side, names in self.tasks.items()
            for bundle in self.model.grouped_by_statistics(names)
        }
        return lambda: engine.answer(crops)

    def graph(self, precision: str = "fp32") -> Run:
        """`rows` captured as one CUDA graph."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.rows(precision)
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            self.rows(precision)
        return captured.replay

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _autocast(self, precision: str):
        return autocast(self._device, PRECISIONS[precision])


# --- parts and variants ----------------------------------------------------------------------------------------------


def part_calls(asked: Asked, precision: str = "fp32") -> dict[str, list[Run]]:
    """Child of the model -> calls that repeat what it was asked for while the model answered all tasks."""
    heard: dict[str, list[Run]] = {}
    children = {name: child for name, child in asked.model.named_children() if not isinstance(child, nn.ModuleDict)}
    hooks = [
        child.register_forward_pre_hook(_repeats(heard.setdefault(name, []), child, asked, precision), with_kwargs=True)
        for name, child in children.items()
    ]
    try:
        asked.together(precision)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: calls for name, calls in heard.items() if calls}


def _repeats(calls: list[Run], child: nn.Module, asked: Asked, precision: str):
    def hook(module, args, kwargs):
        @torch.inference_mode()
        def again():
            with asked._autocast(precision):
                return child(*args, **kwargs)

        calls.append(again)

    return hook


@contextmanager
def by_the_formula(model: Faceptor) -> Iterator[None]:
    """Inside, the decoder computes eq. (6) and (7) as they are written, task by task (`faceptor.models.textbook`)."""
    decoder = model.decoder

    def forward(features, streams):
        return [textbook_decode(decoder, features, each)[0] for each in streams], decoder.projection(features[-1])

    decoder.forward = forward
    try:
        yield
    finally:
        del decoder.forward


def in_turn(calls: Iterable[Run]) -> Run:
    """One call that makes several."""
    calls = list(calls)
    return lambda: [call() for call in calls]
