"""One run of a variant of `experiments`: trained, judged on the test splits, and told in one small file.

results/experiments/runs/<name>-<seed>.json holds numbers alone: point estimates, because the spread that counts here is
that over seeds. The trained model is not kept. What variants share, stage 1 at the scale of the experiments, is trained
once for each seed, into models/experiments/stage1-<seed>. Checkpoints lie in runs/experiments/, and a run that was
stopped goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from faceptor.config.sections import spelled
from faceptor.evaluation.groups import by_group
from faceptor.evaluation.measure import Measured
from faceptor.io.files import MODELS, RUNS, write_json
from faceptor.io.lock import locked
from faceptor.models.base import FaceModel
from faceptor.pipeline.device import pick_device
from faceptor.pipeline.evaluation import Test, measure_test, point_estimates, rounded, tests_of_task
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.run_record import changed, started_record
from faceptor.pipeline.run_settings import digests
from faceptor.pipeline.samples import constant_baseline, data_facts, label_names
from faceptor.pipeline.starting_weights import starting_weights_of
from faceptor.pipeline.training import joint_model, named, provenance, train_layer_attention, train_tasks
from faceptor.pipeline.transfer import taught_model
from faceptor.pipeline.variants import Plan, Variants, result_of
from faceptor.training.checkpoint import clear
from faceptor.training.threads import fixed_threads
from faceptor.transforms.framing import own_crop
from faceptor.weights.folder import load_model, read_description, save_model

Trained = tuple[FaceModel, int, int]
"""A model, how many parameters learnt, and in how many steps."""


def run_variant(variants: Variants, name: str, seed: int, *, device: str = "auto") -> dict:
    """Train and judge a variant with a seed; write results/experiments/runs/<name>-<seed>.json and return it."""
    plan = variants.plan(name).with_seed(seed)
    start = variants.start().with_seed(seed) if plan.variant.start != "none" else None
    with locked(RUNS / plan.run), fixed_threads(plan.params.evaluate.threads):
        if start and not is_trained(start):
            train_start(variants, seed, device=device)
        measured = _transfer if plan.variant.trains == "transfer" else _judged
        found = measured(plan, str(pick_device(device)))
        steps = found.pop("steps") + (start.params.stage1.steps if start else 0)
        variant: dict[str, Any] = {"variant": name, "seed": seed}
        variant |= {"start": plan.variant.start, "trains": plan.variant.trains, "steps": steps}
        write_json(result_of(name, seed), variant | found)
        clear(RUNS / plan.run)
    return variant | found


def train_start(variants: Variants, seed: int, *, device: str = "auto") -> None:
    """Write models/experiments/stage1-<seed>: stage 1 at the scale of the experiments."""
    plan = variants.start().with_seed(seed)
    with locked(RUNS / plan.run):
        made_of = provenance(plan.experiment, "stage1", plan.tasks)
        made_of |= {"starting_weights": starting_weights_of(plan.params, "stage1"), "settings": digests(plan)}
        model, _ = joint_model(plan.experiment, plan.run, device=device, log=False)
        keep_crops(plan.experiment, model, plan.tasks)
        save_model(model, MODELS / plan.run, provenance=made_of)
        clear(RUNS / plan.run)


def is_trained(start: Plan) -> bool:
    """Whether the model is there that a run starts from, trained with the settings of today."""
    folder = MODELS / start.run
    return folder.is_dir() and read_description(folder)["provenance"].get("settings") == digests(start)


# --- trainings: the steps, the parameters and the tests of a run ------------------------------------------------------


def _judged(plan: Plan, device: str) -> dict:
    """One model, and the tests of its tasks."""
    model, learnt, steps = TRAININGS.get(plan.variant.trains, _joint)(plan, device)
    return told(model, learnt, steps) | {"tests": tests_on(plan.experiment, model, plan.tasks, device)}


def _joint(plan: Plan, device: str) -> Trained:
    """Stage 1 or a baseline, from nothing or on from the start."""
    experiment, stage, run_name = plan.experiment, plan.params.stage1, f"{plan.run}/joint"
    if plan.variant.start == "none":
        model, outcome = joint_model(experiment, run_name, device=device, log=False)
    else:
        model = load_model(MODELS / plan.start)
        outcome = train_tasks(
            experiment, model, stage, stage.tasks, run_name, named(stage.trainable, "*"), device,
            facts=started_record(experiment, plan.start), section="stage1", log=False,
        )  # fmt: skip
    keep_crops(experiment, model, plan.tasks)
    return model, outcome.trainable, stage.steps


def _second_stage(plan: Plan, device: str) -> Trained:
    """Layer-Attention of each task, kept whatever it gained: what it gains is what the run is to tell."""
    experiment, model, learnt = plan.experiment, load_model(MODELS / plan.start), 0
    for task in plan.tasks:
        run_name = f"{plan.run}/{task}"
        outcome = train_layer_attention(experiment, model, task, run_name, start=plan.start, device=device, log=False)
        learnt += outcome.trainable
    return model, learnt, plan.params.stage2.steps


TRAININGS = {"stage2": _second_stage, "nothing": lambda plan, device: (load_model(MODELS / plan.start), 0, 0)}


def _transfer(plan: Plan, device: str) -> dict:
    """Each data set by itself, and what the old tasks lost by it."""
    experiment, steps = plan.experiment, plan.params.transfer.steps
    (mode,) = plan.params.transfer.matrix.mode
    old = load_model(MODELS / plan.start)
    before = None
    found: dict[str, Any] = {"steps": steps, "trainable_parameters": 0, "total_parameters": 0}
    tests, forgotten = {}, {}
    for task in plan.tasks:
        run_name = f"{plan.run}/{task}"
        model, outcome = taught_model(experiment, task, mode, run_name, start=plan.start, device=device, log=False)
        keep_crops(experiment, model, [task])
        new = told(model, outcome.trainable, steps)
        found = {key: max(found[key], new[key]) for key in found}
        parameters = {"trainable_parameters": outcome.trainable}
        tests |= {test: row | parameters for test, row in tests_on(experiment, model, [task], device).items()}
        dataset = spelled(experiment.spec(task).dataset)
        forgotten[dataset] = 0.0
        if changed(model, old) or not model.isolated:
            before = before or tests_on(experiment, old, old.tasks, device)
            after = tests_on(experiment, model, old.tasks, device)
            lost = [before[test]["skill"] - row["skill"] for test, row in after.items()]
            forgotten[dataset] = rounded(float(np.mean(lost)))
    return found | {"tests": tests, "forgotten": forgotten}


def told(model: FaceModel, trainable: int, steps: int) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"steps": steps, "trainable_parameters": trainable, "total_parameters": parameters}


def keep_crops(experiment: Experiment, model: FaceModel, tasks: Iterable[str]) -> None:
    """Store in the model how test images of these tasks are cut, as they were trained; how faces lie in them is only
    asked for photographs."""
    for task in tasks:
        model.crops[task] = experiment.crop(task, "test").to_dict()


# --- judging ----------------------------------------------------------------------------------------------------------


def tests_on(experiment: Experiment, model: FaceModel, tasks: Iterable[str], device: str) -> dict[str, dict]:
    """Test -> its numbers, without intervals; a test that cannot be judged is an error."""
    rows, model = {}, model.to(device).eval()
    for task in tasks:
        spec = model.tasks[task]
        baseline = constant_baseline(experiment, spec, own_crop(model, task))
        for test in tests_of_task(experiment, spec):
            found = measure_test(experiment, model, test, device=device, baseline=baseline)
            rows[test.name] = numbers(experiment, test, found)
            print(f"{test.name}: {found.headline} {found.metrics[found.headline]:.3f}", flush=True)
    return rows


def numbers(experiment: Experiment, test: Test, found: Measured) -> dict[str, Any]:
    """Plain data, by group where the test faces have labels that tell groups."""
    row = {"dataset": test.dataset} | point_estimates(test, found)
    row["generated"] = data_facts(experiment.prepared(test.dataset))["generated"]
    groups = by_group(found.metric, found.labels, label_names(experiment.prepared(test.dataset)), seed=None)
    told = {one.column: {key: one.to_json()[key] for key in ("values", "faces")} for one in groups}
    return row | ({"groups": told} if told else {})
