"""What the analyses ask of an experiment."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

from faceptor.config import ModelConfig, Params
from faceptor.tasks import TaskSpec
from faceptor.transforms.crop import CropSpec


class Configured(Protocol):
    """Parameters and what they mean, as `faceptor.pipeline.experiment` resolves them."""

    @property
    def params(self) -> Params: ...

    @property
    def joint_specs(self) -> tuple[TaskSpec, ...]: ...

    def specs_of(self, tasks: Iterable[str]) -> dict[str, TaskSpec]: ...

    def crop(self, task: str, split: Literal["train", "test"]) -> CropSpec: ...

    def prepared(self, dataset: str) -> Path: ...

    def with_model(self, model: ModelConfig) -> "Configured": ...
