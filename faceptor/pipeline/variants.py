"""What the variants of `experiments` mean: each is the experiment of params.yaml with `scale` and its overrides.

Overrides are laid over the file as it is written, so that baselines inherit them, and the whole is parsed and checked
as usual. `settings_of` is what a variant's runs depend on in params.yaml, no more and no less: two variants with equal
settings are one, and an override without which they are the same is an error. No torch is loaded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from faceptor.config import Params, parse
from faceptor.config.experiments import Variant, dotted, overridden
from faceptor.config.sections import did_you_mean, spelled
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError
from faceptor.io.files import RESULTS
from faceptor.pipeline.experiment import Experiment, resolve

HOME = "experiments"  # below models/, results/ and runs/
START = "stage1"  # what variants can start from


@dataclass(frozen=True)
class Plan:
    """What a run does: `experiment` is as the variant has it, with a baseline's sections as `model` and `stage1`."""

    name: str
    variant: Variant
    experiment: Experiment
    tasks: tuple[str, ...]  # that are trained, or judged where nothing is

    @property
    def params(self) -> Params:
        return self.experiment.params

    @property
    def run(self) -> str:
        """Its folder below runs/ and models/."""
        return f"{HOME}/{self.name}-{self.params.seed}"

    @property
    def start(self) -> str:
        """The folder below models/ that its training starts from."""
        return f"{HOME}/{self.variant.start}-{self.params.seed}"

    def with_seed(self, seed: int) -> Plan:
        params = self.params.model_copy(update={"seed": seed})
        return replace(self, experiment=replace(self.experiment, params=params))


