"""The evaluate stage: one model folder against the test splits.

Written task by task, so that a task that cannot be judged, or a killed run, costs no more than itself, below
results/evaluate/: <model>.json the headline number of every test (what DVC shows as metrics), details/<model>.json all
metrics with their intervals, by group and what they were measured on, plots/<model>/ curves and confusions as data,
figures/<model>/ the same as pictures.

A test is called as its task, or `<task>@<dataset>` where another data set's faces judge it.
"""

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from faceptor.datasets.subset import Spread
from faceptor.errors import ConfigError, FaceptorError
from faceptor.evaluation.groups import by_group
from faceptor.evaluation.measure import Measured, measure
from faceptor.evaluation.samples import open_samples
from faceptor.io.files import MODELS, RESULTS, write_json
from faceptor.pipeline.answering import answering
from faceptor.pipeline.device import pick_device
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.plots import save_figure, write_plots
from faceptor.pipeline.samples import constant_baseline, data_facts, label_names
from faceptor.tasks import KINDS, TaskSpec
from faceptor.tasks.intervals import DRAWS, Interval, interval
from faceptor.training.threads import fixed_threads
from faceptor.transforms.framing import own_crop
from faceptor.weights.folder import load_model, model_hash

DECIMALS = 4
INTERVALS = (
    f"95 %, bootstrap over the test samples of one trained model ({DRAWS} draws; pictures of one person or video "
    "together, pairs for verification, whole images for parsing); another seed of training is not in them"
)


@dataclass(frozen=True)
class Test:
    """A task of a model and the data set whose test split judges it."""

    __test__ = False  # pytest, which looks for classes of this name

    spec: TaskSpec
    dataset: str

    @property
    def task(self) -> str:
        return self.spec.name

    @property
    def name(self) -> str:
        """What its numbers are called."""
        return self.task if self.dataset == self.spec.dataset else f"{self.task}@{self.dataset}"


@dataclass
class Report:
    """What was found so far: `tasks`: test -> its numbers, `failed`: test -> why it has none."""

    tasks: dict[str, dict] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    data: dict[str, dict] = field(default_factory=dict)  # test -> what names its faces
    skills: dict[str, np.ndarray] = field(default_factory=dict)  # test -> (draws,) skill, for the interval of the mean

    def headlines(self) -> dict:
        """The numbers that stand for the model: the mean skill, the headline metric of every test, and how many tests
        failed, if any. `intervals` is a part that DVC does not show."""
        numbers, intervals = {}, {}
        if self.tasks:
            mean = float(np.mean([row["skill"] for row in self.tasks.values()]))
            drawn = np.mean(list(self.skills.values()), axis=0)
            fewest = min(row["samples"] for row in self.tasks.values())
            numbers, intervals = {"skill": rounded(mean)}, {"skill": plain(interval(mean, drawn, fewest))}
        for name, row in self.tasks.items():
            numbers[name] = row["metrics"][row["headline"]]
            intervals[name] = row["intervals"][row["headline"]]
        return numbers | ({"failed": len(self.failed)} if self.failed else {}) | {"intervals": intervals}

    def add(self, test: Test, result: Measured, *, seed: int, names: Mapping[str, Sequence[str]] | None = None) -> None:
        """Take over what was measured; names: of the data set's classes, which its groups are called by (None: no
        groups)."""
        where = bootstrap_seed(seed, test.dataset)
        row = numbers_of(test, result, seed=where)  # first, because it refuses what is no number
        groups = [] if names is None else by_group(result.metric, result.labels, names, seed=where)
        self.tasks[test.name] = row | ({"groups": {one.column: one.to_json() for one in groups}} if groups else {})
        self.skills[test.name] = result.skills(seed=where)


def evaluate_model(experiment: Experiment, name: str, *, device: str = "auto") -> dict:
    """Write everything below results/evaluate/ that belongs to models/<name>; return the details.

    Raises FaceptorError in the end, when all else is written, if a test could not be judged.
    """
    params, folder, home = experiment.params, MODELS / name, RESULTS / "evaluate"
    model = answering(load_model(folder).to(pick_device(device)), params.evaluate)
    tests, left_out = tests_of(experiment, model, name)
    about = {
        "model": name,
        "model_hash": model_hash(folder),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": params.seed,
        "intervals": INTERVALS,
        "left_out": left_out,
    }
    figures, plots = home / "figures" / name, home / "plots" / name
    for old in (figures, plots):  # of tasks that the model no longer has
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    details: dict = {}

    def write(report: Report, test: Test, result: Measured | None) -> None:
        nonlocal details
        if result:
            kind = KINDS[result.spec.kind]
            save_figure(kind.figure(result.spec, result.metric), figures / f"{test.name}.png")
            write_plots(kind.plots(result.spec, result.metric), plots, test.name)
        details = {"about": about | {"data": report.data}, "tasks": report.tasks, "failed": report.failed}
        write_json(home / "details" / f"{name}.json", details)
        write_json(home / f"{name}.json", report.headlines())

    with fixed_threads(params.evaluate.threads):
        report = judge(experiment, model, tests, device=device, then=write)
    if report.failed:
        told = "; ".join(f"{test}: {reason}" for test, reason in report.failed.items())
        raise FaceptorError(f"models/{name}: {len(report.failed)} of {len(tests)} tests could not be judged: {told}")
    return details


