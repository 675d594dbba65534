"""The parameters of the notebooks, as their parameter cells declare them."""

from typing import Annotated

from pydantic import Field

from faceptor.config.sections import Count, Positive, Real, Section, Whole, either

Faces = Annotated[Count, Field(le=100_000)]
Batch = Annotated[Count, Field(le=4096)]
Degrees = Annotated[
    Annotated[int, Field(strict=True)] | Real,  # whole ones stay whole
    Field(gt=0, le=180),
    either("degrees, more than 0 and at most 180"),
]


class ParameterBudget(Section):
    presets: tuple[str, ...] = ()  # to compare; none = all, and params.yaml where it equals none of them
    max_tasks: Annotated[Count, Field(le=1000)] = 20  # the curves end at so many tasks


Query = Annotated[str, Field(pattern=r"^[^:]+:.+$")]  # task:label
Queries = Annotated[tuple[Query, ...], Field(min_length=1)]


class Tour(Section):
    """notebooks/00_tour.ipynb; a name of a notebook without the number that it begins with is its section."""

    model: str = "stage2"  # a folder below models/
    photo: str = ""  # a photograph; none: a validation face of the data set of `task`
    task: str = "landmarks_300w"
    number: Annotated[Whole, Field(le=10_000)] = 4  # which of these faces
    queries: Queries = (
        "landmarks_300w:left_eye_0",
        "parsing_celebamaskhq:hair",
        "attributes_celeba:Smiling",
        "age_morph2:30",
    )


class DataSets(Section):
    """notebooks/data.ipynb"""

    data_sets: tuple[str, ...] = ()  # none named: all of params.yaml
    faces: Annotated[Count, Field(le=12)] = 5  # shown of each


class FailureCases(Section):
    model: str = "stage2"  # a folder below models/
    tasks: tuple[str, ...] = ()  # none named: all of the model whose faces are labelled one by one
    faces: Faces = 96  # validation faces per task
    worst: Annotated[Count, Field(le=8)] = 4  # shown of each task
    share: Annotated[Real, Field(gt=0, le=0.5)] = 0.2  # of the faces that are compared with the others
    batch: Batch = 32


class LayerAttention(Section):
    faces: Faces = 96  # per task
    batch: Batch = 32
    queries: Queries = (  # whose attention is drawn over a face
        "landmarks_300w:left_eye_0",
        "parsing_celebamaskhq:hair",
        "attributes_celeba:Smiling",
        "expression_rafdb:happy",
        "age_morph2:30",
    )
    number: Annotated[Whole, Field(lt=12)] = 4  # which of twelve validation faces that is


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


Shares = tuple[Annotated[Real, Field(ge=0, le=1)], ...]


class Robustness(Section):
    model: str = "stage2"  # a folder below models/
    others: tuple[str, ...] = ("facexformer",)  # whose evaluated tests are listed by group, too
    faces: Faces = 64  # per task, that are spoilt
    judged: Faces = 512  # per task, that judge groups and calibration
    blur: Shares = (0.01, 0.03, 0.06)  # sigma, in sides of the crop
    occlusion: Shares = (0.1, 0.25, 0.5)  # of the crop's area
    noise: Shares = (0.05, 0.15, 0.3)  # standard deviation, of the range from black to white
    resolution: tuple[Count, ...] = (32, 16, 8)  # pixels across the crop
    jpeg: tuple[Annotated[Count, Field(le=100)], ...] = (30, 10, 3)  # quality
    light: tuple[Positive, ...] = (0.25, 0.5, 2.0)  # factor on all values
    contrast: Shares = (0.5, 0.2)  # share that is left
    turn: tuple[Degrees, ...] = (15, 30)  # degrees in the plane of the picture
    coverage: Annotated[Real, Field(gt=0, lt=1)] = 0.9  # promised by conformal intervals
    batch: Batch = 32


class PipelineTruth(Section):
    model: str = "stage2"  # a folder below models/
    faces: Faces = 96  # per task
    batch: Batch = 32


class Benchmark(Section):
    machines: tuple[str, ...] = ()  # names of files in results/bench; none: all


class Notebooks(Section):
    tour: Tour = Tour()
    data: DataSets = DataSets()
    parameter_budget: ParameterBudget = ParameterBudget()
    layer_attention: LayerAttention = LayerAttention()
    crop_sensitivity: CropSensitivity = CropSensitivity()
    robustness: Robustness = Robustness()
    pipeline_truth: PipelineTruth = PipelineTruth()
    ablations: Ablations = Ablations()
    transfer: Transfer = Transfer()
    results: Results = Results()
    failure_cases: FailureCases = FailureCases()
    benchmark: Benchmark = Benchmark()
