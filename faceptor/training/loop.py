"""One training loop for stage 1, stage 2, transfer and the baselines.

The loop knows nothing of any task: it draws a multi-task batch, asks the model for each task's raw output,
each task's criterion for its loss, and minimises their weighted mean, eq. (8) of the paper.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import torch
from torch import Tensor, nn

from faceptor.config import Stage
from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel
from faceptor.training.batch_norm import shared_statistics
from faceptor.training.batches import Batch, Steps, stream_batches
from faceptor.training.checkpoint import FORMAT
from faceptor.training.distributed import (
    Losses,
    agreed,
    clip,
    require_whole_matrices,
    rows_here,
    scaler_of,
    shared_losses,
    totals,
    whole_shape,
)
from faceptor.training.interruption import Interrupted, stop_requests
from faceptor.training.optimiser import build_optimiser, rate_at, set_rate
from faceptor.training.precision import autocast, choose_precision
from faceptor.training.progress import Live, Progress, say
from faceptor.training.record import FORMAT_KEY, Record
from faceptor.training.state import Metrics, TrainState, seed_process
from faceptor.training.threads import fixed_threads
from faceptor.training.trainable import Parameters, named_parameters, set_modes, set_trainable

Validate = Callable[[FaceModel], tuple[float, Metrics]]
"""A model -> its score, of which the highest wins, and the metrics of every task."""


@dataclass(frozen=True)
class Run:
    """Where a training runs.

    folder: of its checkpoint; a run found there is continued if its record is the same, and nobody else may train in it
    meanwhile (see faceptor.io.lock). record: what shapes the run beyond what the loop itself is told.
    """

    folder: Path
    record: Record
    seed: int
    device: torch.device
    workers: int = 0  # loader processes
    live: Live | None = None  # told every logged number

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.pt"


@dataclass
class Outcome:
    """What a run ends with; the model itself holds the weights of the best validation, or the last ones."""

    best_step: int
    best_score: float | None  # None where nothing was validated
    trainable: int  # parameters of the model that learnt (criteria not counted)
    validation: Metrics = field(default_factory=dict)  # at the best step
    record: Record = field(default_factory=dict)  # what shaped the run

    @property
    def selected(self) -> str:
        """How the step was chosen whose weights were kept."""
        return "last step, no validation" if self.best_score is None else "best validation"


def train(
    model: FaceModel,
    criteria: nn.ModuleDict,
    steps: Steps,
    *,
    stage: Stage,
    weights: Mapping[str, float],
    trainable: Iterable[str],
    run: Run,
    validate: Validate | None,
) -> Outcome:
    """Train until `stage.steps`, validate on the way, leave the best weights in the model.

    weights: alpha of every task, eq. (8). trainable: patterns of the parameters that learn. Without `validate` the last
    weights are kept. Raises Interrupted where it was asked to stop.
    """
    precision = choose_precision(stage.precision, run.device)
    state, record = start_or_resume(model, criteria, stage=stage, trainable=trainable, run=run, precision=precision)
    losses_of = shared_losses(model, criteria, steps, task_losses)
    with fixed_threads(stage.threads), shared_statistics(model), stop_requests() as asked:
        progress = Progress(begin=state.step, steps=stage.steps, live=run.live)
        progress.report(*state.history)
        for batch in stream_batches(steps, start=state.step, workers=run.workers, device=run.device):
            found = train_step(
                state, on_device(batch, run.device), losses_of, stage=stage, weights=weights, precision=precision
            )
            last, logged = state.step == stage.steps, {}
            if last or state.step % stage.log_every == 0:
                logged |= totals(found)
                progress.losses(state.step, logged)
            if validate and (last or state.step % stage.validate_every == 0):
                logged |= validation(state, validate)
            if logged:
                state.history.append({"step": state.step, **logged})
                progress.report(state.history[-1])
            stop = agreed(bool(asked))
            if last or stop or state.step % stage.checkpoint_every == 0:
                state.save(run.checkpoint, record)
            if stop and not last:
                raise Interrupted(state.step, stage.steps)

    state.restore_best()
    model.eval()
    return outcome_of(state, record)


def start_or_resume(
    model: FaceModel,
    criteria: nn.ModuleDict,
    *,
    stage: Stage,
    trainable: Iterable[str],
    run: Run,
    precision: torch.dtype,
) -> tuple[TrainState, Record]:
    """The state before the next step, which may be the first, and the record of the run."""
    model.to(run.device)
    criteria.to(run.device)
    parameters = named_parameters(model, criteria)
    set_trainable(parameters, trainable, what="trainable")
    dealt = any(rows_here(parameter) for parameter in parameters.values())
    scaler = scaler_of(run.device, enabled=precision == torch.float16, dealt=dealt)
    state = TrainState(model, criteria, build_optimiser(parameters, stage.optimiser), scaler)
    require_whole_matrices(state.optimiser)
    record = run.record | facts(run, precision, parameters)
    if state.resume(run.checkpoint, record):
        say(f"resuming at step {state.step} of {stage.steps} from {run.checkpoint}")
    else:
        seed_process(run.seed)
    set_modes(model, criteria)
    return state, record


def train_step(
    state: TrainState,
    batch: Batch,
    losses_of: Callable[[Batch], Losses],
    *,
    stage: Stage,
    weights: Mapping[str, float],
    precision: torch.dtype,
) -> dict[str, Tensor | float]:
    """One step of the optimiser. Returns the losses (scalars on the device: reading them waits for it), the learning
    rate, and the norm of the gradient before clipping where it is finite.

    A gradient that overflows float16 (the norm is not finite) is no error: nothing moves, and the scale falls.
    """
    rate = rate_at(state.step, stage.optimiser, stage.steps)
    set_rate(state.optimiser, rate)
    state.optimiser.zero_grad(set_to_none=True)
    with autocast(next(state.model.parameters()).device, precision):
        losses = losses_of(batch)
    total = weighted_mean(losses, weights)
    _require_finite(total, losses, state.step)

    state.scaler.scale(total).backward()
    state.scaler.unscale_(state.optimiser)
    norm = clip(state.learning, stage.optimiser.clip or math.inf).item()
    if math.isfinite(norm):
        state.scaler.step(state.optimiser)
    elif not state.scaler.is_enabled():
        raise FaceptorError(f"step {state.step}: the gradient is not finite; lower optimiser.lr or check the labels")
    state.scaler.update()
    state.step += 1
    found = {"loss/all": total.detach(), "lr": rate}
    found |= {f"loss/{name}": terms["loss"].detach() for name, terms in losses.items()}
    return found | ({"gradient_norm": norm} if math.isfinite(norm) else {})


def task_losses(model: FaceModel, criteria: nn.ModuleDict, batch: Batch) -> Losses:
    """Loss terms of every task in the batch: {task: {"loss": scalar, named parts ...}}."""
    raw = model.forward_tasks({name: items["image"] for name, items in batch.items()})
    targets = {name: {k: v for k, v in items.items() if k != "image"} for name, items in batch.items()}
    return {name: criteria[name](raw[name].float(), targets[name]) for name in batch}


def weighted_mean(losses: Mapping[str, Mapping[str, Tensor]], weights: Mapping[str, float]) -> Tensor:
    """The objective, eq. (8): the mean of the tasks' losses, weighted by their alphas."""
    return reduce(add, (weights[name] * terms["loss"] for name, terms in losses.items())) / sum(weights.values())


