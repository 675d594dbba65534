"""The transfer stages: an unseen data set, three ways to learn it (paper section 4.6, Table 9)."""

import torch

from faceptor import train
from faceptor.config import Params
from faceptor.errors import ConfigError
from faceptor.evaluate import headline_of
from faceptor.models.folder import load_model, model_hash, read_description, save_model
from faceptor.sections import spelled, unspelled
from faceptor.stages.common import data_facts, pick_device
from faceptor.stages.evaluation import evaluate_tasks, measure_test, test_folder
from faceptor.stages.files import MODELS, RESULTS, RUNS, read_json, write_json
from faceptor.stages.training import named, train_tasks
from faceptor.tasks import task


def transfer(params: Params, dataset: str, mode: str, *, device: str = "auto") -> dict:
    """Teach the start model a new data set; write results/transfer/<dataset>-<mode>.json.

    Modes are lists of trainable patterns: prompt (the new queries), decoder (and decoders and output modules),
    full (everything). What the old tasks lost is measured where anything but the new queries changed.
    """
    name = task_of(params, unspelled(dataset))
    dataset = spelled(task(name).dataset)  # files and folders are named as params.yaml spells it
    if mode not in params.transfer.modes:
        raise ConfigError(f"transfer mode {mode!r}: expected one of {', '.join(params.transfer.modes)}")
    settings = params.transfer.modes[mode]
    stage = params.transfer.model_copy(
        update={"optimiser": params.transfer.optimiser.model_copy(update={"lr": settings.lr})}
    )
    start = MODELS / params.transfer.start
    model = load_model(start)
    torch.manual_seed(params.seed)
    model.add_task(task(name))
    run_name = f"transfer-{dataset}-{mode}"
    mixes = {name: stage.tasks[name]}
    outcome = train_tasks(params, model, stage, mixes, run_name, named(settings.trainable, name), device)
    model.to(pick_device(device))
    numbers, _, _ = evaluate_tasks(params, model, [name], device=device, figures=False)
    report = {
        "about": {
            "dataset": dataset,
            "mode": mode,
            "start": params.transfer.start,
            "start_hash": model_hash(start),
            "seed": params.seed,
            "best_step": outcome.best_step,
            "data": {name: data_facts(test_folder(params, name))},
        },
        "trainable_parameters": outcome.trainable,
        "total_parameters": sum(p.numel() for p in model.parameters()),
        **numbers,
        "forgotten": forgotten(params, model, load_model(start), device=device),
    }
    write_json(RESULTS / "transfer" / f"{dataset}-{mode}.json", report)
    taught = read_description(start)["provenance"].get("data", {}) | report["about"]["data"]
    save_model(model.cpu(), MODELS / "transfer" / f"{dataset}-{mode}", provenance=report["about"] | {"data": taught})
    train.clear(RUNS / run_name)
    return report


def forgotten(params: Params, model, start, *, device: str) -> dict:
    """Headline of every old task before and after the transfer.

    Where no tensor of the start model has changed (prompt tuning) and tasks do not hear each other, the old answers are
    the same numbers and are not computed again.
    """
    before = read_json(RESULTS / "evaluate" / f"{params.transfer.start}.json")
    now = model.state_dict()
    old = start.state_dict()
    changed = [name for name, value in old.items() if name not in now or not torch.equal(value, now[name].cpu())]
    rows = {}
    for name in (name for name in start.tasks if name in before):
        headline = headline_of(task(name))
        after = before[name][headline]
        if changed or not model.isolated:
            after = round(measure_test(params, model, name, device=device).metrics[headline], 4)
        rows[name] = {"metric": headline, "before": before[name][headline], "after": after}
    return {"tensors_changed": len(changed), "tasks": rows}


def task_of(params: Params, dataset: str) -> str:
    """The transfer task of a data set."""
    names = {task(name).dataset: name for name in params.transfer.tasks}
    if dataset not in names:
        raise ConfigError(f"transfer to {dataset!r}: expected one of {', '.join(names)}; add it to transfer.tasks")
    return names[dataset]
