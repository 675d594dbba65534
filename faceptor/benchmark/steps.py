"""(d) A training step: images by second, memory, kernels against wall time, the loader against what a step needs."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import timer

from faceptor.benchmark.bench import Bench, Found
from faceptor.benchmark.material import drawn_steps
from faceptor.benchmark.rates import counted, products, share_of_best
from faceptor.benchmark.subjects import SEED, Run, model_of
from faceptor.benchmark.timing import FEWEST_ROUNDS, Estimate, rounded
from faceptor.config import Sampling
from faceptor.models.base import FaceModel
from faceptor.models.faceptor import Faceptor
from faceptor.models.textbook import task_by_task
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.run_parts import build_criteria
from faceptor.tasks import TaskSpec
from faceptor.training.batches import Batch, Steps, stream_batches
from faceptor.training.loader_rates import loader_rates
from faceptor.training.loop import Run as TrainingRun
from faceptor.training.loop import train
from faceptor.training.precision import autocast, choose_precision
from faceptor.training.step import task_losses, weighted_mean

TARGET_STEP = 0.12  # seconds, with the loader attached, on one H100
IDENTITIES = {"cpu": 1000, "cuda": 93_431}
LOADED, TOY_LOADED = 24, 2  # pictures of each task that the loader is timed with
LOADER_ROUNDS = 3
MEGABYTE = 1 << 20
KILOBYTE = 1 << 10
LOGGED_EVERY = {"cpu": 1, "cuda": 5}  # steps; reading a loss waits for the GPU


def steps(bench: Bench) -> Found:
    """One training step, alone and in the loop, and the loader."""
    found = Found()
    name, experiment = bench.main
    stage = experiment.params.stage1
    samples = samples_of(bench, stage.tasks)
    found.facts = {"samples": samples, "samples of the preset": {n: part.samples for n, part in stage.tasks.items()}}
    alone = _pass(bench, found, name, experiment, samples)
    _loop(bench, found, name, experiment, samples, stretches=stretches_of(bench, alone))
    _loader(bench, found, experiment)
    return found


def samples_of(bench: Bench, sampling: Mapping[str, Sampling]) -> dict[str, int]:
    """Images of each task in a measured step: those of the preset on a GPU; on a CPU one each, two of small images."""
    if bench.device.type == "cuda" and not bench.quick:
        return {name: part.samples for name, part in sampling.items()}
    return {name: min(part.samples, 2) for name, part in sampling.items()}


# --- forward and backward --------------------------------------------------------------------------------------------


def _pass(bench: Bench, found: Found, name: str, experiment: Experiment, samples: Mapping[str, int]) -> float:
    """Forward, losses and backward of one batch: the packed decoder and a pass for each task, and their profile.
    Returns the seconds of the first."""
    model, run, precision = one_pass(bench, experiment, samples)
    subjects: dict[str, Run] = {"packed": run}
    if isinstance(model, Faceptor):
        subjects["task by task"] = partial(_task_by_task, model, run)
    kind = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[precision]
    images = sum(samples.values())
    what = f"{name}, forward and backward, {images} images, {kind}"
    times = bench.compare(what, subjects | products(bench, kind))
    for subject in subjects:
        found.row(
            subject=name, what="forward and backward", decoder=subject, precision=kind, images=images,
            seconds=times.of(subject), images_per_second=times.rate(subject, images),
        )  # fmt: skip
    if len(subjects) > 1:
        found.ratio(f"{name}, step: task by task / packed decoder", times.ratio("task by task", "packed"))
    flops = counted(run)
    share = share_of_best(times, "packed", flops)
    found.ratio(f"{name}, step, {kind}: forward and backward / matrix product", share)
    found.facts |= {"flops": flops, "profile": profiled(run, bench.device), "megabytes": peak_megabytes(bench.device)}
    return times.of("packed").median


def one_pass(bench: Bench, experiment: Experiment, samples: Mapping[str, int]) -> tuple[FaceModel, Run, torch.dtype]:
    """A model, forward and backward of one batch, and what they compute in."""
    model, criteria, batches = training_parts(bench, experiment, samples, steps=1)
    batch = next(iter(stream_batches(batches, start=0, workers=0, device=bench.device)))
    weights = {task: part.weight for task, part in experiment.params.stage1.tasks.items()}
    precision = choose_precision(experiment.params.stage1.precision, bench.device)
    return model, partial(forward_and_backward, model, criteria, batch, weights, precision), precision


def training_parts(
    bench: Bench, experiment: Experiment, samples: Mapping[str, int], *, steps: int
) -> tuple[FaceModel, torch.nn.ModuleDict, Steps]:
    """A model with random weights, its criteria and drawn batches."""
    specs: list[TaskSpec] = [experiment.spec(name) for name in samples]
    model = model_of(experiment, specs, bench.device).train()
    identities = 20 if bench.quick else IDENTITIES.get(bench.device.type, IDENTITIES["cpu"])
    own = {spec.name: model.own_spec(spec) for spec in specs}
    batches = drawn_steps(experiment, own, samples, steps=steps, identities=identities)
    torch.manual_seed(SEED)
    return model, build_criteria(experiment, batches).to(bench.device), batches


def forward_and_backward(
    model: FaceModel, criteria: torch.nn.ModuleDict, batch: Batch, weights: Mapping[str, float], precision: torch.dtype
) -> None:
    for parameter in (*model.parameters(), *criteria.parameters()):
        parameter.grad = None
    with autocast(next(model.parameters()).device, precision):
        losses = task_losses(model, criteria, batch)
    weighted_mean(losses, weights).backward()


def _task_by_task(model: Faceptor, run: Run) -> None:
    with task_by_task(model.decoder):
        run()


def profiled(run: Run, device: torch.device) -> dict[str, Any]:
    """Time of all kernels (on a CPU: of all operations) of one call, its wall time under the profiler, launches."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as found:
        began = timer()
        run()
        wall = timer() - began
    events, spent = found.key_averages(), attrgetter("self_device_time_total" if on_gpu else "self_cpu_time_total")
    kernels = sum(map(spent, events)) / 1e6
    launches = sum(each.count for each in events if each.key.startswith(("cudaLaunchKernel", "cuLaunchKernel")))
    facts: dict[str, Any] = {"kernels": rounded(kernels), "wall": rounded(wall)}
    if on_gpu:
        facts |= {"launches": launches}
    longest = sorted(events, key=spent, reverse=True)[:8]
    return facts | {"longest": {each.key: rounded(spent(each) / 1e6) for each in longest}}


