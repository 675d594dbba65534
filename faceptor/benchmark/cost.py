"""(f) What a training of the papers' length would take on this machine, from the steps that `steps` measured.

A step of another batch is taken to run at the same FLOP/s as the measured one: its time is that of the measured step
times the ratio of their multiply-accumulates (counted on tensors without memory, see `faceptor.analysis.compute`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faceptor.analysis.budget import meta_model
from faceptor.analysis.compute import fake, training
from faceptor.benchmark.bench import SMALL, Bench, Found
from faceptor.benchmark.timing import rounded
from faceptor.errors import FaceptorError
from faceptor.pipeline.experiment import Experiment, preset

TRAININGS = ("base", "full", "facexformer")
SECONDS_AN_HOUR = 3600


def cost(bench: Bench, measured: Mapping[str, Any] | None) -> Found:
    """Hours of stage 1 of the presets. measured: what `steps` found, in this run or an earlier one on this machine."""
    if measured is None:
        raise FaceptorError("bench cost: expected what the section `steps` measures, found none; run it first")
    found = Found()
    name, experiment = bench.main
    row = next(row for row in measured["rows"] if row["what"] == "training loop")
    if row["subject"] != name:
        raise FaceptorError(f"bench cost: {row['subject']} was measured, not {name}; run `faceptor bench steps` again")
    work = step_macs(experiment, measured["facts"]["samples"])
    for each in (SMALL,) if bench.quick else TRAININGS:
        trained = preset(each)
        stage = trained.params.stage1
        ratio = step_macs(trained, {task: part.samples for task, part in stage.tasks.items()}) / work
        hours = {
            end: rounded(row["seconds"][end] * ratio * stage.steps / SECONDS_AN_HOUR)
            for end in ("median", "low", "high")
        }
        found.row(
            subject=each, steps=stage.steps, images=sum(part.samples for part in stage.tasks.values()),
            step_over_measured=rounded(ratio), hours=hours | {"rounds": row["seconds"]["rounds"]},
        )  # fmt: skip
        told = f"{hours['median']:,.4g} h [{hours['low']:,.4g}, {hours['high']:,.4g}]"
        bench.say(f"{each}: {stage.steps:,} steps, {told}")
    return found


def step_macs(experiment: Experiment, samples: Mapping[str, int]) -> int:
    """Multiply-accumulates of the forward half of a step."""
    with fake(meta_model(experiment)) as model:
        return sum(training(model, samples).macs.values())
