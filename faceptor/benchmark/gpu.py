"""The figures of tools/gpu_check.py: what a GPU should reach, each section on its own, at toy size on a CPU as well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import timer

from faceptor.benchmark.bench import SMALL, Bench, Found
from faceptor.benchmark.rates import best_rate, counted, products
from faceptor.benchmark.steps import Clock, one_pass, peak_megabytes, run_loop, samples_of
from faceptor.benchmark.subjects import Asked, Run, model_of, specs_of
from faceptor.benchmark.timing import Estimate, rounded
from faceptor.pipeline.experiment import preset

BATCHES, TOY_BATCHES = (8, 32, 128), (2,)
TESTS = ("tests/models", "tests/test_train.py", "tests/test_optim.py")
TESTS_SECONDS = 120
STRETCHES = {False: 12, True: 3}  # of five steps each; at toy size
WORKERS = 12  # loader processes; the step of 120 ms is to be reached with 16 cores
CLASSES, TOY_CLASSES = 1_000_000, 1000  # identities


def product(bench: Bench, found: Found) -> None:
    """FLOP/s of the best matrix product, by precision."""
    for precision in bench.precisions:
        times = bench.compare(f"matrix product, {precision}", products(bench, precision))
        found.row(subject="matrix product", precision=precision, flops_per_second=Estimate.of(best_rate(times)))


def face(bench: Bench, found: Found) -> None:
    """One face, all tasks together, from the crops on: as Python runs it, as one CUDA graph, compiled."""
    asked = _asked(bench, "base", batch=1)
    backend = "eager" if bench.quick else "inductor"  # the second takes a minute of a CPU
    for precision in dict.fromkeys((bench.reduced, "fp32")):
        subjects: dict[str, Run] = {"eager": partial(asked.together, precision), "engine": asked.engine(precision)}
        if bench.device.type == "cuda":
            subjects |= _if_it_can("graph", lambda p=precision: asked.graph(p), bench, found)
        if precision == bench.reduced:
            subjects |= _if_it_can("compiled", lambda p=precision: _warm(asked.compiled(p, backend)), bench, found)
        times = bench.compare(f"base, one face, {precision}", subjects)
        for way, seconds in times.seconds.items():
            found.ratio(f"one face, {way}, {precision}, ms", Estimate.of([1e3 * each for each in seconds]))


def throughput(bench: Bench, found: Found) -> None:
    """Faces a second of the base preset, all tasks."""
    low = bench.reduced
    for batch in TOY_BATCHES if bench.quick else BATCHES:
        asked = _asked(bench, "base", batch=batch)
        subjects: dict[str, Run] = {
            "together": partial(asked.together, low),
            "engine": asked.engine(low),
            "one by one": partial(asked.one_by_one, low),
        }
        times = bench.compare(f"base, {batch} faces, {low}", subjects)
        found.ratio(f"faces a second, {low}, batch {batch}", times.rate("together", batch))
        found.ratio(f"faces a second, engine, {low}, batch {batch}", times.rate("engine", batch))
        found.ratio(f"batch {batch}, {low}: one by one / together", times.ratio("one by one", "together"))


def facexformer(bench: Bench, found: Found) -> None:
    """FaceXFormer's faces a second by the batch; bf16 and fp32."""
    for batch in (1, *(TOY_BATCHES if bench.quick else BATCHES)):
        asked = _asked(bench, "facexformer", batch=batch)
        subjects: dict[str, Run] = {each: partial(asked.together, each) for each in (bench.reduced, "fp32")}
        times = bench.compare(f"facexformer, {batch} faces", subjects)
        for precision in subjects:
            found.ratio(f"FaceXFormer, faces a second, {precision}, batch {batch}", times.rate(precision, batch))


