"""Ways to train the same model in less time or memory: compiled parts, and activations that are computed twice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from faceptor.config import Stage
from faceptor.errors import ConfigError
from faceptor.models.base import FaceModel
from faceptor.tasks.losses.across_processes import processes
from faceptor.training.batch_norm import SHARED
from faceptor.training.checkpoint import random_state, restore_random_state
from faceptor.training.progress import say

Result = TypeVar("Result")
COMPILER = ("torch._dynamo", "torch._inductor", "torch._functorch", "triton")  # whose errors are no fault of a model


@contextmanager
def accelerated(model: FaceModel, criteria: nn.ModuleDict, stage: Stage) -> Iterator["Compiled"]:
    """Inside, the model trains as the stage's `compile` and `checkpoint_activations` say; then it is as before."""
    with (
        recomputed(layers_of(model) if stage.checkpoint_activations else ()),
        Compiled(parts_to_compile(model, criteria, stage.compile)) as compiled,
    ):
        yield compiled


class Compiled(ExitStack):
    """Modules that are compiled while they learn, until it is closed. Without gradients (validation) they run as
    written: other batch sizes would be compiled anew.

    Shapes are taken as fixed, because those of a step never change. What runs alike (the layers of a decoder) is
    compiled once.
    """

    def __init__(self, modules: Sequence[nn.Module]):
        super().__init__()
        self.tried = not modules
        for module in modules:
            forward = partial(_while_learning, torch.compile(module.forward, dynamic=False), module.forward)
            self.enter_context(patch.object(module, "forward", forward))

    def attempt(self, take_step: Callable[[], Result]) -> Result:
        """Take a step. Compilers run in the first one: if one of them fails, say so in a line, and take the step with
        the modules as written."""
        if self.tried:
            return take_step()
        before, self.tried = random_state(), True
        try:
            return take_step()
        except Exception as error:
            if not _of_a_compiler(error):
                raise
            found = getattr(error, "inner_exception", None) or error  # what the compiler itself said
            reason = (str(found).strip().splitlines() or [""])[0]
            say(f"compile: not possible here ({type(found).__name__}: {reason}); going on without")
        self.close()
        restore_random_state(before)
        return take_step()


def parts_to_compile(model: FaceModel, criteria: nn.ModuleDict, extent: str) -> list[nn.Module]:
    """encoder: what all tasks share first; whole: also the layers of the decoders, the output modules, the losses."""
    if extent == "none":
        return []
    trunk, *others = model.compilable()
    if extent == "encoder":
        return [trunk]
    parts = [trunk, *others, *(loss for loss in criteria.values() if not list(loss.parameters()))]
    return [part for part in parts if processes() == 1 or not asks_others(part)]


def asks_others(part: nn.Module) -> bool:
    """Whether it asks other processes for what they have, which no compiler follows."""
    return getattr(part, "across_processes", False) or any(isinstance(m, tuple(SHARED)) for m in part.modules())


def layers_of(model: FaceModel) -> list[nn.Module]:
    layers = model.repeated_layers()
    if not layers:
        raise ConfigError(f"checkpoint_activations: {type(model).__name__} names no layers; set it to false")
    return layers


@contextmanager
def recomputed(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, only the inputs of these layers are kept for the backward pass, which computes the rest anew: less
    memory, a third more work, the same gradients. Their norms must not be over batches."""
    with ExitStack() as before:
        for layer in layers:
            if switch := getattr(layer, "set_grad_checkpointing", None):  # timm's models have one
                before.callback(switch, False)
                switch(True)
            else:
                before.enter_context(patch.object(layer, "forward", partial(_recomputing, layer.forward)))
        yield


def _recomputing(forward: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*arguments, **named)
    return checkpoint(forward, *arguments, use_reentrant=False, **named)


def _while_learning(compiled: Callable[..., Any], plain: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return (compiled if torch.is_grad_enabled() else plain)(*arguments, **named)


def _of_a_compiler(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__module__.startswith(COMPILER):
            return True
        error = error.__cause__
    return False
