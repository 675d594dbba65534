"""What params.yaml means: its readers, tasks, crops and augmentations as typed values.

The stages take an `Experiment` and hand these values to the rooms below. `resolve` makes one, and checks what the file
alone cannot tell: whether data sets have the options, tasks exist and have data, criteria and augmentations have their
names and numbers, and the faces of a test fit the task. Every mistake is a ConfigError that names the key. No torch is
loaded before a crop is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from faceptor.config import (
    Augment,
    ModelConfig,
    Params,
    TaskSettings,
    load_params,
    load_preset,
    preset_names,
)
from faceptor.config.sections import AtKey, did_you_mean, spelled
from faceptor.datasets import reader_of
from faceptor.datasets.reader import Reader
from faceptor.errors import ConfigError
from faceptor.evaluation.test_sets import judged_on
from faceptor.tasks import TaskSpec, kind_of
from faceptor.tasks.crops import crop_of
from faceptor.tasks.custom import specs_of, with_own
from faceptor.transforms.augment import POLICIES, Policy, make_policy
from faceptor.transforms.crop import CropSpec


@dataclass(frozen=True)
class Experiment:
    """readers: by data set; they have not looked at the data. specs: the table of tasks, with those of this
    experiment's own data sets."""

    params: Params
    readers: Mapping[str, Reader]
    specs: Mapping[str, TaskSpec]

    def spec(self, task: str) -> TaskSpec:
        """The task of that name; an unknown name is a ConfigError."""
        if task not in self.specs:
            raise ConfigError(f"task {task!r} is unknown; expected one of {', '.join(self.specs)}")
        return self.specs[task]

    def specs_of(self, tasks: Iterable[str]) -> dict[str, TaskSpec]:
        """Several tasks by name."""
        return {task: self.spec(task) for task in tasks}

    @property
    def joint_specs(self) -> tuple[TaskSpec, ...]:
        """The tasks that are trained together in stage 1."""
        return tuple(self.specs_of(self.params.stage1.tasks).values())

    def settings(self, task: str) -> TaskSettings:
        """How a task's images reach the network, whichever stage trains it."""
        return self.params.settings(task)

    def crop(self, task: str, split: Literal["train", "test"]) -> CropSpec:
        """The crop of a task's training or test images at the size of its input group."""
        return crop_of(self.spec(task), self.settings(task), self.params.model.inputs, split)

    def policy(self, task: str) -> Policy:
        """The augmentation of a task's training images."""
        augment = self.settings(task).augment
        return make_policy(augment.policy, **augment.options)

    def prepared(self, dataset: str) -> Path:
        """Folder of a data set's prepared shards."""
        return self.params.prepared(dataset)

    def judged_on(self, spec: TaskSpec, dataset: str) -> TaskSpec:
        """A task as the test faces of another data set judge it; ConfigError where their labels do not fit."""
        return judged_on(spec, self.readers[spec.dataset], self.readers[dataset], dataset)

    def with_model(self, model: ModelConfig) -> Experiment:
        """The experiment with another model section."""
        return replace(self, params=self.params.model_copy(update={"model": model}))

    def variant(self, model: str) -> Experiment:
        """The experiment as a model sees it: a baseline has its own `model`, and its training is `stage1`."""
        return replace(self, params=self.params.variant(model))


def load(path: Path | str = "params.yaml") -> Experiment:
    """The experiment that a parameter file describes."""
    return resolve(load_params(path), origin=str(path))


def preset(name: str) -> Experiment:
    """The experiment of a preset."""
    return resolve(load_preset(name), origin=f"preset {name}")


def side_by_side(presets: Sequence[str] = (), *, file: Path | str | None = None) -> dict[str, Experiment]:
    """Presets by name (none named: all), and the parameter file under its own name unless it equals a preset."""
    known = {name: preset(name) for name in presets or preset_names()}
    if presets or file is None or not Path(file).is_file():
        return known
    own = load(file)
    same = [(each.params.model, each.joint_specs) == (own.params.model, own.joint_specs) for each in known.values()]
    return known if any(same) else known | {Path(file).name: own}


