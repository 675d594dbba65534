"""What a transfer cost the tasks that the model had before."""

from typing import NamedTuple

import numpy as np

from faceptor.evaluation.measure import skill_of
from faceptor.io.files import RESULTS, read_json
from faceptor.pipeline.evaluation import bootstrap_seed, measure_test, plain, require_numbers, rounded, tests_of_task
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.run_record import changed
from faceptor.tasks import TaskSpec


class Loss(NamedTuple):
    """Skill before minus skill after, and how far below and above that the difference could lie."""

    skill: float
    below: float
    above: float


def forgotten(experiment: Experiment, model, start, *, device: str) -> dict:
    """Headline number of every old test before and after the transfer, with intervals, and the skill lost.

    `skill_lost` is the mean over the tests, and `interval` its 95 % interval as if before and after had been measured
    on different faces, which is the wider one. Where no tensor of the start model has changed (prompt tuning) and tasks
    do not hear each other, the old answers are the same numbers and are not computed again.
    """
    params = experiment.params
    before = read_json(RESULTS / "evaluate" / "details" / f"{params.transfer.start}.json")["tasks"]
    otherwise = changed(model, start)
    same = not otherwise and model.isolated
    known = [spec for spec in start.tasks.values() if spec.dataset in params.datasets]
    rows, losses = {}, []
    for test in (test for spec in known for test in tests_of_task(experiment, spec) if test.name in before):
        metric = before[test.name]["headline"]
        value, interval = (before[test.name][key][metric] for key in ("metrics", "intervals"))
        row = {"metric": metric, "before": value, "after": value}
        row |= {"before_interval": interval, "after_interval": interval, "skill_lost": 0.0}
        if not same:
            result = measure_test(experiment, model, test, device=device)
            require_numbers(test, result.metrics, [metric])
            found = result.metric.intervals(seed=bootstrap_seed(params.data.seed, test.dataset))[metric]
            row |= {"after": rounded(result.metrics[metric]), "after_interval": plain(found)}
            losses.append(loss_of(row, before[test.name]["metrics"][f"constant_{metric}"], test.spec))
            row["skill_lost"] = rounded(losses[-1].skill)
        rows[test.name] = row
    return {"tensors_changed": len(otherwise), **mean_loss(losses), "tasks": rows}


def mean_loss(losses: list[Loss]) -> dict:
    """Mean over tests, and its interval: the distances to the ends added in squares; nothing lost without any."""
    if not losses:
        return {"skill_lost": 0.0, "interval": [0.0, 0.0]}
    skill, below, above = np.array(losses).T
    reach = [np.sqrt(np.square(side).sum()) / len(losses) for side in (below, above)]
    low_high = [rounded(float(skill.mean() - reach[0])), rounded(float(skill.mean() + reach[1]))]
    return {"skill_lost": rounded(float(skill.mean())), "interval": low_high}


def loss_of(row: dict, constant: float, spec: TaskSpec) -> Loss:
    """From the headline numbers and their intervals; an interval that is unknown adds nothing."""

    def skill(value: float | None) -> float:
        return float("nan") if value is None else skill_of(spec, value, constant)

    one, other = skill(row["before"]), skill(row["after"])
    one_ends, other_ends = (sorted(map(skill, row[f"{when}_interval"])) for when in ("before", "after"))
    below = np.hypot(one - one_ends[0], other_ends[1] - other)
    above = np.hypot(one_ends[1] - one, other - other_ends[0])
    return Loss(one - other, float(np.nan_to_num(below)), float(np.nan_to_num(above)))