class Variants:
    """The variants of a parameter file; checked when they are asked for."""

    def __init__(self, values: dict, origin: str = "params.yaml"):
        self.origin, self.values = origin, values
        self.experiment = resolve(parse(values, origin=origin), origin=origin)
        self.section = self.experiment.params.experiments
        scale = dotted(self.section.scale)
        self.scaled, scaled = self._laid_over(values, scale, "experiments.scale")
        self.at_scale = resolve(scaled, origin=origin)

    @classmethod
    def of(cls, path: Path | str = "params.yaml") -> Variants:
        """Those of a file."""
        return cls(read_yaml(path, remedy="run from the repository root"), str(path))

    def names(self, patterns: Iterable[str] = ()) -> list[str]:
        """The variants that one of the glob patterns matches, none = all; a pattern without any is a ConfigError."""
        known, found = list(self.section.variants), []
        for pattern in patterns:
            chosen = [name for name in known if fnmatchcase(name, pattern)]
            if not chosen:
                raise ConfigError(
                    f"{self.origin}: experiments.variants.{pattern}: unknown; {did_you_mean(pattern, known)}"
                )
            found += chosen
        return [name for name in known if name in found] if found else known

    def start(self) -> Plan:
        """How the model is trained that variants start from."""
        return Plan(START, Variant(trains=START), self.at_scale, tuple(self.at_scale.params.stage1.tasks))

    def plan(self, name: str) -> Plan:
        """What a variant's runs do; every mistake in it is a ConfigError that names the key."""
        (name,) = self.names([name])
        variant, where = self.section.variants[name], f"experiments.variants.{name}"
        overrides = dotted(variant.overrides)
        params = self._with_overrides(overrides, f"{where}.overrides")
        with self._below(f"{where}.overrides"):
            whole = resolve(params, origin=self.origin)
        plan = self._planned(name, variant, whole)
        self._check_each_counts(plan, overrides, where)
        return plan

    def check(self) -> None:
        """Every variant; ConfigError for the first that is wrong."""
        for name in self.section.variants:
            self.plan(name)

    def _planned(self, name: str, variant: Variant, whole: Experiment) -> Plan:
        where = f"{self.origin}: experiments.variants.{name}"
        experiment = whole.variant(variant.trains)
        known = tasks_of(experiment, variant.trains)
        if strangers := [task for task in variant.tasks if task not in known]:
            raise ConfigError(f"{where}.tasks: {strangers[0]!r} is not trained; expected some of {', '.join(known)}")
        if variant.trains == "transfer" and len(modes := experiment.params.transfer.matrix.mode) != 1:
            raise ConfigError(
                f"{where}.overrides.transfer.matrix.mode: expected one mode, as [prompt]; found {list(modes)}"
            )
        tasks = tuple(task for task in known if task in (variant.tasks or known))
        if not tasks:
            raise ConfigError(f"{where}.trains: {variant.trains!r} has no tasks")
        return Plan(name, variant, replace(experiment, params=restricted(experiment.params, variant, tasks)), tasks)

    def _check_each_counts(self, plan: Plan, overrides: Mapping[str, Any], where: str) -> None:
        settings = settings_of(plan)
        for key in overrides:
            rest = {other: value for other, value in overrides.items() if other != key}
            try:
                params = self._with_overrides(rest, where)
                whole = replace(self.at_scale, params=params)
                without = settings_of(self._planned(plan.name, plan.variant, whole))
            except ConfigError:
                continue  # it is needed
            if without == settings:
                same = params == self._with_overrides(overrides, where)
                what = "that is what it is already (after experiments.scale)" if same else unread(plan.variant)
                raise ConfigError(f"{self.origin}: {where}.overrides.{key}: changes nothing, {what}; leave it out")

    def _with_overrides(self, overrides: Mapping[str, Any], where: str) -> Params:
        return self._laid_over(self.scaled, overrides, where)[1]

    def _laid_over(self, values: dict, overrides: Mapping[str, Any], where: str) -> tuple[dict, Params]:
        if own := [key for key in overrides if key.split(".")[0] == "experiments"]:
            raise ConfigError(f"{self.origin}: {where}.{own[0]}: a variant has no variants; write it there")
        try:
            tree = overridden(values, overrides)
        except ConfigError as error:
            raise ConfigError(f"{self.origin}: {where}.{error}") from None
        kept = {key: value for key, value in tree.items() if key != "experiments"}
        with self._below(where):
            return tree, parse(kept, origin=self.origin)

    @contextmanager
    def _below(self, where: str) -> Iterator[None]:
        """Errors have their keys as they are written in the section of overrides."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{self.origin}: ", f"{self.origin}: {where}.")) from None


def result_of(name: str, seed: int) -> Path:
    """The file of a run."""
    return RESULTS / HOME / "runs" / f"{name}-{seed}.json"


def tasks_of(experiment: Experiment, trains: str) -> tuple[str, ...]:
    """The tasks that a training could have; of transfer, those of the data sets of its matrix."""
    params = experiment.params
    if trains == "stage2":
        return tuple(params.stage2.tasks)
    if trains == "transfer":
        specs = experiment.specs_of(params.transfer.tasks)
        return tuple(name for name, spec in specs.items() if spelled(spec.dataset) in params.transfer.matrix.dataset)
    return tuple(params.stage1.tasks)


def restricted(params: Params, variant: Variant, tasks: tuple[str, ...]) -> Params:
    """The parameters with these tasks alone in the section that the variant trains."""
    section = variant.trains if variant.trains in ("stage2", "transfer") else "stage1"
    if variant.trains == "nothing" or not variant.tasks:
        return params
    stage = getattr(params, section)
    changed: dict[str, Any] = {"tasks": {task: stage.tasks[task] for task in tasks}}
    if section == "stage1":
        changed["select"] = tuple(task for task in stage.select if task in tasks)
    return params.model_copy(update={section: stage.model_copy(update=changed)})


def settings_of(plan: Plan) -> dict[str, Any]:
    """Section -> what of params.yaml shapes the variant's runs, their seed and what they start from left out."""
    params, variant = plan.params, plan.variant
    found: dict[str, Any] = {"variant": {"start": variant.start, "trains": variant.trains, "tasks": plan.tasks}}
    if variant.trains == "stage2":
        exclude = {"tasks": True, "merged": True}
        found["stage2"] = params.stage2.model_dump(mode="json", exclude=exclude)
        found["stage2.tasks"] = {task: params.stage2.tasks[task].model_dump(mode="json") for task in plan.tasks}
        found["model.layer_attention"] = params.model.layer_attention.model_dump(mode="json")
        found["stage1.tasks"] = {
            task: params.settings(task).model_dump(mode="json", exclude={"samples", "weight"}) for task in plan.tasks
        }
    elif variant.trains == "transfer":
        (mode,) = params.transfer.matrix.mode
        found["transfer"] = params.transfer.model_dump(mode="json", exclude={"start", "matrix", "tasks", "modes"})
        found["transfer.tasks"] = {task: params.transfer.tasks[task].model_dump(mode="json") for task in plan.tasks}
        found["transfer.modes"] = {mode: params.transfer.modes[mode].model_dump(mode="json")}
    elif variant.trains != "nothing":
        found["stage1"] = params.stage1.model_dump(mode="json")
        if variant.start == "none":
            found["model"] = params.model.model_dump(mode="json")
    if variant.trains != "nothing" and params.data.decode != "full":
        found["data.decode"] = params.data.decode
    found["evaluate"] = params.evaluate.model_dump(mode="json", exclude={"models", "test_sets"})
    judged = plan.tasks if variant.trains != "transfer" else (*plan.tasks, *params.stage1.tasks)
    found["evaluate.test_sets"] = {t: params.evaluate.test_sets[t] for t in judged if t in params.evaluate.test_sets}
    return json.loads(json.dumps(found))


def unread(variant: Variant) -> str:
    """Why an override of another section has no effect."""
    if variant.trains == "nothing":
        return "this variant trains nothing, and its start is trained without overrides"
    if variant.start != "none":
        return (
            f"this variant trains {variant.trains} from a start that is trained without overrides, and does not read it"
        )
    return f"this variant trains {variant.trains} and does not read it"
