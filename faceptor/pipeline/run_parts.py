"""What a training is built of: its batches, criteria, validation and log."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from threading import Lock

import torch
from torch import nn

from faceptor.config import Sampling
from faceptor.config.sections import spelled
from faceptor.datasets.subset import Fewer
from faceptor.errors import ConfigError
from faceptor.evaluation.constants import KeptConstants, facts_of
from faceptor.evaluation.measure import Baseline, Validator
from faceptor.io.files import RESULTS, RUNS
from faceptor.pipeline.answering import answering
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.samples import constant_baseline
from faceptor.prepared.reading import Split, content_hashes, open_split
from faceptor.prepared.reduced import Reduced
from faceptor.tasks import KINDS, TaskSpec
from faceptor.tasks.base import Prediction
from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.training.batches import ImageCache, Steps, TaskStream
from faceptor.training.dealt_validation import DealtValidation, dealt_tasks
from faceptor.transforms.crop import PlacedCrop

CONSTANTS = RUNS / "baselines"


def training_steps(
    experiment: Experiment, sampling: Mapping[str, Sampling], specs: Mapping[str, TaskSpec], *, steps: int
) -> Steps:
    """The batches of a training. specs: the tasks as the model answers them."""
    limit = experiment.params.data.cache_mb * 2**20 // max(len(sampling), 1)
    streams = {
        name: TaskStream(
            spec=specs[name],
            split=_faces(experiment, name, open_split(experiment.prepared(specs[name].dataset), "train")),
            crop=experiment.crop(name, "train"),
            policy=experiment.policy(name),
            samples=part.samples,
            seed=experiment.params.seed,
            cache=ImageCache(limit),
        )
        for name, part in sampling.items()
    }
    return Steps(streams, steps=steps, rank=rank(), world=processes())


def _faces(experiment: Experiment, task: str, split: Split) -> Split | Fewer | Reduced:
    """What a task trains on: its training split or some of it, decoded as `data.decode` says."""
    faces = experiment.settings(task).faces
    some = split if faces is None else Fewer(split, faces, where=f"tasks.{task}.faces")
    return some if experiment.params.data.decode == "full" else Reduced(some, experiment.crop(task, "train"))


def build_criteria(experiment: Experiment, steps: Steps) -> nn.ModuleDict:
    """One criterion per task; a recognition criterion owns a classifier with a row per training identity, which are
    dealt over the processes where there are several."""
    criteria = nn.ModuleDict()
    for name, stream in steps.streams.items():
        kind = KINDS[stream.spec.kind]
        numbers = dict(experiment.settings(name).criterion)
        if kind.identities:
            numbers["classes"] = int(max(stream.split.column(kind.columns[0]))) + 1
            numbers["embedding"] = experiment.params.model.embedding
        dealt = kind.identities and processes() > 1
        with torch.device("meta") if dealt else nullcontext():  # no process has room for all of them
            criteria[name] = kind.criterion(stream.spec, **numbers)
        if dealt:
            criteria[name].deal(rank(), processes())
    return criteria


def build_validator(
    experiment: Experiment, samples: Mapping[str, Sequence], specs: Mapping[str, TaskSpec], *, device, select=()
) -> Validator | DealtValidation | None:
    """Validation on these samples; None where no task has any. select: tasks whose mean skill chooses the step. Of
    several processes, each judges some of the tasks."""
    if missing := [name for name in select if name not in samples]:
        key = f"datasets.{spelled(experiment.spec(missing[0]).dataset)}.validation"
        raise ConfigError(
            f"select: {missing[0]} has no validation samples ({key} is 0); name a task that has some, or hold some out"
        )
    if not samples:
        return None
    crops = {name: experiment.crop(name, "test") for name in samples}
    own = dealt_tasks({name: len(part) * crops[name].size ** 2 for name, part in samples.items()})
    specs = {name: specs[name] for name in own}
    hashes = {name: content_hashes(experiment.prepared(spec.dataset)) for name, spec in specs.items()}
    facts = {name: facts_of(spec, crops[name], samples[name], hashes[name]) for name, spec in specs.items()}
    baselines = {
        name: FoundLater(partial(constant_baseline, experiment, spec, crops[name])) for name, spec in specs.items()
    }
    settings = experiment.params.evaluate
    validator = Validator(
        {name: samples[name] for name in own}, specs, {name: crops[name] for name in own}, baselines,
        batch=settings.batch, device=device, select=select if processes() == 1 else (),
        answering=partial(answering, settings=settings), workers=experiment.params.data.workers,
        constants=KeptConstants(CONSTANTS, facts),
    )  # fmt: skip
    if processes() == 1:
        return validator
    return DealtValidation(validator if own else None, tasks=tuple(samples), select=select or tuple(samples))


class FoundLater:
    """A constant baseline that looks at the training labels when it is first asked, which it may never be."""

    def __init__(self, find: Callable[[], Baseline]):
        self._find, self._lock = find, Lock()
        self._found: Baseline | None = None

    def __call__(self, sample: Mapping, crop: PlacedCrop) -> Prediction:
        with self._lock:
            self._found = self._found or self._find()
        return self._found(sample, crop)


def live_log(name: str):
    """DVCLive in results/train/<name>; no network, no experiment of its own, nothing unpickled."""
    from dvclive import Live

    return Live(str(RESULTS / "train" / name), dvcyaml=None, report=None, save_dvc_exp=False, monitor_system=False)