def step(bench: Bench, found: Found) -> None:
    """The base training step in its loop, loader attached; how busy the GPU is, and its share of the matrix product."""
    experiment = preset(SMALL if bench.quick else "base")
    samples = samples_of(bench, experiment.params.stage1.tasks)
    precision = "bf16" if bench.device.type == "cuda" else "fp32"
    top = Estimate.of(best_rate(bench.compare("matrix product", products(bench, precision)))).median
    clock = BusyClock(bench.device)
    run_loop(
        bench, experiment, samples, workers=0 if bench.quick else WORKERS, stretches=STRETCHES[bench.quick],
        clock=clock,
    )  # fmt: skip
    seconds = clock.seconds_per_step()
    flops = counted(one_pass(bench, experiment, samples)[1])
    found.ratio("training step, ms", Estimate.of([1e3 * each for each in seconds]))
    found.ratio("images a second", Estimate.of([sum(samples.values()) / each for each in seconds]))
    found.ratio("step / matrix product", Estimate.of([flops / each / top for each in seconds]))
    if clock.busy is not None:
        found.ratio("GPU busy, share", Estimate.of([clock.busy]))
        found.facts["peak megabytes"] = peak_megabytes(bench.device)
    found.facts["seconds to the first logged step"] = rounded(clock.to_the_first())


def sharded(bench: Bench, found: Found) -> None:
    """Bytes of a classifier's centres and gradients on each of two processes, over those on one."""
    if bench.device.type == "cuda" and torch.cuda.device_count() < 2:
        found.facts["sharded classifier"] = "not measured: it takes two GPUs"
        return
    classes = TOY_CLASSES if bench.quick else CLASSES
    most = {}
    for count in (1, 2):
        ranks = _dealt(classes, count)
        most[count] = max(each["bytes"] for each in ranks)
        found.rows += [{"subject": f"sharded classifier, {classes} classes", **each} for each in ranks]
    found.ratio("sharded classifier: bytes on a rank of two / on one", Estimate.of([most[2] / most[1]]))


def _dealt(classes: int, count: int) -> list[dict]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*launch, "-m", "faceptor.benchmark.sharded", str(classes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TESTS_SECONDS, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def tests(bench: Bench, found: Found) -> None:
    """The tests of models and training, which use the GPU where there is one."""
    paths = TESTS[:1] if bench.quick else TESTS
    chosen = ["-k", "test_one_pass_equals_textbook"] if bench.quick else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths, *chosen]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TESTS_SECONDS)
    except subprocess.TimeoutExpired:
        found.facts["tests"] = f"not ended within {TESTS_SECONDS} s"
        raise
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing said"]
    found.facts["tests"] = lines[-1]
    found.facts["tests that failed"] = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    bench.say(f"  {lines[-1]}")


SECTIONS: dict[str, Callable[[Bench, Found], None]] = {
    "product": product, "face": face, "throughput": throughput, "facexformer": facexformer, "step": step,
    "sharded": sharded, "tests": tests,
}  # fmt: skip


# --- parts -----------------------------------------------------------------------------------------------------------


class BusyClock(Clock):
    """A clock that also adds up what the GPU does between the first and the last logged step."""

    def __init__(self, device: torch.device):
        super().__init__()
        self.busy: float | None = None
        self._profile = profile(activities=[ProfilerActivity.CUDA]) if device.type == "cuda" else None

    def make_summary(self) -> None:
        first = len(self.moments) == 1
        super().make_summary()
        if self._profile is None:
            return
        if first:
            self._profile.start()
            self._began = self.moments[self.step] = timer()
        elif self.step == self.last:
            self._profile.stop()
            kernels = sum(each.self_device_time_total for each in self._profile.key_averages()) / 1e6
            self.busy = min(1.0, kernels / (self.moments[self.step] - self._began))


def _asked(bench: Bench, name: str, *, batch: int) -> Asked:
    """The model of a preset with its questions; at toy size the embedded preset's counterpart."""
    experiment = preset(SMALL if bench.quick else name)
    if bench.quick and name in experiment.params.baselines:
        experiment = experiment.variant(name)
    model = model_of(experiment, specs_of(name, experiment), bench.device)
    return Asked.of(model, batch=batch)


def _if_it_can(name: str, make: Callable[[], Run], bench: Bench, found: Found) -> dict[str, Run]:
    """A subject, unless this machine cannot make it, which is noted."""
    try:
        began = timer()
        run = make()
        found.facts[f"seconds to make: {name}"] = rounded(timer() - began)
        return {name: run}
    except Exception as error:  # the other subjects go on
        found.facts[f"failed: {name}"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        bench.say(f"  {name} failed: {found.facts[f'failed: {name}']}")
        return {}


def _warm(run: Run) -> Run:
    """Compiled by its first call."""
    run()
    return run
