"""The training stages: stage 1, stage 2 of each task, and the one model folder that holds them all."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from safetensors.torch import load_file, save_file

from faceptor.config import Sampling, Stage
from faceptor.errors import ConfigError
from faceptor.io.files import MODELS, RESULTS, RUNS, read_json, write_json
from faceptor.io.lock import locked
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.pipeline.device import pick_device
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.first_look import with_pictures
from faceptor.pipeline.framings import framing_of
from faceptor.pipeline.run_parts import build_criteria, build_validator, live_log, training_steps
from faceptor.pipeline.run_record import built_record, data_record, started_record
from faceptor.pipeline.samples import data_facts, validation_samples
from faceptor.pipeline.starting_weights import starting_weights_of
from faceptor.pipeline.verdict import choosing_and_judging, judge, verdict
from faceptor.training.checkpoint import clear
from faceptor.training.distributed import is_first, joined
from faceptor.training.loop import Outcome, Run, train
from faceptor.training.progress import say
from faceptor.training.record import Record, flatten, stage_facts
from faceptor.training.threads import fixed_threads
from faceptor.weights.folder import load_model, model_hash, read_description, save_model
from faceptor.weights.initialise import initialise

PICTURES_FRAMED = 24  # per task; the face in them is located, to store how much around it the task sees


def named(patterns, name: str) -> tuple[str, ...]:
    """Trainable patterns with {task} filled in."""
    return tuple(pattern.replace("{task}", name) for pattern in patterns)


@contextmanager
def running(run_name: str, stage: Stage) -> Iterator[None]:
    """Around all that a training does: nobody else trains it, and its threads are as many as its section says. Where
    torchrun started several processes, they train together; the first one holds the lock and writes what comes out."""
    with joined(), locked(RUNS / run_name) if is_first() else nullcontext(), fixed_threads(stage.threads):
        yield


def train_joint(experiment: Experiment, name: str = "stage1", *, device: str = "auto") -> Outcome:
    """All tasks together, from scratch or from published weights: stage 1, or one of `baselines`."""
    weights = starting_weights_of(experiment.params, name)  # before any data are read
    experiment = experiment.variant(name)
    stage = experiment.params.stage1
    home, section = ("", "stage1") if name == "stage1" else (f"baselines.{name}.", f"baselines.{name}.train")
    with running(name, stage):
        made_of = provenance(experiment, name, stage.tasks) | {"starting_weights": weights}
        model, outcome = joint_model(experiment, name, model=f"{home}model", section=section, device=device)
        if is_first():
            set_crops(experiment, model, stage.tasks)
            save_model(model, MODELS / name, provenance=made_of | chosen(outcome))
            clear(RUNS / name)
    return outcome


def joint_model(
    experiment: Experiment, run_name: str, *, model: str = "model", section: str = "stage1", device: str,
    log: bool = True,
) -> tuple[FaceModel, Outcome]:  # fmt: skip
    """The model of `model`, trained as `stage1` says; it has no crops yet. model, section: what these two are called in
    params.yaml."""
    params, stage = experiment.params, experiment.params.stage1
    torch.manual_seed(params.seed)
    built = build_model(params.model, experiment.joint_specs)
    initialise(built, params.model, where=model)
    outcome = train_tasks(
        experiment, built, stage, stage.tasks, run_name, named(stage.trainable, "*"), device,
        facts=built_record(experiment, built, section=model), section=section, log=log,
    )  # fmt: skip
    return built, outcome


def train_stage2(experiment: Experiment, name: str, *, device: str = "auto") -> dict:
    """Layer-Attention of one task on top of frozen stage 1.

    Kept only if it gains on validation samples that did not choose its step, see `faceptor.pipeline.verdict`. Returns
    the verdict, on the first process alone; nothing on the others.
    """
    params = experiment.params
    if name not in params.stage2.tasks:
        raise ConfigError(f"stage 2 of {name}: expected one of {', '.join(params.stage2.tasks)}")
    if params.model.layer_attention.from_start:
        raise ConfigError(f"stage 2 of {name}: stage 1 trains it already, set model.layer_attention.from_start: false")
    run_name, stage, where = f"stage2-{name}", params.stage2, pick_device(device)
    with running(run_name, stage):
        model = load_model(MODELS / "stage1")
        held_out = validation_samples(experiment, [name], limit=stage.validate_samples)
        choosing, judging = choosing_and_judging(held_out[name]) if held_out else (None, None)
        before = judge(experiment, model, name, judging, device=where) if held_out and is_first() else None
        outcome = train_layer_attention(
            experiment, model, name, run_name, start="stage1", samples={name: choosing} if held_out else {},
            device=device,
        )  # fmt: skip
        if not is_first():
            return {}
        after = judge(experiment, model, name, judging, device=where, before=before) if held_out else None
        found = {"task": name, "mode": params.model.layer_attention.mode}
        found |= verdict(before, after, seed=params.seed) | chosen(outcome)
        found |= {"seeds": [params.seed], "trainable_parameters": outcome.trainable}
        _save_stage2(model, name, found)
        clear(RUNS / run_name)
    return found


def train_layer_attention(
    experiment: Experiment, model: FaceModel, name: str, run_name: str, *, start: str, samples=None, device: str,
    log: bool = True,
) -> Outcome:  # fmt: skip
    """Give one task of a model Layer-Attention and train it as `stage2` says. start: the folder below models/ that the
    model is from. samples: as in `train_tasks`."""
    params, stage = experiment.params, experiment.params.stage2
    settings = experiment.settings(name).model_dump(mode="json", exclude={"samples", "weight"})
    facts = started_record(experiment, start) | flatten(settings, f"stage1.tasks.{name}")
    torch.manual_seed(params.seed)
    model.enable_layer_attention(name, params.model.layer_attention.mode)
    return train_tasks(
        experiment, model, stage, {name: stage.tasks[name]}, run_name, named(stage.trainable, name), device,
        facts=facts, section="stage2", samples=samples, log=log,
    )  # fmt: skip


def _save_stage2(model, name: str, found: dict) -> None:
    folder = MODELS / "stage2-tasks" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tensors = {k: v.cpu().contiguous() for k, v in model.state_dict().items() if k.startswith("layer_attention.")}
    save_file(tensors, folder / "layer_attention.safetensors")
    write_json(folder / "verdict.json", found)
    write_json(RESULTS / "train" / f"stage2-{name}" / "verdict.json", found)


def merge_stage2(experiment: Experiment) -> dict:
    """Stage 1 plus the Layer-Attention of every task that gained: one model folder."""
    model = load_model(MODELS / "stage1")
    verdicts = {}
    for name in experiment.params.stage2.tasks:
        folder = MODELS / "stage2-tasks" / name
        verdicts[name] = read_json(folder / "verdict.json")
        if not verdicts[name]["kept"]:
            continue
        model.enable_layer_attention(name, verdicts[name]["mode"])
        model.load_state_dict(model.state_dict() | load_file(folder / "layer_attention.safetensors"))
    facts = {"stage": "stage2", "seed": experiment.params.seed, "start": model_hash(MODELS / "stage1")}
    facts["data"] = read_description(MODELS / "stage1")["provenance"].get("data", {})
    save_model(model, MODELS / "stage2", provenance=facts | {"layer_attention": verdicts})
    return verdicts


def train_tasks(
    experiment: Experiment, model, stage: Stage, sampling: Mapping[str, Sampling], run_name: str, trainable,
    device: str, *, facts: Record, section: str, samples=None, log: bool = True,
) -> Outcome:  # fmt: skip
    """Train a model on the tasks of `sampling`.

    facts: what shapes the run beyond the stage and its data, for its record; section: where the stage is written in
    params.yaml. samples: validation samples of each task, where they are not the whole validation split. log: keep the
    numbers of the way in results/train/<run_name>, and show validation faces in runs/pictures.
    """
    where = pick_device(device)
    params = experiment.params
    specs = {name: model.own_spec(spec) for name, spec in experiment.specs_of(sampling).items()}
    steps = training_steps(experiment, sampling, specs, steps=stage.steps)
    if samples is None:
        samples = validation_samples(experiment, sampling, limit=stage.validate_samples)
    select = getattr(stage, "select", ())
    validate = build_validator(experiment, samples, specs, device=where, select=select)
    log = log and is_first()
    if log and validate:
        crops = {name: experiment.crop(name, "test") for name in samples}
        validate = with_pictures(validate, samples, specs, crops, run_name=run_name, device=where)
    if blind := [name for name in sampling if name not in samples]:
        say(f"{run_name}: trained on everything, not validated: {', '.join(blind)}")
    record = stage_facts(stage, sampling, section=section) | facts | data_record(experiment, specs)
    record["evaluate.batch"] = params.evaluate.batch  # of validation, whose scores choose the step
    if params.evaluate.precision != "fp32":
        record["evaluate.precision"] = params.evaluate.precision
    if params.data.decode != "full":
        record["data.decode"] = params.data.decode
    torch.manual_seed(params.seed)
    criteria = build_criteria(experiment, steps)
    if log:
        shutil.rmtree(RESULTS / "train" / run_name, ignore_errors=True)
    with live_log(run_name) if log else nullcontext() as live:
        run = Run(RUNS / run_name, record, seed=params.seed, device=where, workers=params.data.workers, live=live)
        weights = {name: each.weight for name, each in sampling.items()}
        outcome = train(
            model, criteria, steps,
            stage=stage, weights=weights, trainable=trainable, run=run, validate=validate,
        )  # fmt: skip
    model.cpu()
    return outcome


def set_crops(experiment: Experiment, model, names: Iterable[str]) -> None:
    """Store in the model how photographs must be cut for these tasks, as they were trained."""
    for name, spec in experiment.specs_of(names).items():
        framing = framing_of(experiment, spec, pictures=PICTURES_FRAMED)  # None where too few faces can be located
        crop = experiment.crop(name, "test").to_dict()
        model.crops[name] = crop | ({"framing": framing.to_list()} if framing else {})


def chosen(outcome: Outcome) -> dict:
    """Which step's weights a model has, and how it was chosen."""
    return {
        "best_step": outcome.best_step,
        "validation_score": outcome.best_score,
        "selected": outcome.selected,
        "validated": sorted(outcome.validation),
    }


def provenance(experiment: Experiment, stage: str, tasks: Iterable[str]) -> dict:
    """What a model is made of, read before it is trained.

    `data`: the faces that teach each task, so that a model folder tells generated from photographed ones. No commit,
    time or path: equal weights are equal bytes, and Git itself says which commit wrote what.
    """
    return {
        "stage": stage,
        "seed": experiment.params.seed,
        "data": {n: data_facts(experiment.prepared(s.dataset)) for n, s in experiment.specs_of(tasks).items()},
    }
