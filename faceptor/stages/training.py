"""The training stages: stage 1, stage 2 of each task, and the one model folder that holds them all."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from faceptor import train
from faceptor.config import Params
from faceptor.data.batches import crop_spec
from faceptor.errors import ConfigError
from faceptor.framing import measure_framing
from faceptor.models.build import build_model
from faceptor.models.folder import load_model, model_hash, read_description, save_model
from faceptor.models.start import start
from faceptor.stages.common import (
    build_criteria,
    build_validator,
    data_facts,
    live_log,
    pick_device,
    training_steps,
)  # fmt: skip
from faceptor.stages.files import MODELS, RESULTS, RUNS, read_json, write_json
from faceptor.starting import start_of
from faceptor.tasks import task

FRAMED = 24  # training pictures per task in which the face is located, to store how much around it the task sees


def named(patterns, name: str) -> tuple[str, ...]:
    """Trainable patterns with {task} filled in."""
    return tuple(pattern.replace("{task}", name) for pattern in patterns)


def train_joint(params: Params, name: str = "stage1", *, device: str = "auto") -> train.Outcome:
    """All tasks together, from scratch or from published weights: stage 1, or one of `baselines`."""
    weights = start_of(params, name)  # before any data are read
    params = params.variant(name)
    torch.manual_seed(params.seed)
    stage = params.stage1
    model = build_model(params.model, [task(each) for each in stage.tasks])
    start(model, params.model)
    outcome = train_tasks(params, model, stage, stage.tasks, name, named(stage.trainable, "*"), device)
    facts = provenance(params, name, outcome, stage.tasks) | {"starting_weights": weights}
    save_model(model, MODELS / name, provenance=facts)
    train.clear(RUNS / name)
    return outcome


def train_stage2(params: Params, name: str, *, device: str = "auto") -> dict:
    """Layer-Attention of one task on top of frozen stage 1; kept only if it gains on validation."""
    if name not in params.stage2.tasks:
        raise ConfigError(f"stage 2 of {name}: expected one of {', '.join(params.stage2.tasks)}")
    run_name = f"stage2-{name}"
    stage = params.stage2
    model = load_model(MODELS / "stage1")
    where = pick_device(device)
    before, _ = build_validator(params, [name], limit=stage.validate_samples, device=where)(model.to(where))
    torch.manual_seed(params.seed)
    model.enable_layer_attention(name, params.model.layer_attention.mode)
    mixes = {name: stage.tasks[name]}
    outcome = train_tasks(params, model, stage, mixes, run_name, named(stage.trainable, name), device)
    kept = outcome.best_score > before
    folder = MODELS / "stage2-tasks" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tensors = {k: v.cpu().contiguous() for k, v in model.state_dict().items() if k.startswith("layer_attention.")}
    save_file(tensors, folder / "layer_attention.safetensors")
    verdict = {
        "task": name,
        "mode": params.model.layer_attention.mode,
        "skill_stage1": before,
        "skill_stage2": outcome.best_score,
        "kept": kept,
        "best_step": outcome.best_step,
        "trainable_parameters": outcome.trainable,
    }
    write_json(folder / "verdict.json", verdict)
    write_json(RESULTS / "train" / run_name / "verdict.json", verdict)
    train.clear(RUNS / run_name)
    return verdict


def merge_stage2(params: Params) -> dict:
    """Stage 1 plus the Layer-Attention of every task that gained: one model folder."""
    model = load_model(MODELS / "stage1")
    verdicts = {}
    for name in params.stage2.tasks:
        folder = MODELS / "stage2-tasks" / name
        verdicts[name] = read_json(folder / "verdict.json")
        if not verdicts[name]["kept"]:
            continue
        model.enable_layer_attention(name, verdicts[name]["mode"])
        model.load_state_dict(model.state_dict() | load_file(folder / "layer_attention.safetensors"))
    facts = {"stage": "stage2", "seed": params.seed, "start": model_hash(MODELS / "stage1")}
    facts["data"] = read_description(MODELS / "stage1")["provenance"].get("data", {})
    save_model(model, MODELS / "stage2", provenance=facts | {"layer_attention": verdicts})
    return verdicts


def train_tasks(params: Params, model, stage, mixes, run_name: str, trainable, device: str) -> train.Outcome:
    where = pick_device(device)
    specs = {name: model.own_spec(task(name)) for name in mixes}
    steps = training_steps(params, mixes, steps=stage.steps, specs=specs)
    torch.manual_seed(params.seed)
    criteria = build_criteria(params, steps)
    shutil.rmtree(RESULTS / "train" / run_name, ignore_errors=True)
    with live_log(run_name) as live:
        outcome = train.run(
            model, criteria, steps,
            stage=stage, mixes=mixes, trainable=trainable, folder=Path(RUNS / run_name), seed=params.seed,
            device=where, workers=params.data.workers, live=live,
            validate=build_validator(params, mixes, limit=stage.validate_samples, device=where, specs=specs),
        )  # fmt: skip
    model.cpu()
    for name in mixes:
        crop = crop_spec(params, task(name), "test")
        # What a photograph must be cut like; None where too few faces of the set can be located.
        framing = measure_framing(task(name), steps.streams[name].split, crop, limit=FRAMED)
        model.crops[name] = crop.to_dict() | ({"framing": framing.to_list()} if framing else {})
    return outcome


def provenance(params: Params, stage: str, outcome: train.Outcome, tasks: Iterable[str]) -> dict:
    """`data`: the faces that taught each task, so that a model folder tells generated from photographed ones.

    No commit, time or path: equal weights are equal bytes, and Git itself says which commit wrote what.
    """
    return {
        "stage": stage,
        "seed": params.seed,
        "best_step": outcome.best_step,
        "validation_score": outcome.best_score,
        "data": {name: data_facts(params.prepared(task(name).dataset)) for name in tasks},
    }