def peak_megabytes(device: torch.device) -> int:
    """The most memory so far: of tensors on a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KILOBYTE


# --- the loop and the loader -----------------------------------------------------------------------------------------


class Clock:
    """In place of DVCLive: when each logged step was done, up to the `last`."""

    def __init__(self) -> None:
        self.step, self.last, self.moments = 0, 0, {0: timer()}

    def log_metric(self, name: str, val: float, /, *, timestamp: bool) -> None: ...

    def make_summary(self) -> None:
        self.moments[self.step] = timer()

    def to_the_first(self) -> float:
        """Seconds until the first logged step was done."""
        return self.moments[sorted(self.moments)[1]] - self.moments[0]

    def seconds_per_step(self) -> list[float]:
        """Of every stretch between two logged steps, without the first, which warms up."""
        steps = sorted(self.moments)[1:]
        return [(self.moments[last] - self.moments[first]) / (last - first) for first, last in pairwise(steps)]


def stretches_of(bench: Bench, alone: float) -> int:
    """How many stretches of the loop are timed, if forward and backward take so many seconds: at least three."""
    every = LOGGED_EVERY.get(bench.device.type, 1)
    return max(FEWEST_ROUNDS, min(bench.rounds, int(bench.seconds / (alone * every))))


def _loop(
    bench: Bench, found: Found, name: str, experiment: Experiment, samples: Mapping[str, int], *, stretches: int
) -> None:
    """The training loop as the stage runs it, optimiser and loader included, no validation."""
    workers = experiment.params.data.workers if bench.device.type == "cuda" else 0
    bench.say(f"{name}, training loop, {sum(samples.values())} images a step, {workers} loader processes")
    clock = run_loop(bench, experiment, samples, workers=workers, stretches=stretches)
    seconds = Estimate.of(clock.seconds_per_step())
    images = sum(samples.values())
    found.row(
        subject=name, what="training loop", workers=workers, images=images, seconds=seconds,
        images_per_second=Estimate.of([images / each for each in clock.seconds_per_step()]),
    )  # fmt: skip
    found.facts["seconds to the first logged step"] = rounded(clock.to_the_first())
    bench.say(f"  {1e3 * seconds.median:.4g} ms a step")


def run_loop(
    bench: Bench, experiment: Experiment, samples: Mapping[str, int], *, workers: int, stretches: int,
    clock: Clock | None = None,
) -> Clock:  # fmt: skip
    """A few steps of stage 1, timed; stretches: between two logged steps, after a first one that warms up."""
    every = LOGGED_EVERY.get(bench.device.type, 1)
    count = every * (stretches + 1)
    stage = experiment.params.stage1.model_copy(
        update={"steps": count, "log_every": every, "threads": torch.get_num_threads(), "checkpoint_every": count + 1}
    )
    model, criteria, batches = training_parts(bench, experiment, samples, steps=count)
    weights = {task: part.weight for task, part in stage.tasks.items()}
    clock = clock or Clock()
    clock.last = count
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(Path(folder), {}, seed=SEED, device=bench.device, workers=workers, live=clock)
        train(model, criteria, batches, stage=stage, weights=weights, trainable=("*",), run=run, validate=None)
    return clock


def _loader(bench: Bench, found: Found, experiment: Experiment) -> None:
    """Images by second and core of each task, and how many cores a step of `TARGET_STEP` needs for all."""
    stage = experiment.params.stage1
    samples = {name: part.samples for name, part in stage.tasks.items()}
    specs = {name: experiment.spec(name) for name in samples}
    batches = drawn_steps(experiment, specs, samples, steps=1, identities=IDENTITIES["cpu"])
    bench.say("loader, one core: " + ", ".join(samples))
    rates = [loader_rates(batches, images=TOY_LOADED if bench.quick else LOADED) for _ in range(LOADER_ROUNDS)]
    for name, count in samples.items():
        by_second = Estimate.of([each.images_per_second[name] for each in rates])
        found.row(
            subject=name, what="loader", images_per_second_and_core=by_second, images_a_step=count,
            cores_needed=rounded(count / by_second.median / TARGET_STEP),
        )  # fmt: skip
    cores = Estimate.of([each.cores_for(TARGET_STEP) for each in rates])
    found.facts["loader"] = {
        "seconds a step": TARGET_STEP,
        "cores needed": cores.to_json(),
        "core-seconds a step": Estimate.of([each.core_seconds for each in rates]).to_json(),
        "megabytes a step": rounded(rates[0].bytes / MEGABYTE),
    }
    bench.say(f"  {cores.median:.3g} cores for a step of {1e3 * TARGET_STEP:.0f} ms")