def validation(state: TrainState, validate: Validate) -> dict[str, float]:
    """Validate between two steps; the row of the log. The state keeps the weights if they are the best so far."""
    state.model.eval()
    score, metrics = validate(state.model)
    best = state.keep_if_best(score, metrics)
    set_modes(state.model, state.criteria)
    say(f"  validation score {score:.4f} (best {best.score:.4f} at step {best.step})")
    return {f"val/{task}/{m}": v for task, found in metrics.items() for m, v in found.items()} | {"val/score": score}


def on_device(batch: Batch, device: torch.device) -> Batch:
    return {n: {k: v.to(device, non_blocking=True) for k, v in items.items()} for n, items in batch.items()}


def outcome_of(state: TrainState, record: Record) -> Outcome:
    learnt = sum(p.numel() for p in state.model.parameters() if p.requires_grad)
    if state.best is None:
        return Outcome(state.step, None, learnt, record=record)
    return Outcome(state.best.step, state.best.score, learnt, state.best.metrics, record)


def facts(run: Run, precision: torch.dtype, parameters: Parameters) -> Record:
    """What the loop itself adds to the record of a run."""
    shapes = {name: (whole_shape(parameter), parameter.requires_grad) for name, parameter in parameters.items()}
    learning = sum(parameter.requires_grad for parameter in parameters.values())
    digest = hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()
    return {
        "seed": run.seed,
        "device": run.device.type,
        "precision": str(precision).removeprefix("torch."),
        "parameters": f"{len(parameters)} tensors, {learning} learning, {digest[:16]}",
        FORMAT_KEY: FORMAT,
    }


def _require_finite(total: Tensor, losses: Mapping[str, Mapping[str, Tensor]], step: int) -> None:
    if not torch.isfinite(total):
        terms = "; ".join(f"{n}.{k}={v.item():.4g}" for n, parts in losses.items() for k, v in parts.items())
        raise FaceptorError(f"step {step}: the loss is not finite ({terms}); lower optimiser.lr or check the labels")
