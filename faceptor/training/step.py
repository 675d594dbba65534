"""One step of training: losses of a multi-task batch, the gradient of their weighted mean, the optimiser.

Nothing in it waits for the device: what is returned are numbers on it, which the loop reads when it logs them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from faceptor.config import Stage
from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel
from faceptor.training.batches import Batch
from faceptor.training.distributed import Losses, clip
from faceptor.training.finite import FiniteWatch, bad_gradient, guarded_step
from faceptor.training.optimiser import rate_at, set_rate
from faceptor.training.precision import autocast
from faceptor.training.state import TrainState


def train_step(
    state: TrainState, batch: Batch, compute: Callable[[Batch], dict[str, Tensor | float]], *, stage: Stage
) -> dict[str, Tensor | float]:
    """One step of the optimiser. Returns the losses (scalars on the device: reading them waits for it), the learning
    rate, and the norm of the gradient before clipping (left out on a CPU where it is not finite).

    A gradient that overflows float16 (the norm is not finite) is no error: nothing moves, and the scale falls.
    compute: the `GradientStep` of this state, as written or recorded as a graph.
    """
    rate = rate_at(state.step, stage.optimiser, stage.steps)
    set_rate(state.optimiser, rate)
    found = compute(batch)
    state.step += 1
    return {"loss/all": found["loss/all"], "lr": rate} | found


@dataclass(frozen=True)
class GradientStep:
    """What the device does in a step: a batch -> the numbers for the log, the weights moved by its gradient.

    losses_of: a batch -> the losses of its tasks. weights: alpha of every task, eq. (8).
    """

    state: TrainState
    losses_of: Callable[[Batch], Losses]
    stage: Stage
    weights: Mapping[str, float]
    precision: torch.dtype
    watch: FiniteWatch

    def __call__(self, batch: Batch) -> dict[str, Tensor | float]:
        self.state.optimiser.zero_grad(set_to_none=True)
        total, losses = self.backward(batch)
        self.state.scaler.unscale_(self.state.optimiser)
        norm = clip(self.state.learning, self.stage.optimiser.clip or math.inf)
        found = {"loss/all": total} | {f"loss/{name}": terms["loss"] for name, terms in losses.items()}
        return found | self.update(norm, total, losses)

    def backward(self, batch: Batch) -> tuple[Tensor, Losses]:
        """Add the gradient of the objective, eq. (8), to the parameters, in `stage.accumulate` pieces of the batch; the
        objective and the losses, without gradient."""
        device = next(self.state.model.parameters()).device
        totals, sums = [], {}
        for piece, shares in pieces(batch, self.stage.accumulate):
            with autocast(device, self.precision):
                losses = self.losses_of(piece)
            total = weighted_mean(losses, self.weights, shares)
            self.watch.losses(total, losses, self.state.step)
            self.state.scaler.scale(total).backward()
            totals.append(total.detach())
            _add(sums, losses, shares)
        return reduce(add, totals), sums

    def update(self, norm: Tensor, total: Tensor, losses: Losses) -> dict[str, Tensor | float]:
        """Move the weights by their gradients, whose norm is given, if all is finite; the norm, for the log."""
        optimiser, scaler = self.state.optimiser, self.state.scaler
        if not self.watch.at_once:
            scaled = scaler.is_enabled()  # then an overflow of the gradient is the scaler's business
            failed = self.watch.gradient(torch.zeros_like(norm) if scaled else norm, total, losses)
            if scaled:
                scaler.step(optimiser)
            else:
                guarded_step(optimiser, failed)
            scaler.update()
            return {"gradient_norm": norm}
        length = norm.item()
        if math.isfinite(length):
            scaler.step(optimiser)
        elif not scaler.is_enabled():
            raise FaceptorError(bad_gradient(self.state.step))
        scaler.update()
        return {"gradient_norm": length} if math.isfinite(length) else {}


def task_losses(model: FaceModel, criteria: nn.ModuleDict, batch: Batch) -> Losses:
    """Loss terms of every task in the batch."""
    raw = model.forward_tasks({name: items["image"] for name, items in batch.items()})
    targets = {name: {k: v for k, v in items.items() if k != "image"} for name, items in batch.items()}
    return {name: criteria[name](raw[name].float(), targets[name]) for name in batch}


def weighted_mean(
    losses: Mapping[str, Mapping[str, Tensor]], weights: Mapping[str, float], shares: Mapping[str, float] | None = None
) -> Tensor:
    """The objective, eq. (8): the mean of the tasks' losses, weighted by their alphas. shares: of a task's samples
    that the losses are of, where they are not of all; objectives of such pieces add up to that of the whole."""
    shares = shares or {}
    terms = (weights[name] * shares.get(name, 1.0) * parts["loss"] for name, parts in losses.items())
    return reduce(add, terms) / sum(weights.values())


def pieces(batch: Batch, parts: int) -> Iterator[tuple[Batch, dict[str, float]]]:
    """The batch in `parts` pieces of equal size, or off by one: each has its part of every task's samples, and says
    what share of them that is. A task with fewer samples than parts is missing in some.

    The gradients of all pieces add up to that of the whole batch where a task's loss is a mean over samples, which
    batch norms and ratios of sums (dice over a batch, means over known labels) are not.
    """
    if parts == 1:
        yield batch, dict.fromkeys(batch, 1.0)
        return
    cut = {name: {key: value.tensor_split(parts) for key, value in items.items()} for name, items in batch.items()}
    for index in range(parts):
        piece = {name: {key: value[index] for key, value in items.items()} for name, items in cut.items()}
        piece = {name: items for name, items in piece.items() if len(items["image"])}
        if piece:
            yield piece, {name: len(items["image"]) / len(batch[name]["image"]) for name, items in piece.items()}


def _add(sums: Losses, losses: Losses, shares: Mapping[str, float]) -> None:
    for name, terms in losses.items():
        own = sums.setdefault(name, {})
        for key, value in terms.items():
            part = value.detach() if shares[name] == 1.0 else shares[name] * value.detach()
            own[key] = own[key] + part if key in own else part
