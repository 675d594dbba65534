"""Patterns over parameter names (`trainable`, `multipliers`, `muon`) against the models that they are for.

The models are built without numbers (meta device), so that a pattern that names nothing is told in a second or two, and
not by the stage that needs it, days later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch

from faceptor.config import Optimiser, Rate, Stage
from faceptor.errors import ConfigError
from faceptor.models.build import build_model
from faceptor.pipeline.experiment import Experiment
from faceptor.tasks import KINDS

Names = Mapping[str, int]  # parameter -> number of axes


def check_patterns(experiment: Experiment) -> None:
    """Raise ConfigError, with the key as in params.yaml, for a pattern that matches no parameter of its model, that no
    parameter reaches because earlier ones take all, or for a parameter that no multiplier is for."""
    for name in ("stage1", *experiment.params.baselines):
        check_joint(experiment, name)
    check_stage2(experiment, experiment.params.stage2.tasks)
    check_transfer(experiment, experiment.params.transfer.tasks)


def check_joint(experiment: Experiment, name: str) -> None:
    """The same for stage 1, or one of the baselines, alone."""
    where = f"baselines.{name}.train" if name in experiment.params.baselines else "stage1"
    experiment = experiment.variant(name)
    stage = experiment.params.stage1
    _check_stage(where, stage, _names(_meta(experiment), experiment, stage.tasks), "*")


def check_stage2(experiment: Experiment, tasks: Iterable[str]) -> None:
    """The same for the second stage of these tasks alone."""
    tasks, params = list(tasks), experiment.params
    model = _meta(experiment) if tasks else None
    for name in tasks:
        model.enable_layer_attention(name, params.model.layer_attention.mode)
        _check_stage("stage2", params.stage2, _names(model, experiment, [name]), name)
        model.disable_layer_attention(name)


def check_transfer(experiment: Experiment, tasks: Iterable[str]) -> None:
    """The same for the transfers of these tasks alone."""
    transfer = experiment.params.transfer
    start = experiment.variant(transfer.start)
    model = _meta(start)
    for name in tasks:
        model.add_task(experiment.spec(name))
        names = _names(model, start, [name])
        _check_optimiser("transfer", transfer.optimiser, names)
        for mode, settings in transfer.modes.items():
            _check_trainable(f"transfer.modes.{mode}", settings.trainable, names, name)
        model.remove_task(name)


def check_rates(key: str, rates: Iterable[Rate], names: Iterable[str]) -> None:
    """Every pattern must be the first that matches some name."""
    names, patterns = list(names), [rate.match for rate in rates]
    taken: dict[str, str] = {}
    for place, pattern in enumerate(patterns):
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise ConfigError(f"{key}.{place}.match: {pattern!r} matches nothing; {_parts(names)}")
        if all(name in taken for name in matching):
            raise ConfigError(
                f"{key}.{place}.match: {pattern!r} comes too late, {taken[matching[0]]!r} before it matches the same; "
                "move it up"
            )
        taken |= {name: pattern for name in matching if name not in taken}


def _check_stage(where: str, stage: Stage, names: Names, filled: str) -> None:
    _check_optimiser(where, stage.optimiser, names)
    _check_trainable(where, stage.trainable, names, filled)


def _check_optimiser(where: str, optimiser: Optimiser, names: Names) -> None:
    check_rates(f"{where}.optimiser.multipliers", optimiser.multipliers, names)
    matrices = [name for name, axes in names.items() if axes > 1]
    check_rates(f"{where}.optimiser.muon", optimiser.muon, matrices)
    for name in names:
        if not any(fnmatchcase(name, rate.match) for rate in optimiser.multipliers):
            key = f"{where}.optimiser.multipliers"
            raise ConfigError(f"{key}: no pattern matches {name}; add {{match: '*', rate: 1.0}} at the end")


def _check_trainable(where: str, patterns: Iterable[str], names: Names, filled: str) -> None:
    for place, pattern in enumerate(patterns):
        if not any(fnmatchcase(name, pattern.replace("{task}", filled)) for name in names):
            raise ConfigError(f"{where}.trainable.{place}: {pattern!r} matches no parameter; {_parts(names)}")


def _parts(names: Iterable[str]) -> str:
    return f"parts are {', '.join(sorted({name.split('.')[0] for name in names}))}"


def _meta(experiment: Experiment):
    with torch.device("meta"):
        return build_model(experiment.params.model, experiment.joint_specs)


def _names(model, experiment: Experiment, tasks: Iterable[str]) -> dict[str, int]:
    """Parameters as a training calls them: the model's, and those of criteria (classifiers of recognition)."""
    names = {name: parameter.ndim for name, parameter in model.named_parameters()}
    for each, spec in experiment.specs_of(tasks).items():
        kind, numbers = KINDS[spec.kind], dict(experiment.settings(each).criterion)
        if kind.identities:
            numbers |= {"classes": 2, "embedding": experiment.params.model.embedding}
        with torch.device("meta"):
            criterion = kind.criterion(spec, **numbers)
        names |= {f"criteria.{each}.{name}": parameter.ndim for name, parameter in criterion.named_parameters()}
    return names
