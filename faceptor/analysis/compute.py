"""Work and memory of a model: multiply-accumulates (MACs) and activations, by component and by task.

Nothing is calculated and no weight exists: models run on fake tensors, which are shapes and storages of a pretended
CPU and take the fused attention as a real run does. The largest preset takes seconds. Bytes are those of float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.batchnorm import _BatchNorm

from faceptor.analysis.budget import component_of, meta_model
from faceptor.analysis.configured import Configured
from faceptor.analysis.trace import Cost, kept, totals, work
from faceptor.models.base import FaceModel

# --- models without memory ------------------------------------------------------------------------------------------


@contextmanager
def fake(model: FaceModel) -> Iterator[FaceModel]:
    """A model of the meta device turned into one of fake tensors, for good; tensors made inside are fake too."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield model.to_empty(device="cpu")


def passes(model: FaceModel, tasks: Sequence[str] | None = None) -> dict[int, list[str]]:
    """Side of the square input in pixels -> the tasks (None: all) that one call at this size answers."""
    sizes: dict[int, list[str]] = {}
    for name in model.choose_tasks(tasks):
        sizes.setdefault(input_size(model, name), []).append(name)
    return sizes


def input_size(model: FaceModel, task: str) -> int:
    return model.inputs[model.group[task]].size


# --- the cost of a call ---------------------------------------------------------------------------------------------


def answering(model: FaceModel, tasks: Sequence[str], *, size: int) -> Cost:
    """Cost of answering these tasks about one image of size x size, in evaluation mode; nothing is kept.

    The peak is an estimate: what a kernel takes for itself is unseen, and an allocator rounds up.
    """
    with shapes_only(model, training=False):
        cost = work(model, torch.zeros(1, 3, size, size), list(tasks))
    return replace(cost, macs=by_component(cost.macs))


def training(model: FaceModel, samples: Mapping[str, int], *, count_work: bool = True) -> Cost:
    """Cost of the forward half of a training pass: `samples` images of each task, at its own size.

    What is kept includes the normalised images; losses and the gradients that backward makes come on top.
    count_work: count MACs too.
    """
    images = {name: torch.zeros(count, 3, *[input_size(model, name)] * 2) for name, count in samples.items()}
    with shapes_only(model, training=True, one_image=min(samples.values()) == 1):
        call = model.forward_tasks
        if not count_work:
            return Cost(saved=by_component(kept(model, images, call=call)))
        cost = work(model, images, training=True, call=call)
        return Cost(macs=by_component(cost.macs), saved=by_component(cost.saved))


@contextmanager
def shapes_only(model: FaceModel, *, training: bool, one_image: bool = False) -> Iterator[None]:
    """In training or evaluation mode, without a look at pixel values, which such tensors do not have.

    one_image: batch norms, which refuse to train on one image, keep to evaluation; they hold on to the same tensors.
    """
    before = {module: module.training for module in model.modules()}
    model.train(training)
    if one_image:
        for module in model.modules():
            module.training = training and not isinstance(module, (FaceModel, _BatchNorm))
    model.check_images = partial(type(model).check_images, model, values=False)
    try:
        yield
    finally:
        del model.check_images
        for module, mode in before.items():
            module.training = mode


def by_component(counts: Mapping[str, int]) -> dict[str, int]:
    """From children of the model to its components; what belongs to none goes to "rest"."""
    return totals((component_of(child), count) for child, count in counts.items())


# --- a configuration ------------------------------------------------------------------------------------------------


def summary(experiment: Configured, *, alone: bool = True, model: FaceModel | None = None) -> dict:
    """The stage-1 model of a configuration as plain data. passes: all tasks, one call per input size; training_step:
    images per task, and the bytes that a step keeps for backward, by component; tasks: `per_task`, which takes the
    longest, without `alone` empty. model: its `meta_model`, which is given up; None builds it."""
    samples = {name: each.samples for name, each in experiment.params.stage1.tasks.items()}
    with fake(model or meta_model(experiment)) as model:
        calls = [_call(model, tasks, size) for size, tasks in passes(model).items()]
        step = training(model, samples, count_work=False).saved
        tasks = per_task(model, model.tasks if alone else ())
    return {
        "macs": sum(call["macs"] for call in calls),
        "macs_one_by_one": sum(row["macs"] for row in tasks.values()) if alone else None,
        "passes": calls,
        "tasks": tasks,
        "training_step": {"samples": samples, "saved_bytes": sum(step.values()), "components": step},
    }


def _call(model: FaceModel, tasks: list[str], size: int) -> dict:
    cost = answering(model, tasks, size=size)
    macs = sum(cost.macs.values())
    return {"size": size, "tasks": tasks, "macs": macs, "components": cost.macs, "peak_bytes": cost.peak}


def per_task(model: FaceModel, tasks: Iterable[str]) -> dict[str, dict[str, int]]:
    """Task -> size, macs, saved_bytes: one image of a task alone. `model` is fake."""
    known: dict[tuple, Cost] = {}  # tasks of a kind with as many labels cost the same
    rows = {}
    for name in tasks:
        spec = model.tasks[name]
        alike = (spec.kind, spec.queries, model.group[name])
        if alike not in known:
            known[alike] = training(model, {name: 1})
        cost = known[alike]
        macs, saved = sum(cost.macs.values()), sum(cost.saved.values())
        rows[name] = {"size": input_size(model, name), "macs": macs, "saved_bytes": saved}
    return rows
