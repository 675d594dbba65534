"""(c) What more tasks cost: 1 to 50 of them, and with Layer-Attention, in both readings and by the formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice

import torch

from faceptor.benchmark.bench import MAIN, SMALL, Bench, Found
from faceptor.benchmark.rates import counted
from faceptor.benchmark.subjects import Asked, Run, by_the_formula, model_of, specs_of
from faceptor.benchmark.timing import rounded
from faceptor.models.faceptor import Faceptor
from faceptor.pipeline.experiment import Experiment, preset
from faceptor.tasks import TaskSpec, kind_of

COUNTS = (1, 6, 13, 24, 50)
TOY_COUNTS = (1, 6, 7)
MODES = ("off", "paper", "released", "formula")  # the last is `paper` as its equations are written


def growth(bench: Bench) -> Found:
    """Latency against the number of tasks, then against Layer-Attention at both image sizes."""
    found = Found()
    name, experiment = bench.main
    _tasks(bench, found, name, experiment)
    full = preset(SMALL if bench.quick else "full") if name in (MAIN, SMALL) else experiment
    asking = [spec for spec in full.joint_specs if kind_of(spec).head != "vector"]
    _layer_attention(bench, found, name, experiment, asking)
    return found


def many(specs: Sequence[TaskSpec], count: int) -> list[TaskSpec]:
    """So many tasks: those given, over and over, under names of their own."""
    taken = list(islice(cycle(specs), count))
    return [spec if at < len(specs) else replace(spec, name=f"{spec.name}_{at}") for at, spec in enumerate(taken)]


def _tasks(bench: Bench, found: Found, name: str, experiment: Experiment) -> None:
    counts = TOY_COUNTS if bench.quick else COUNTS
    specs = many(specs_of(name, experiment), max(counts))
    model = model_of(experiment, specs, bench.device)
    # the first task alone stays at the larger size, as all other numbers have tasks of both sizes
    asked = {count: Asked.of(model, batch=1, tasks=[spec.name for spec in specs[:count]]) for count in counts}
    subjects: dict[str, Run] = {f"{count} tasks": each.together for count, each in asked.items()}
    times = bench.compare(f"{name}, fp32", subjects)
    for count in counts:
        found.row(subject=name, tasks=count, precision="fp32", batch=1, seconds=times.of(f"{count} tasks"))
        if count not in (1, 6):
            found.ratio(f"{name}: {count} tasks / 6 tasks", times.ratio(f"{count} tasks", "6 tasks"))


def _layer_attention(bench: Bench, found: Found, name: str, experiment: Experiment, specs: Sequence[TaskSpec]) -> None:
    """All tasks about one image of each size, in one encoder pass."""
    models = {mode: model_of(experiment, specs, bench.device) for mode in MODES[:3]}
    if not all(isinstance(model, Faceptor) for model in models.values()):
        return
    tasks = [spec.name for spec in specs]
    for mode in MODES[1:3]:
        models[mode].enable_layer_attention(tasks, mode)
        models[mode].eval()
    inputs = models["off"].inputs
    for side in sorted({inputs["dense"].size, inputs["face"].size}, reverse=True):
        subjects: dict[str, Run] = {mode: partial(one_pass, model, side) for mode, model in models.items()}
        subjects["formula"] = partial(one_pass_by_the_formula, models["paper"], side)
        flops_off = counted(subjects["off"])
        times = bench.compare(f"{name}, Layer-Attention, {len(tasks)} tasks, {side} px, fp32", subjects)
        for mode in MODES:
            found.row(
                subject=name, layer_attention=mode, tasks=len(tasks), side=side, precision="fp32", batch=1,
                seconds=times.of(mode),
            )  # fmt: skip
            if mode != "off":
                found.ratio(f"{name}, {side} px: Layer-Attention {mode} / off", times.ratio(mode, "off"))
                more = rounded(counted(subjects[mode]) / flops_off)
                found.facts[f"{name}, {side} px: FLOPs of Layer-Attention {mode} / off"] = more


@torch.inference_mode()
def one_pass(model: Faceptor, side: int) -> object:
    """All tasks of a model about one normalised image of side x side pixels."""
    images = torch.zeros(1, 3, side, side, device=model.decoder.level.device)
    return model.forward_rows(images, dict.fromkeys(model.tasks, slice(0, 1)))


def one_pass_by_the_formula(model: Faceptor, side: int) -> object:
    with by_the_formula(model):
        return one_pass(model, side)
