"""The transfer stages: an unseen data set, three ways to learn it (paper section 4.6, Table 9)."""

import torch

from faceptor.config.sections import spelled, unspelled
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.files import MODELS, RESULTS, RUNS, write_json
from faceptor.models.base import FaceModel
from faceptor.models.low_rank import LEARNT, adapt, merge
from faceptor.pipeline.device import pick_device
from faceptor.pipeline.evaluation import INTERVALS, judge, tests_of_task
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.forgetting import forgotten
from faceptor.pipeline.run_record import started_record
from faceptor.pipeline.samples import data_facts
from faceptor.pipeline.training import chosen, named, running, set_crops, train_tasks
from faceptor.training.checkpoint import clear
from faceptor.training.distributed import is_first
from faceptor.training.loop import Outcome
from faceptor.training.record import flatten
from faceptor.weights.folder import load_model, model_hash, read_description, save_model


def transfer(experiment: Experiment, dataset: str, mode: str, *, device: str = "auto") -> dict:
    """Teach the start model a new data set; write results/transfer/<dataset>-<mode>.json, the headline numbers, and
    details/<dataset>-<mode>.json beside it; return the details, on the first of several processes alone.

    Modes are lists of trainable patterns: prompt (the new queries), decoder (and decoders and output modules),
    full (everything); lora (the new queries and low-rank adapters) is not in the paper. What the old tasks lost is
    measured where anything but the new queries changed.
    """
    params = experiment.params
    name = task_of(experiment, unspelled(dataset))
    dataset = spelled(experiment.spec(name).dataset)  # files and folders are named as params.yaml spells it
    if mode not in params.transfer.modes:
        raise ConfigError(f"transfer mode {mode!r}: expected one of {', '.join(params.transfer.modes)}")
    run_name = f"transfer-{dataset}-{mode}"
    with running(run_name, params.transfer):
        return _transfer(experiment, name, dataset, mode, run_name, device)


def _transfer(experiment: Experiment, name: str, dataset: str, mode: str, run_name: str, device: str) -> dict:
    params, spec = experiment.params, experiment.spec(name)
    start = MODELS / params.transfer.start
    about = {
        "dataset": dataset,
        "mode": mode,
        "start": params.transfer.start,
        "start_hash": model_hash(start),  # of what is loaded here; it may be another one when the training ends
        "seed": params.seed,
        "intervals": INTERVALS,
        "data": {name: data_facts(experiment.prepared(spec.dataset))},
    }
    taught = read_description(start)["provenance"].get("data", {}) | about["data"]
    model, outcome = taught_model(experiment, name, mode, run_name, start=params.transfer.start, device=device)
    if not is_first():
        return {}
    set_crops(experiment, model, [name])
    model.to(pick_device(device))
    tests = tests_of_task(experiment, model.tasks[name])
    found = judge(experiment, model, tests, device=device)
    if found.failed:
        raise FaceptorError(next(f"{test}: {reason}" for test, reason in found.failed.items()))
    lost = forgotten(experiment, model, load_model(start), device=device)
    details = {
        "about": about | chosen(outcome),
        "trainable_parameters": outcome.trainable,
        "total_parameters": sum(p.numel() for p in model.parameters()),
        "tasks": found.tasks,
        "forgotten": lost,
    }
    headlines = found.headlines()
    intervals = headlines.pop("intervals") | {"skill_lost": lost["interval"]}
    headlines |= {"skill_lost": lost["skill_lost"], "intervals": intervals}
    write_json(RESULTS / "transfer" / "details" / f"{dataset}-{mode}.json", details)
    write_json(RESULTS / "transfer" / f"{dataset}-{mode}.json", headlines)
    save_model(model.cpu(), MODELS / "transfer" / f"{dataset}-{mode}", provenance=details["about"] | {"data": taught})
    clear(RUNS / run_name)
    return details


def taught_model(
    experiment: Experiment, name: str, mode: str, run_name: str, *, start: str, device: str, log: bool = True
) -> tuple[FaceModel, Outcome]:
    """The model of models/<start>, on the CPU, after it learnt a task in one of `transfer.modes`; it has no crop of
    that task yet."""
    params, settings = experiment.params, experiment.params.transfer.modes[mode]
    stage = params.transfer.model_copy(
        update={"optimiser": params.transfer.optimiser.model_copy(update={"lr": settings.lr})}
    )
    model = load_model(MODELS / start)
    torch.manual_seed(params.seed)
    model.add_task(experiment.spec(name))
    trainable = named(settings.trainable, name)
    if settings.rank:
        adapt(model, rank=settings.rank)
        trainable += (LEARNT,)
    of_mode = flatten(settings.model_dump(mode="json"), f"transfer.modes.{mode}")
    instead = {"transfer.optimiser.lr": None, "transfer.trainable": None}  # the mode's hold
    outcome = train_tasks(
        experiment, model, stage, {name: stage.tasks[name]}, run_name, trainable, device,
        facts=started_record(experiment, start) | of_mode | instead, section="transfer", log=log,
    )  # fmt: skip
    merge(model)
    return model, outcome


def task_of(experiment: Experiment, dataset: str) -> str:
    """The transfer task of a data set."""
    names = {spec.dataset: name for name, spec in experiment.specs_of(experiment.params.transfer.tasks).items()}
    if dataset not in names:
        raise ConfigError(f"transfer to {dataset!r}: expected one of {', '.join(names)}; add it to transfer.tasks")
    return names[dataset]
