"""One training loop for stage 1, stage 2, transfer and the baselines.

The loop knows nothing of any task: it draws a multi-task batch, asks the model for each task's raw output,
each task's criterion for its loss, and minimises their weighted mean, eq. (8) of the paper.
"""

import hashlib
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from faceptor.config import Sampling, Stage
from faceptor.errors import FaceptorError
from faceptor.training.batches import Steps, stream_batches
from faceptor.training.checkpoint import (
    FORMAT,
    damaged,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_atomic,
)  # fmt: skip
from faceptor.training.optimiser import build_optimisers, rate_at, set_rate, set_trainable
from faceptor.training.record import FORMAT_KEY, Record, differences
from faceptor.training.threads import fixed_threads

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Outcome:
    """What a run ends with; the model itself holds the weights of the best validation, or the last ones."""

    best_step: int
    best_score: float | None  # None where nothing was validated
    trainable: int  # parameters of the model that learnt (criteria not counted)
    validation: dict = field(default_factory=dict)  # task -> metric -> value, at the best step
    record: Record = field(default_factory=dict)  # what shaped the run

    @property
    def selected(self) -> str:
        """How the step was chosen whose weights were kept."""
        return "last step, no validation" if self.best_score is None else "best validation"


class Interrupted(FaceptorError):
    """The run was asked to stop; its checkpoint is on disk."""