def resolve(params: Params, origin: str = "params.yaml") -> Experiment:
    """What the parameters mean. origin: the file, for messages; raises ConfigError "origin: key: what is wrong"."""
    try:
        readers = {
            name: reader_of(name, block, params.data, prepared=params.prepared(name))
            for name, block in params.datasets.items()
        }
        own = (
            spec
            for name, block in params.datasets.items()
            if block.reader or block.options  # then it may have other labels than the table, or none there
            for spec in specs_of(name, readers[name], like=block.reader or name)
        )
        experiment = Experiment(params, readers, with_own(own))
        for where, tasks, role in _trainings(experiment):
            for name, settings in tasks.items():
                _check_task(experiment, f"{where}.{name}", name, role)
                _check_settings(f"{where}.{name}", experiment.spec(name), settings)
        _check_tests(experiment)
        _check_transfers(experiment)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return experiment


def _trainings(experiment: Experiment) -> Iterator[tuple[str, Mapping[str, TaskSettings], str]]:
    """Key of every section of tasks, the section, and the role that their data sets must have."""
    params = experiment.params
    yield "stage1.tasks", params.stage1.tasks, "joint"
    yield "transfer.tasks", params.transfer.tasks, "transfer"
    for name, baseline in params.baselines.items():
        yield f"baselines.{name}.train.tasks", baseline.train.tasks, "joint"


def _check_task(experiment: Experiment, where: str, name: str, role: str) -> None:
    dataset = _known(experiment, where, name).dataset
    block, key = experiment.params.datasets.get(dataset), f"datasets.{spelled(dataset)}"
    if block is None:
        raise ConfigError(f"{where}: its data set is missing, add {key}")
    if block.role != role:
        raise ConfigError(f"{where}: {key}.role must be {role!r}")


def _known(experiment: Experiment, where: str, name: str) -> TaskSpec:
    try:
        return experiment.spec(name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_settings(where: str, spec: TaskSpec, settings: TaskSettings) -> None:
    """What a kind of task asks of its criterion and augmentation."""
    try:
        kind_of(spec).check_criterion(settings.criterion)
    except AtKey as error:
        raise ConfigError(f"{where}.criterion.{error.key}: {error}") from None
    policy = _checked_policy(f"{where}.augment", settings.augment)
    if kind_of(spec).labels_move and policy.displaces:
        raise ConfigError(
            f"{where}.augment: RandAugment turns and shifts the image, which labels of {spec.kind} do not follow; "
            'set options.randaugment: "" or another policy'
        )


def _checked_policy(where: str, augment: Augment) -> Policy:
    known = [each.name for each in fields(POLICIES[augment.policy])]
    for name in augment.options:
        if name not in known:
            told = f"unknown key; {did_you_mean(name, known)} (policy {augment.policy})"
            raise ConfigError(f"{where}.options.{name}: {told}")
    try:
        return make_policy(augment.policy, **augment.options)
    except ConfigError as error:  # "augment.<policy>.<number>: what is wrong"
        place, _, message = str(error).partition(": ")
        raise ConfigError(f"{where}.options.{place.rsplit('.', 1)[-1]}: {message}") from None


def _check_tests(experiment: Experiment) -> None:
    """Every data set of `evaluate.test_sets` is there and has labels for the task that it judges."""
    known = experiment.params.datasets
    for name, datasets in experiment.params.evaluate.test_sets.items():
        where = f"evaluate.test_sets.{name}"
        if strangers := [dataset for dataset in datasets if dataset not in known]:
            raise ConfigError(f"{where}: {strangers[0]!r} is no data set, add datasets.{spelled(strangers[0])}")
        spec = _known(experiment, where, name)
        for dataset in datasets if spec.dataset in known else ():
            experiment.judged_on(spec, dataset)


def _check_transfers(experiment: Experiment) -> None:
    transfer = experiment.params.transfer
    known = sorted(spelled(spec.dataset) for spec in experiment.specs_of(transfer.tasks).values())
    if strangers := sorted(set(transfer.matrix.dataset) - set(known)):
        told = f"{', '.join(strangers)} not in the data sets of transfer.tasks ({', '.join(known)})"
        raise ConfigError(f"transfer.matrix.dataset: {told}")
