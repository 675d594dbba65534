"""What every stage shares: the device, the splits and criteria of tasks, validation, the log of a training."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from faceptor.config import Params
from faceptor.config.sections import spelled
from faceptor.datasets.subset import Spread
from faceptor.errors import ConfigError
from faceptor.evaluation.measure import Validator
from faceptor.evaluation.samples import open_samples
from faceptor.io.files import RESULTS
from faceptor.prepared.reading import content_hashes, open_split, read_card
from faceptor.tasks import KINDS, TaskSpec, task
from faceptor.training.batches import Steps, build_streams, crop_spec
from faceptor.transforms.crop import CropSpec


def pick_device(name: str = "auto") -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: not usable here ({str(error).splitlines()[0]})") from None


def data_facts(folder: Path) -> dict:
    """What names the faces of a prepared data set: whether they were generated, and a hash of every split."""
    card = read_card(folder)
    return {key: card[key] for key in ("dataset", "generated", "split_hashes") if key in card}


def splits(params: Params, names: Iterable[str], split: str) -> dict:
    """Prepared samples of each task's data set; `test` of recognition is the verification pairs."""
    return {n: open_samples(task(n), params.prepared(task(n).dataset), split) for n in names}


def training_steps(params: Params, sampling, *, steps: int, specs: dict[str, TaskSpec] | None = None) -> Steps:
    """specs: the tasks as the model answers them, where that is not as their data sets do."""
    specs = specs or {name: task(name) for name in sampling}
    train = {name: open_split(params.prepared(spec.dataset), "train") for name, spec in specs.items()}
    return Steps(build_streams(params, sampling, specs, train), steps=steps)


def build_criteria(params: Params, steps: Steps) -> nn.ModuleDict:
    """One criterion per task; a recognition criterion owns a classifier with a row per training identity."""
    criteria = nn.ModuleDict()
    for name, stream in steps.streams.items():
        kind = KINDS[stream.spec.kind]
        numbers = dict(params.settings(name).criterion)
        if kind.identities:
            numbers["classes"] = int(max(stream.split.column(kind.columns[0]))) + 1
            numbers["embedding"] = params.model.embedding
        criteria[name] = kind.criterion(stream.spec, **numbers)
    return criteria


def constant_baselines(params: Params, specs: dict[str, TaskSpec], crops: dict[str, CropSpec]) -> dict:
    """The constant baseline of each task, from its training labels."""
    trains = {name: open_split(params.prepared(spec.dataset), "train") for name, spec in specs.items()}
    return {n: KINDS[spec.kind].constant_baseline(spec, trains[n], crops[n].place_sample) for n, spec in specs.items()}


def validation_samples(params: Params, names: Iterable[str], *, limit: int | None) -> dict[str, Spread]:
    """What each task is validated on: at most `limit` samples spread over the split. A task whose data set has
    `validation: 0` is left out."""
    held_out = [name for name in names if "val" in content_hashes(params.prepared(task(name).dataset))]
    found = splits(params, held_out, "val")
    return {name: Spread(items, limit, run=KINDS[task(name).kind].run_length) for name, items in found.items()}


def build_validator(
    params: Params, samples: Mapping[str, Sequence], specs: Mapping[str, TaskSpec], *, device, select=()
) -> Validator | None:
    """Validation on these samples; None where no task has any. select: tasks whose mean skill chooses the step."""
    if missing := [name for name in select if name not in samples]:
        key = f"datasets.{spelled(task(missing[0]).dataset)}.validation"
        raise ConfigError(
            f"select: {missing[0]} has no validation samples ({key} is 0); name a task that has some, or hold some out"
        )
    if not samples:
        return None
    specs = {name: specs[name] for name in samples}
    crops = {name: crop_spec(params, spec, "test") for name, spec in specs.items()}
    return Validator(
        samples, specs, crops, constant_baselines(params, specs, crops),
        batch=params.evaluate.batch, device=device, select=select,
    )  # fmt: skip


def live_log(name: str):
    """DVCLive in results/train/<name>; no network, no experiment of its own, nothing unpickled."""
    from dvclive import Live

    return Live(str(RESULTS / "train" / name), dvcyaml=None, report=None, save_dvc_exp=False, monitor_system=False)
