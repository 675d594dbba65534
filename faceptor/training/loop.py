"""One training loop for stage 1, stage 2, transfer and the baselines.

The loop knows nothing of any task: it draws a multi-task batch, asks the model for each task's raw output,
each task's criterion for its loss, and minimises their weighted mean, eq. (8) of the paper.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from faceptor.config import Stage
from faceptor.models.base import FaceModel
from faceptor.training.batch_norm import shared_statistics
from faceptor.training.batches import Batch, CheckedSteps, Steps, stream_batches
from faceptor.training.checkpoint import FORMAT
from faceptor.training.distributed import (
    agreed,
    require_whole_batches,
    require_whole_matrices,
    rows_here,
    scaler_of,
    shared_losses,
    totals,
    whole_shape,
)
from faceptor.training.finite import FiniteWatch
from faceptor.training.graph import Recorded
from faceptor.training.interruption import Interrupted, stop_requests
from faceptor.training.optimiser import build_optimiser
from faceptor.training.precision import choose_precision
from faceptor.training.progress import Live, Progress, say
from faceptor.training.record import FORMAT_KEY, Record
from faceptor.training.speed import accelerated
from faceptor.training.state import Metrics, TrainState, seed_process
from faceptor.training.step import GradientStep, task_losses, train_step
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
    require_whole_batches(stage)
    watch = FiniteWatch(run.device, begin=state.step)
    losses_of = shared_losses(model, criteria, steps, task_losses)
    compute = GradientStep(state, losses_of, stage, weights, precision, watch)
    compute = Recorded(compute, state, wanted=stage.cuda_graph and run.device.type == "cuda")
    with (
        fixed_threads(stage.threads),
        shared_statistics(model),
        stop_requests() as asked,
        accelerated(model, criteria, stage) as quick,
    ):
        progress = Progress(begin=state.step, steps=stage.steps, live=run.live)
        progress.report(*state.history)
        checked = CheckedSteps(steps, {name: getattr(each, "limits", {}) for name, each in criteria.items()})
        for batch in stream_batches(checked, start=state.step, workers=run.workers, device=run.device):
            found = quick.attempt(partial(train_step, state, on_device(batch, run.device), compute, stage=stage))
            last, logged = state.step == stage.steps, {}
            if last or state.step % stage.log_every == 0:
                watch.require()
                logged |= totals(read(found))
                progress.losses(state.step, logged)
            if validate and (last or state.step % stage.validate_every == 0):
                watch.require()
                logged |= validation(state, validate)
            if logged:
                state.history.append({"step": state.step, **logged})
                progress.report(state.history[-1])
            stop = agreed(bool(asked))
            if last or stop or state.step % stage.checkpoint_every == 0:
                watch.require()
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


def read(found: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Numbers that a step returned, fetched from the device at once; one that is not finite (the norm of a gradient
    that overflowed float16) is left out."""
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    fetched = torch.stack([value.double() for value in tensors.values()]).tolist() if tensors else []
    values = {**found, **dict(zip(tensors, fetched, strict=True))}
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


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
