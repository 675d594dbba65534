"""How the images of a task are cropped: its section of params.yaml at the size of the model's input."""

from typing import Literal

from faceptor.config import Inputs, TaskSettings
from faceptor.tasks import TaskSpec, kind_of
from faceptor.transforms.crop import CropSpec


def crop_of(spec: TaskSpec, settings: TaskSettings, inputs: Inputs, split: Literal["train", "test"]) -> CropSpec:
    """The crop of a task's training or test images at the size of its input group."""
    crop = settings.train if split == "train" else settings.test_crop
    return CropSpec(**crop.model_dump(), size=getattr(inputs, kind_of(spec).inputs).size)
