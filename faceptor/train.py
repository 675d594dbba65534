"""One training loop for stage 1, stage 2, transfer and the baselines.

The loop knows nothing of any task: it draws a multi-task batch, asks the model for each task's raw output,
each task's criterion for its loss, and minimises their weighted mean, eq. (8) of the paper.
"""

import hashlib
import json
import math
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

from faceptor.checkpoint import load_checkpoint, random_state, restore_random_state, save_atomic
from faceptor.config import Mix, Stage
from faceptor.data.batches import Steps, stream_batches
from faceptor.errors import FaceptorError
from faceptor.optim import build_optimisers, rate_at, set_rate, set_trainable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Outcome:
    """What a run ends with; the model itself holds the weights of the best validation."""

    best_step: int
    best_score: float
    trainable: int  # parameters of the model that learnt (criteria not counted)
    validation: dict = field(default_factory=dict)  # task -> metric -> value, at the best step


class Interrupted(FaceptorError):
    """The run was asked to stop; its checkpoint is on disk."""


def run(
    model: nn.Module,
    criteria: nn.ModuleDict,
    steps: Steps,
    *,
    stage: Stage,
    mixes: Mapping[str, Mix],
    trainable: tuple[str, ...],
    folder: Path,
    seed: int,
    device: torch.device,
    validate: Callable[[nn.Module], tuple[float, dict]],
    live=None,
    workers: int = 0,
) -> Outcome:
    """Train until `stage.steps`, validate on the way, leave the best weights in the model.

    folder: where the checkpoint of the run lies; a run found there is continued. validate(model) returns
    (score, metrics); the higher score wins. live: a dvclive-like object, told every logged number.
    """
    model.to(device)
    criteria.to(device)
    names = {**dict(model.named_parameters()), **{f"criteria.{n}": p for n, p in criteria.named_parameters()}}
    chosen = set_trainable(names, trainable, what="trainable")
    optimisers = build_optimisers(names, stage.optimiser)
    precision = _precision(stage.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    parts = {"model": model, "criteria": criteria, **optimisers, "scaler": scaler}
    fingerprint = _fingerprint(stage, mixes, trainable, seed, names, steps)

    best = {"step": 0, "score": float("-inf"), "validation": {}, "weights": None}
    begin, history = 0, []
    saved = load_checkpoint(folder / "last.pt")
    if saved and saved["fingerprint"] == fingerprint:
        for key, part in parts.items():
            part.load_state_dict(saved[key])
        restore_random_state(saved["random"])
        begin, best, history = saved["step"], saved["best"], saved["history"]
        _say(f"resuming at step {begin} of {stage.steps} from {folder / 'last.pt'}")
    elif saved:
        _say(f"{folder / 'last.pt'} belongs to another configuration; starting anew")
    for row in history:
        _report(live, row)

    def save(step: int) -> None:
        state = {key: part.state_dict() for key, part in parts.items()}
        state |= {"step": step, "best": best, "history": history, "random": random_state()}
        save_atomic(state | {"fingerprint": fingerprint}, folder / "last.pt")

    def validated(step: int) -> dict:
        nonlocal best
        model.eval()
        score, metrics = validate(model)
        if score > best["score"]:
            weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            best = {"step": step, "score": score, "validation": metrics, "weights": weights}
        _set_modes(model, criteria)
        return {f"val/{t}/{m}": v for t, values in metrics.items() for m, v in values.items()} | {"val/score": score}

    if begin == 0:
        torch.manual_seed(seed)
    _set_modes(model, criteria)
    weight_sum = sum(mix.weight for mix in mixes.values())
    clock, since = time.monotonic(), begin
    with _stop_requests() as stop:
        for step, batch in enumerate(stream_batches(steps, start=begin, workers=workers), begin):
            for optimiser in optimisers.values():
                set_rate(optimiser, rate_at(step, stage.optimiser, stage.steps))
                optimiser.zero_grad(set_to_none=True)
            with _autocast(device, precision):
                losses = task_losses(model, criteria, _to(batch, device))
            total = sum(mixes[name].weight * terms["loss"] for name, terms in losses.items()) / weight_sum
            _require_finite(total, losses, step)
            scaler.scale(total).backward()
            for optimiser in optimisers.values():
                scaler.unscale_(optimiser)
            norm = nn.utils.clip_grad_norm_([names[name] for name in chosen], stage.optimiser.clip or math.inf)
            for optimiser in optimisers.values():
                scaler.step(optimiser)
            scaler.update()

            done = step + 1
            row = {}
            if done % stage.log_every == 0 or done == stage.steps:
                rate = rate_at(step, stage.optimiser, stage.steps)
                row = {"loss/all": total.item(), "gradient_norm": norm.item(), "lr": rate}
                row |= {f"loss/{name}": terms["loss"].item() for name, terms in losses.items()}
                pace = (time.monotonic() - clock) / (done - since)
                _say(_progress(done, stage.steps, row, pace))
            if done % stage.validate_every == 0 or done == stage.steps:
                row |= validated(done)
                _say(f"  validation score {row['val/score']:.4f} (best {best['score']:.4f} at step {best['step']})")
            if row:
                history.append({"step": done, **row})
                _report(live, history[-1])
            if done % stage.checkpoint_every == 0 or done == stage.steps or stop:
                save(done)
            if stop and done < stage.steps:
                raise Interrupted(f"stopped at step {done} of {stage.steps}; run the same command to go on")

    model.load_state_dict(best["weights"])
    model.eval()
    counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Outcome(best["step"], best["score"], counted, best["validation"])


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


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return DTYPES[wanted]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _autocast(device: torch.device, dtype: torch.dtype):
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _to(batch: Mapping, device: torch.device) -> dict:
    return {n: {k: v.to(device, non_blocking=True) for k, v in items.items()} for n, items in batch.items()}


def _require_finite(total: torch.Tensor, losses: Mapping, step: int) -> None:
    if not torch.isfinite(total):
        terms = "; ".join(f"{n}.{k}={v.item():.4g}" for n, parts in losses.items() for k, v in parts.items())
        raise FaceptorError(f"step {step}: the loss is not finite ({terms}); lower optimiser.lr or check the labels")


def _fingerprint(stage: Stage, mixes: Mapping, trainable, seed: int, names: Mapping, steps: Steps) -> str:
    facts = {
        "stage": stage.model_dump(mode="json", exclude={"log_every", "checkpoint_every"}),
        "mixes": {name: mix.model_dump(mode="json") for name, mix in mixes.items()},
        "trainable": list(trainable),
        "seed": seed,
        "samples": {name: len(stream.split) for name, stream in steps.streams.items()},
        "shapes": {name: list(p.shape) for name, p in names.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