def tests_of(experiment: Experiment, model, name: str) -> tuple[list[Test], list[str]]:
    """The model's tests, and its tasks that have none because their data sets are not under `datasets`."""
    known = [name for name, spec in model.tasks.items() if spec.dataset in experiment.params.datasets]
    left_out = [each for each in model.tasks if each not in known]
    if left_out:
        print(f"{name}: not evaluated, for want of their data sets under `datasets`: {', '.join(left_out)}", flush=True)
    if not known:
        raise ConfigError(f"models/{name}: nothing to evaluate; add the data set of a task to `datasets`")
    return [test for each in known for test in tests_of_task(experiment, model.tasks[each])], left_out


def tests_of_task(experiment: Experiment, spec: TaskSpec) -> list[Test]:
    """Its own data set's test split, or those that `evaluate.test_sets` names."""
    return [Test(spec, name) for name in experiment.params.evaluate.test_sets.get(spec.name, (spec.dataset,))]


def judge(experiment: Experiment, model, tests: Iterable[Test], *, device: str, then=None) -> Report:
    """Measure one test after the other, whatever becomes of each; then(report, test, what was measured or None)."""
    report, baselines = Report(), {}
    for test in tests:
        result = None
        try:
            if test.task not in baselines:
                baselines[test.task] = constant_baseline(experiment, test.spec, own_crop(model, test.task))
            result = measure_test(experiment, model, test, device=device, baseline=baselines[test.task])
            facts = data_facts(experiment.prepared(test.dataset))
            names = label_names(experiment.prepared(test.dataset))
            report.add(test, result, seed=experiment.params.data.seed, names=names)
            report.data[test.name] = facts
        except FaceptorError as error:
            report.failed[test.name] = str(error)
            result = None
            print(f"{test.name}: not judged: {error}", flush=True)
        else:
            print(line_of(test, report.tasks[test.name]), flush=True)
        if then:
            then(report, test, result)
    return report


def measure_test(experiment: Experiment, model, test: Test, *, device: str, baseline=None) -> Measured:
    """A task on a test split. Faces are cropped as the model folder says, so that numbers belong to the model and not
    to today's params.yaml."""
    spec = experiment.judged_on(test.spec, test.dataset)
    kind = KINDS[spec.kind]
    params, samples = experiment.params, open_samples(spec, experiment.prepared(test.dataset), "test")
    return measure(
        answering(model, params.evaluate), spec, Spread(samples, params.evaluate.samples, run=kind.run_length),
        own_crop(model, test.task), batch=params.evaluate.batch, device=pick_device(device), baseline=baseline,
        workers=params.data.workers,
    )  # fmt: skip


def numbers_of(test: Test, result: Measured, *, seed: int) -> dict:
    """{"dataset", "samples", "headline", "skill", "metrics", "intervals", and "notes" if any}: rounded, plain data."""
    row = {"dataset": test.dataset, "samples": result.samples} | point_estimates(test, result)
    intervals = result.intervals(seed=seed)
    row["intervals"] = {name: plain(intervals[name]) for name in ("skill", *row["metrics"]) if name in intervals}
    return row | ({"notes": result.notes} if result.notes else {})


def point_estimates(test: Test, result: Measured) -> dict:
    """{"headline", "skill", "metrics"}, rounded; FaceptorError where the headline, or its constant, is not defined."""
    headline = result.headline
    require_numbers(test, result.metrics, (headline, f"constant_{headline}"))
    metrics = {name: rounded(value) for name, value in result.metrics.items() if math.isfinite(value)}
    return {"headline": headline, "skill": rounded(result.skill), "metrics": metrics}


def require_numbers(test: Test, metrics: Mapping[str, float], names: Iterable[str]) -> None:
    """FaceptorError for the first of these metrics that is not defined on the test's samples."""
    for name in names:
        if not math.isfinite(metrics[name]):
            raise FaceptorError(f"{test.name}: {name} is {metrics[name]}; check the labels of {test.dataset}")


def line_of(test: Test, row: Mapping) -> str:
    """A line for the terminal."""
    name = row["headline"]
    low_high = ", ".join("?" if end is None else f"{end:.3f}" for end in row["intervals"][name])
    value, constant = row["metrics"][name], row["metrics"][f"constant_{name}"]
    return f"{test.name}: {name} {value:.3f} [{low_high}] (constant {constant:.3f})"


def bootstrap_seed(seed: int, dataset: str) -> list[int]:
    """The same draws for all tasks and models on one data set, others for another."""
    return [seed, crc32(dataset.encode())]


def rounded(value: float) -> float:
    return round(value, DECIMALS)


def plain(found: Interval) -> list[float | None]:
    """[low, high] for JSON; None where there are too few samples to tell."""
    return [rounded(end) if math.isfinite(end) else None for end in found]
