"""What every model here shares: its tasks, its input statistics, and what it accepts.

Shapes: B images, H W their sides in pixels, N labels of a task.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from faceptor.errors import ConfigError, FaceptorError
from faceptor.models.modules import ModuleDict
from faceptor.tasks import TaskSpec, kind_of

# Pixels of [0, 1] may lie a little outside after resampling; images in 0..255 and normalised ones lie far outside.
PLAUSIBLE_PIXELS = (-1.0, 2.0)
HEAD_ORDER = ("map", "value", "vector")  # batches are laid out so that what shares a module is adjacent


class InputGroup(nn.Module):
    """Statistics of one input group: [0, 1] images in, normalised images out. `size` is the side it is trained at."""

    mean: Tensor  # (3, 1, 1)
    std: Tensor

    def __init__(self, *, size: int, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.size = size
        self.statistics = (tuple(mean), tuple(std))
        # Not in the state dict: model.json holds them, once.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @property
    def is_identity(self) -> bool:
        return self.statistics == ((0.0,) * 3, (1.0,) * 3)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class FaceModel(nn.Module):
    """A model with named tasks and input groups.

    tasks: name -> TaskSpec; `stride`: image sides must be multiples of it; `config`: the model section it was built
    from, `crops`: task -> how its test images are cropped (both plain data for the model folder).
    """

    isolated: ClassVar[bool] = True  # a task added or removed leaves the others' answers as they are

    def __init__(self, *, inputs: Mapping[str, InputGroup], stride: int):
        super().__init__()
        self.inputs: ModuleDict[InputGroup] = ModuleDict(inputs)
        self.stride = stride
        self.tasks: dict[str, TaskSpec] = {}
        self.head: dict[str, str] = {}  # task -> "map", "value" or "vector"
        self.group: dict[str, str] = {}  # task -> input group
        self.config: dict[str, Any] = {}
        self.crops: dict[str, dict] = {}
        self.provenance: dict[str, Any] = {}  # of the model folder that it was loaded from

    def own_spec(self, spec: TaskSpec) -> TaskSpec:
        """The task as this model answers it: some published models order or count classes otherwise than a data set."""
        return spec

    def register_task(self, spec: TaskSpec) -> None:
        if spec.name in self.tasks:
            raise ConfigError(f"task {spec.name!r}: the model has it already; remove_task first")
        if not set(spec.name).isdisjoint(".+"):
            raise ConfigError(f"task {spec.name!r}: a name may not contain '.' or '+'")
        kind = kind_of(spec)
        self.tasks[spec.name], self.head[spec.name], self.group[spec.name] = spec, kind.head, kind.inputs

    def unregister_task(self, task: str) -> None:
        self.require_task(task)
        for table in (self.tasks, self.head, self.group, self.crops):
            table.pop(task, None)

    def require_task(self, task: str) -> TaskSpec:
        if task not in self.tasks:
            raise ConfigError(f"task {task!r}: not in this model; expected one of {', '.join(self.tasks)}")
        return self.tasks[task]

    def normalise(self, images: Tensor, task: str) -> Tensor:
        return self.inputs[self.group[task]](images)

    def grouped_by_statistics(self, tasks: Sequence[str]) -> list[list[str]]:
        """Tasks bundled by input statistics: one encoder pass answers a bundle."""
        bundles: dict[tuple, list[str]] = {}
        for task in tasks:
            bundles.setdefault(self.inputs[self.group[task]].statistics, []).append(task)
        return list(bundles.values())

    def forward(self, images: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """images: float RGB in [0, 1], (B, 3, H, W), H and W divisible by the patch; tasks: None means all.

        Returns raw numbers by task: "map" tasks logits (B, N, H/4, W/4), "value" tasks logits (B, N), recognition
        the identity embedding (B, embedding), not normalised. Raises FaceptorError on other images or unknown tasks.
        """
        self.check_images(images)
        names = self.choose_tasks(tasks)
        raw: dict[str, Tensor] = {}
        for bundle in self.grouped_by_statistics(names):
            all_rows = slice(0, images.shape[0])
            raw |= self.forward_rows(self.normalise(images, bundle[0]), dict.fromkeys(bundle, all_rows))
        return {task: raw[task] for task in names}

    def forward_tasks(self, batches: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Training: every task has its own images (as in `forward`, or none); one encoder pass per image size."""
        names = self.choose_tasks(list(batches))
        for task in names:
            self.check_images(batches[task], where=f"images of {task}", values=False)
        raw: dict[str, Tensor] = {}
        for size in {batches[task].shape[-2:]: None for task in names}:
            bundle = sorted((t for t in names if batches[t].shape[-2:] == size), key=self.batch_order)
            rows, start = {}, 0
            for task in bundle:
                rows[task] = slice(start, start := start + len(batches[task]))
            raw |= self.forward_rows(torch.cat([self.normalise(batches[task], task) for task in bundle]), rows)
        return {task: raw[task] for task in names}

    def forward_rows(self, images: Tensor, rows: Mapping[str, slice]) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) and the rows each task is asked about -> raw numbers by task."""
        raise NotImplementedError(f"{type(self).__name__} has no forward_rows")

    def batch_order(self, task: str) -> tuple:
        """Sorting key of the tasks of a training batch: what shares a module lies side by side."""
        return (HEAD_ORDER.index(self.head[task]),)

    def choose_tasks(self, tasks: Sequence[str] | None) -> list[str]:
        """The tasks asked for, each once, in order; None means all of the model's."""
        if isinstance(tasks, str):
            raise ConfigError(f"tasks: expected a list of names, found the string {tasks!r}; write [{tasks!r}]")
        names = list(dict.fromkeys(self.tasks if tasks is None else tasks))
        for task in names:
            self.require_task(task)
        if not names:
            raise ConfigError(f"tasks: expected at least one name, found none; this model has {', '.join(self.tasks)}")
        return names

    def check_images(self, images: Tensor, *, where: str = "images", values: bool = True) -> None:
        """Raise FaceptorError unless images are float RGB (B, 3, H, W) in [0, 1] with sides the patch divides."""
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != 3:
            found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise FaceptorError(f"{where}: expected a tensor (B, 3, H, W), found {found}")
        if not images.is_floating_point():
            raise FaceptorError(f"{where}: expected float RGB in [0, 1], found {images.dtype}; divide by 255")
        empty = 0 in images.shape[1:] or (values and images.shape[0] == 0)  # in training one process may have none
        if images.shape[-2] % self.stride or images.shape[-1] % self.stride or empty:
            raise FaceptorError(
                f"{where}: expected a batch with H and W divisible by {self.stride}, found {tuple(images.shape)}; "
                "resize or pad"
            )
        identity = all(group.is_identity for group in self.inputs.values())  # the caller normalises
        if not values or identity or torch.compiler.is_compiling():
            return
        low, high = (float(value) for value in torch.aminmax(images.detach()))
        if not (PLAUSIBLE_PIXELS[0] <= low and high <= PLAUSIBLE_PIXELS[1]):  # NaN fails every comparison
            raise FaceptorError(
                f"{where}: expected float RGB in [0, 1], found values from {low:.3g} to {high:.3g}; give the pixels "
                "divided by 255 and not normalised (the model does that)"
            )

    def initialise(self, **numbers: float) -> None:
        """Prepare a freshly built model for a training without published weights; `numbers` is the section
        `model.initialisation`. A model that says nothing else starts as its parts drew themselves."""
        if numbers:
            raise ConfigError(f"model.initialisation: expected none for {type(self).__name__}, found {sorted(numbers)}")

    def compilable(self) -> list[nn.Module]:
        """Parts that a training may compile, each as a whole: first what every task's images go through, then the
        rest. Their shapes are the same in every step."""
        raise ConfigError(f"compile: {type(self).__name__} names no parts that could be compiled; set it to none")

    def repeated_layers(self) -> list[nn.Module]:
        """Layers that hold most of the activations, whose norms are not over the batch."""
        return []

    def structure(self) -> dict[str, Any]:
        """Plain data about optional parts, so that `apply_structure` on a fresh model makes the weights fit."""
        return {}

    def apply_structure(self, structure: Mapping[str, Any]) -> None:
        if structure:
            raise ConfigError(f"model structure: expected none for {type(self).__name__}, found {sorted(structure)}")