def run(
    model: nn.Module,
    criteria: nn.ModuleDict,
    steps: Steps,
    *,
    stage: Stage,
    sampling: Mapping[str, Sampling],
    trainable: tuple[str, ...],
    record: Record,
    folder: Path,
    seed: int,
    device: torch.device,
    validate: Callable[[nn.Module], tuple[float, dict]] | None,
    live=None,
    workers: int = 0,
) -> Outcome:
    """Train until `stage.steps`, validate on the way, leave the best weights in the model.

    record: what shapes the run beyond the other arguments (starting weights, data, ...). folder: where the checkpoint
    of the run lies; a run found there is continued if its record is the same. Nobody else may train in it meanwhile
    (see faceptor.io.lock). validate(model) returns (score, metrics); the higher score wins, and without `validate` the
    last weights are kept. live: a dvclive-like object, told every logged number.
    """
    model.to(device)
    criteria.to(device)
    names = {**dict(model.named_parameters()), **{f"criteria.{n}": p for n, p in criteria.named_parameters()}}
    chosen = [names[name] for name in set_trainable(names, trainable, what="trainable")]
    optimisers = build_optimisers(names, stage.optimiser)
    precision = choose_precision(stage.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    parts = {"model": model, "criteria": criteria, **optimisers, "scaler": scaler}
    record = record | _facts(seed, device, precision, names)

    best = {"step": stage.steps, "score": None, "validation": {}, "weights": None}
    begin, history = 0, []
    if saved := _resume(folder / "last.pt", record, parts):
        begin, best, history = saved["step"], saved["best"], saved["history"]
        _say(f"resuming at step {begin} of {stage.steps} from {folder / 'last.pt'}")
    for row in history:
        _report(live, row)

    def save(step: int) -> None:
        state = {key: part.state_dict() for key, part in parts.items()}
        state |= {"step": step, "best": best, "history": history, "random": random_state()}
        save_atomic(state | {"record": record}, folder / "last.pt")

    def validated(step: int) -> dict:
        nonlocal best
        model.eval()
        score, metrics = validate(model)
        _require_score(score, metrics, step)
        if best["score"] is None or score > best["score"]:
            weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            best = {"step": step, "score": score, "validation": metrics, "weights": weights}
        _set_modes(model, criteria)
        return {f"val/{t}/{m}": v for t, values in metrics.items() for m, v in values.items()} | {"val/score": score}

    if begin == 0:
        torch.manual_seed(seed)
    _set_modes(model, criteria)
    weight_sum = sum(one.weight for one in sampling.values())
    clock, since = time.monotonic(), begin
    with fixed_threads(stage.threads), _stop_requests() as stop:
        for step, batch in enumerate(stream_batches(steps, start=begin, workers=workers), begin):
            rate = rate_at(step, stage.optimiser, stage.steps)
            with _autocast(device, precision):
                losses = task_losses(model, criteria, _to(batch, device))
            total = sum(sampling[name].weight * terms["loss"] for name, terms in losses.items()) / weight_sum
            _require_finite(total, losses, step)
            norm = _minimise(total, chosen, optimisers, scaler, rate=rate, clip=stage.optimiser.clip, step=step)

            done = step + 1
            row = {}
            if done % stage.log_every == 0 or done == stage.steps:
                row = {"loss/all": total.item(), "lr": rate}
                row |= {f"loss/{name}": terms["loss"].item() for name, terms in losses.items()}
                row |= {"gradient_norm": norm} if math.isfinite(norm) else {}
                pace = (time.monotonic() - clock) / (done - since)
                _say(_progress(done, stage.steps, row, pace))
            if validate and (done % stage.validate_every == 0 or done == stage.steps):
                row |= validated(done)
                _say(f"  validation score {row['val/score']:.4f} (best {best['score']:.4f} at step {best['step']})")
            if row:
                history.append({"step": done, **row})
                _report(live, history[-1])
            if done % stage.checkpoint_every == 0 or done == stage.steps or stop:
                save(done)
            if stop and done < stage.steps:
                raise Interrupted(f"stopped at step {done} of {stage.steps}; run the same command to go on{_of_dvc()}")

    if best["weights"] is not None:
        model.load_state_dict(best["weights"])
    model.eval()
    counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Outcome(best["step"], best["score"], counted, best["validation"], record)


def task_losses(model: nn.Module, criteria: nn.ModuleDict, batch: Mapping[str, Mapping]) -> dict[str, dict]:
    """Loss terms of every task in the batch: {task: {"loss": scalar, named parts ...}}."""
    raw = model.forward_tasks({name: items["image"] for name, items in batch.items()})
    targets = {name: {k: v for k, v in items.items() if k != "image"} for name, items in batch.items()}
    return {name: criteria[name](raw[name].float(), targets[name]) for name in batch}


def clear(folder: Path) -> None:
    """Forget a finished run, so that the next one with the same configuration starts from scratch."""
    shutil.rmtree(folder, ignore_errors=True)


def _set_modes(*modules: nn.Module) -> None:
    """Train mode only where something learns: frozen parts keep their statistics and drop nothing."""
    for module in modules:
        _set_mode(module, learns=False)


def _set_mode(module: nn.Module, *, learns: bool) -> None:
    parameters = list(module.parameters())
    # A module without parameters (dropout, drop path) does as the module around it does.
    module.training = any(p.requires_grad for p in parameters) if parameters else learns
    for child in module.children():
        _set_mode(child, learns=module.training)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """`auto` on a GPU: bfloat16 where its cores compute in it (capability 8.0 and above, and AMD's), else float16.

    `torch.cuda.is_bf16_supported()` also counts emulation, which is slower than float32.
    """
    if wanted != "auto":
        return DTYPES[wanted]
    if device.type != "cuda":
        return torch.float32
    native = bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if native else torch.float16


def _autocast(device: torch.device, dtype: torch.dtype):
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _to(batch: Mapping, device: torch.device) -> dict:
    return {n: {k: v.to(device, non_blocking=True) for k, v in items.items()} for n, items in batch.items()}


def _minimise(total: torch.Tensor, parameters, optimisers: Mapping, scaler, *, rate: float, clip, step: int) -> float:
    """One step of every optimiser; the norm of the gradient before it was clipped.

    A gradient that overflows float16 (the norm is not finite) is no error: no optimiser moves, and the scale falls.
    """
    for optimiser in optimisers.values():
        set_rate(optimiser, rate)
        optimiser.zero_grad(set_to_none=True)
    scaler.scale(total).backward()
    for optimiser in optimisers.values():
        scaler.unscale_(optimiser)
    norm = nn.utils.clip_grad_norm_(parameters, clip or math.inf).item()
    if math.isfinite(norm):
        for optimiser in optimisers.values():
            scaler.step(optimiser)
    elif not scaler.is_enabled():
        raise FaceptorError(f"step {step}: the gradient is not finite; lower optimiser.lr or check the labels")
    scaler.update()
    return norm


def _require_finite(total: torch.Tensor, losses: Mapping, step: int) -> None:
    if not torch.isfinite(total):
        terms = "; ".join(f"{n}.{k}={v.item():.4g}" for n, parts in losses.items() for k, v in parts.items())
        raise FaceptorError(f"step {step}: the loss is not finite ({terms}); lower optimiser.lr or check the labels")


def _require_score(score: float, metrics: Mapping, step: int) -> None:
    if not math.isfinite(score):
        values = {f"{task}.{name}": value for task, found in metrics.items() for name, value in found.items()}
        bad = ", ".join(name for name, value in values.items() if not math.isfinite(value)) or "score"
        raise FaceptorError(
            f"step {step}: validation gives no finite number ({bad}); check the validation samples, or let other tasks "
            "choose the step (`select`)"
        )


def _facts(seed: int, device: torch.device, precision: torch.dtype, names: Mapping[str, nn.Parameter]) -> Record:
    """What the loop itself adds to the record of a run."""
    shapes = {name: (list(parameter.shape), parameter.requires_grad) for name, parameter in names.items()}
    learning = sum(parameter.requires_grad for parameter in names.values())
    digest = hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()
    return {
        "seed": seed,
        "device": device.type,
        "precision": str(precision).removeprefix("torch."),
        "parameters": f"{len(names)} tensors, {learning} learning, {digest[:16]}",
        FORMAT_KEY: FORMAT,
    }


def _resume(path: Path, record: Record, parts: Mapping) -> dict | None:
    """Put the run that stopped here into `parts`; None if there is none, or one that another record shaped."""
    saved = load_checkpoint(path)
    if saved is None:
        return None
    # before format 2, a hash named `fingerprint` stood for what the record says
    old = saved.get("record", {FORMAT_KEY: 1} if "fingerprint" in saved else None)
    if not isinstance(old, dict):
        raise damaged(path, "expected a checkpoint, found a file without the record of a run")
    if changed := differences(old, record):
        _say(f"{path}: belongs to another run ({changed}); starting anew")
        return None
    try:
        for key, part in parts.items():
            part.load_state_dict(saved[key])
        restore_random_state(saved["random"])
        return {key: saved[key] for key in ("step", "best", "history")}
    except Exception as error:  # state of every kind of part, each with its own complaints
        raise damaged(path, f"damaged checkpoint ({type(error).__name__}: {str(error).splitlines()[0]})") from error


def _of_dvc() -> str:
    if "DVC_STAGE" not in os.environ:
        return ""
    return ", or `git restore dvc.lock results && dvc checkout` for the outputs from before, which DVC removed"


@contextmanager
def _stop_requests():
    """SIGTERM and Ctrl-C let the current step finish and its checkpoint be written; truthy once asked."""
    asked: list[int] = []
    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, lambda n, _: asked.append(n))
    except ValueError:
        pass  # not the main thread: whoever runs us there handles signals
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _progress(done: int, steps: int, row: Mapping, pace: float) -> str:
    terms = "  ".join(f"{k.removeprefix('loss/')} {v:.3f}" for k, v in row.items() if k.startswith("loss/"))
    minutes, seconds = divmod(int(pace * (steps - done)), 60)
    return f"step {done}/{steps}  {terms}  {pace:.2f} s/step  ETA {minutes}:{seconds:02d}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _report(live, row: Mapping) -> None:
    if live is None:
        return
    live.step = row["step"]
    for name, value in row.items():
        if name != "step":
            live.log_metric(name, value, timestamp=False)
    live.make_summary()
