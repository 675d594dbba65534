"""`faceptor train`: train a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from faceptor.cli.options import PARAMS, Device, ParamsFile, load
from faceptor.errors import FaceptorError
from faceptor.io.processes import is_rank_0

if TYPE_CHECKING:
    from faceptor.pipeline.experiment import Experiment


def train(
    stage: Annotated[str, typer.Argument(help="start, stage1, stage2, merge (stage 2 in one folder), ship, baseline.")],
    task: Annotated[str | None, typer.Option(help="The task of stage 2, e.g. age_morph2.")] = None,
    device: Device = "auto",
    params: ParamsFile = PARAMS,
):
    """Train a stage; a run that was stopped goes on where it was. `train.processes` in params.yaml says how many
    processes share the work.

    `start` trains nothing: it records in models/starts the weights that trainings begin with, by content (DVC's stage
    starting_weights). `ship` trains nothing either: it writes the model that comes with the package, in half precision
    and with its card, to faceptor/shipped.

    Example: `faceptor train stage2 --task age_morph2`, or `faceptor train naive` (see `baselines` in params.yaml)
    """
    experiment = load(params)
    joint = ("stage1", *experiment.params.baselines)
    if stage not in (known := (*joint, "stage2", "merge", "start", "ship")):
        raise FaceptorError(f"train {stage!r}: expected one of {', '.join(known)}")
    if stage in (*joint, "stage2"):
        from faceptor.pipeline.launch import launched

        arguments = ["train", stage, *(["--task", task] if task else []), "--device", device, "--params", str(params)]
        if launched(experiment.params.train, arguments, device=device):
            return
    verbs = {"start": _start, "stage2": _stage2, "merge": _merge, "ship": _ship}
    verbs.get(stage, _joint)(experiment, stage, task, device)


def _start(experiment: Experiment, *_) -> None:
    from faceptor.pipeline.starting_weights import STARTS, record_starting_weights

    for name, weights in record_starting_weights(experiment.params, STARTS).items():
        print(f"{name}: starts from {weights['path'] if weights else 'scratch'}")


def _joint(experiment: Experiment, name: str, _, device: str) -> None:
    from faceptor.pipeline import training
    from faceptor.pipeline.patterns import check_joint

    check_joint(experiment, name)
    outcome = training.train_joint(experiment, name, device=device)
    if is_rank_0():
        print(f"{name}: weights of step {outcome.best_step} ({outcome.selected})")


def _stage2(experiment: Experiment, _, task: str | None, device: str) -> None:
    known = experiment.params.stage2.tasks
    if task not in known:
        found = f"found {task!r}; " if task else ""
        raise FaceptorError(f"train stage2: {found}name a task with --task, one of {', '.join(known)}")
    from faceptor.pipeline import training
    from faceptor.pipeline.patterns import check_stage2

    check_stage2(experiment, [task])
    found = training.train_stage2(experiment, task, device=device)
    if is_rank_0():
        print(found)


def _merge(experiment: Experiment, *_) -> None:
    from faceptor.pipeline import training

    print(training.merge_stage2(experiment))


def _ship(experiment: Experiment, *_) -> None:
    from faceptor.pipeline.shipping import ship

    print(ship(experiment))
