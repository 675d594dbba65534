"""(a) All tasks of one face and of several: one encoder pass for each image size against one for each task."""

from __future__ import annotations

from faceptor.benchmark.bench import PRESETS, Bench, Found
from faceptor.benchmark.subjects import Asked, Run, model_of, specs_of
from faceptor.benchmark.timing import Times

BATCHES = {"cpu": (1, 8), "cuda": (1, 8, 32, 128)}
BATCHED = ("base", "facexformer", "embedded")  # presets that are asked about several faces on a CPU, too
PAIRS = {  # ratio -> the subject that takes longer, and the one it is compared with
    "fp32: one by one / together": ("one by one, fp32", "together, fp32"),
    "bf16: one by one / together": ("one by one, bf16", "together, bf16"),
    "one by one in fp32 / together in bf16": ("one by one, fp32", "together, bf16"),
    "one by one in fp32 / engine in bf16": ("one by one, fp32", "engine, bf16"),
    "fp32: together / compiled": ("together, fp32", "compiled, fp32"),
    "bf16: together / compiled": ("together, bf16", "compiled, bf16"),
}


def latency(bench: Bench) -> Found:
    """Latency and throughput of every preset, in turns with the textbook mode."""
    found = Found()
    for name, experiment in bench.experiments(PRESETS).items():
        specs = specs_of(name, experiment)
        model = model_of(experiment, specs, bench.device)
        found.facts[name] = {"tasks": [spec.name for spec in specs]}
        for batch in _batches(bench, name):
            asked = Asked.of(model, batch=batch)
            what = f"{name}, {len(specs)} tasks, {batch} face{'s' if batch > 1 else ''}"
            times = bench.compare(what, subjects_of(bench, asked, textbook=batch == 1 or bench.device.type == "cuda"))
            _report(found, name, batch, times)
    return found


def _batches(bench: Bench, name: str) -> tuple[int, ...]:
    if bench.quick:
        return (1, 2)
    batches = BATCHES.get(bench.device.type, BATCHES["cpu"])
    return batches if bench.device.type == "cuda" or bench.presets or name in BATCHED else batches[:1]


def subjects_of(bench: Bench, asked: Asked, *, textbook: bool) -> dict[str, Run]:
    """The ways to ask, by precision. textbook: one task after the other, too, whose throughput does not depend on the
    batch where a CPU is busy with one face."""
    subjects: dict[str, Run] = {}
    for precision in bench.precisions:
        subjects[f"together, {precision}"] = lambda p=precision: asked.together(p)
        if textbook and precision != "fp16":
            subjects[f"one by one, {precision}"] = lambda p=precision: asked.one_by_one(p)
        if precision != "fp32" or bench.device.type == "cuda":
            subjects[f"engine, {precision}"] = asked.engine(precision)
        if bench.compiled:
            subjects[f"compiled, {precision}"] = asked.compiled(precision)
    return subjects


def _report(found: Found, name: str, batch: int, times: Times) -> None:
    for subject in times.seconds:
        way, precision = subject.split(", ")
        found.row(
            subject=name, way=way, precision=precision, batch=batch, seconds=times.of(subject),
            faces_per_second=times.rate(subject, batch),
        )  # fmt: skip
    for ratio, (slow, quick) in PAIRS.items():
        if {slow, quick} <= times.seconds.keys():
            found.ratio(f"{name}, batch {batch}, {ratio}", times.ratio(slow, quick))
