"""The parameters of the notebooks, as their parameter cells declare them."""

from typing import Annotated

from pydantic import Field

from faceptor.config.sections import Count, Positive, Real, Section

Faces = Annotated[Count, Field(le=100_000)]
Batch = Annotated[Count, Field(le=4096)]
Degrees = Annotated[Annotated[int, Field(strict=True)] | Real, Field(gt=0, le=180)]  # whole ones stay whole


class ParameterBudget(Section):
    max_tasks: Annotated[Count, Field(le=1000)] = 20  # the curves end at so many tasks


class LayerAttention(Section):
    faces: Faces = 96  # per task
    batch: Batch = 32


class CropSensitivity(Section):
    model: str = "stage1"  # a folder below models/
    faces: Faces = 128  # per task
    margins: tuple[Positive, ...] = (0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.35, 1.5)  # of the crop; 1 = as trained
    shifts: tuple[Positive, ...] = (0.02, 0.05, 0.1, 0.15, 0.2)  # shares of the crop's side
    rotations: tuple[Degrees, ...] = (5, 10, 15, 20, 30)  # degrees
    batch: Batch = 32


class Ablations(Section):
    variants: tuple[str, ...] = ()  # names or globs; none: all
    baseline: str = "faceptor"  # what they are compared with
    metric: str = "skill"  # or headline, or the name of one


class Transfer(Section):
    modes: tuple[str, ...] = ()  # none: all


class Results(Section):
    models: tuple[str, ...] = ()  # of evaluate.models, whose skill is drawn; none: all


class Notebooks(Section):
    parameter_budget: ParameterBudget = ParameterBudget()
    layer_attention: LayerAttention = LayerAttention()
    crop_sensitivity: CropSensitivity = CropSensitivity()
    ablations: Ablations = Ablations()
    transfer: Transfer = Transfer()
    results: Results = Results()
