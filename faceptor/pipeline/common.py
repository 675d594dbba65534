"""What every stage shares: the device, the splits and criteria of tasks, validation, the log of a training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from faceptor.config import Sampling
from faceptor.config.sections import spelled
from faceptor.datasets.subset import Spread
from faceptor.errors import ConfigError
from faceptor.evaluation.measure import Validator
from faceptor.evaluation.samples import open_samples
from faceptor.io.files import RESULTS
from faceptor.pipeline.experiment import Experiment
from faceptor.prepared.reading import content_hashes, open_split, read_card
from faceptor.tasks import KINDS, TaskSpec
from faceptor.training.batches import ImageCache, Steps, TaskStream
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


def training_steps(
    experiment: Experiment, sampling: Mapping[str, Sampling], specs: Mapping[str, TaskSpec], *, steps: int
) -> Steps:
    """The batches of a training. specs: the tasks as the model answers them."""
    limit = experiment.params.data.cache_mb * 2**20 // max(len(sampling), 1)
    streams = {
        name: TaskStream(
            spec=specs[name],
            split=open_split(experiment.prepared(specs[name].dataset), "train"),
            crop=experiment.crop(name, "train"),
            policy=experiment.policy(name),
            samples=part.samples,
            seed=experiment.params.seed,
            cache=ImageCache(limit),
        )
        for name, part in sampling.items()
    }
    return Steps(streams, steps=steps)


def build_criteria(experiment: Experiment, steps: Steps) -> nn.ModuleDict:
    """One criterion per task; a recognition criterion owns a classifier with a row per training identity."""
    criteria = nn.ModuleDict()
    for name, stream in steps.streams.items():
        kind = KINDS[stream.spec.kind]
        numbers = dict(experiment.settings(name).criterion)
        if kind.identities:
            numbers["classes"] = int(max(stream.split.column(kind.columns[0]))) + 1
            numbers["embedding"] = experiment.params.model.embedding
        criteria[name] = kind.criterion(stream.spec, **numbers)
    return criteria


def constant_baselines(
    experiment: Experiment, specs: Mapping[str, TaskSpec], crops: Mapping[str, CropSpec]
) -> dict[str, Callable]:
    """The constant baseline of each task, from its training labels."""
    trains = {name: open_split(experiment.prepared(spec.dataset), "train") for name, spec in specs.items()}
    return {n: KINDS[spec.kind].constant_baseline(spec, trains[n], crops[n].place_sample) for n, spec in specs.items()}


def validation_samples(experiment: Experiment, names: Iterable[str], *, limit: int | None) -> dict[str, Spread]:
    """What each task is validated on: at most `limit` samples spread over the split. A task whose data set has
    `validation: 0` is left out."""
    found = {}
    for name, spec in experiment.specs_of(names).items():
        folder = experiment.prepared(spec.dataset)
        if "val" in content_hashes(folder):
            found[name] = Spread(open_samples(spec, folder, "val"), limit, run=KINDS[spec.kind].run_length)
    return found


def build_validator(
    experiment: Experiment, samples: Mapping[str, Sequence], specs: Mapping[str, TaskSpec], *, device, select=()
) -> Validator | None:
    """Validation on these samples; None where no task has any. select: tasks whose mean skill chooses the step."""
    if missing := [name for name in select if name not in samples]:
        key = f"datasets.{spelled(experiment.spec(missing[0]).dataset)}.validation"
        raise ConfigError(
            f"select: {missing[0]} has no validation samples ({key} is 0); name a task that has some, or hold some out"
        )
    if not samples:
        return None
    specs = {name: specs[name] for name in samples}
    crops = {name: experiment.crop(name, "test") for name in specs}
    return Validator(
        samples, specs, crops, constant_baselines(experiment, specs, crops),
        batch=experiment.params.evaluate.batch, device=device, select=select,
    )  # fmt: skip


def live_log(name: str):
    """DVCLive in results/train/<name>; no network, no experiment of its own, nothing unpickled."""
    from dvclive import Live

    return Live(str(RESULTS / "train" / name), dvcyaml=None, report=None, save_dvc_exp=False, monitor_system=False)
