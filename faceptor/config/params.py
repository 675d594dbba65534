"""params.yaml as typed, validated values.

`params.yaml` is the only source of truth; the presets (`faceptor.config.preset_files`) give complete files of the same
form. Every unknown key, wrong type or impossible value is a ConfigError that names the key.
"""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationError,
    model_validator,
)

from faceptor.config.choices import EnginePrecision
from faceptor.config.crop import Crop
from faceptor.config.experiments import Experiments, check_variants
from faceptor.config.inheritance import as_meant, inherited_from, says
from faceptor.config.model import ModelConfig
from faceptor.config.notebooks import Notebooks
from faceptor.config.optimiser import Optimiser
from faceptor.config.preset_files import preset_values
from faceptor.config.sections import (
    AtKey,
    Count,
    DataSet,
    Flag,
    OrNone,
    Place,
    Positive,
    Section,
    Seed,
    Share,
    Whole,
    each_once,
    explain,
    spelled,
    written_keys,
)
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError

OTHER_FOLDERS = {
    "stage1", "stage2", "stage2-tasks", "transfer", "starts", "experiments",
    "start", "merge", "ship", "nothing",  # verbs of `train`, and what a variant may train
}  # fmt: skip


# --- data -----------------------------------------------------------------------------------------------------------


# Links out of a data set's folder: all, none, or into these folders.
Links = Annotated[
    Annotated[Flag, Tag("flag")] | Annotated[tuple[Place, ...], Tag("folders")],
    Discriminator(lambda value: "folders" if isinstance(value, (list, tuple)) else "flag"),
]


class Data(Section):
    seed: Seed = 1  # of generated faces, of drawn splits and of what is held out; `seed` above is of training
    root: Place  # folder that holds the data sets in their owners' layouts
    prepared: Place = Path("data/prepared")
    validation: Share = 0.1  # share of train groups held out, see Dataset.validation
    max_rejects: Share = 0.01  # a stage stops when more than this share of a split is unusable, see Dataset.max_rejects
    follow_links: Links = False
    workers: Annotated[Whole, Field(le=1024)] = 0  # loader processes; 0 is fastest on a CPU
    cache_mb: Whole = 1024  # decoded images kept in memory, per process
    decode: Literal["full", "reduced"] = "full"  # training JPEGs: all pixels, or fewer where the crop needs far fewer


class Training(Section):
    """How trainings run; it shapes nothing but the order in which sums are added."""

    processes: Annotated[Whole, Field(le=1024)] = 1  # that train together; 0 = one for each GPU, see docs/multi_gpu.md
    restarts: Annotated[Whole, Field(le=1000)] = 0  # from the last checkpoint, when one of several processes is killed


class Synthesis(Section):
    """How many faces to generate for one data set (train and test identities never overlap)."""

    train: Whole = 0  # 0: a set that its owner made for tests only
    test: Whole = 0
    image_size: Count | None = None  # pixels; None keeps the layout's embedded default
    identities: Count | None = None  # recognition only
    pairs: Count | None = None  # pairs in each verification set, recognition only


class Dataset(Section):
    path: Place  # below data.root
    reader: DataSet | None = None  # None = that of its own name; "generic" for a user's own data, see docs/data.md
    role: Literal["joint", "transfer"]  # trained together in stage 1, or met only in transfer
    validation: Share | None = None  # overrides data.validation
    max_rejects: Share | None = None  # overrides data.max_rejects
    options: dict[str, Any] = Field(default_factory=dict)  # protocol choices, checked by the reader
    verification: tuple[str, ...] = ()  # recognition only: .bin sets to prepare


class Augment(Section):
    policy: Literal["none", "flip", "attributes", "landmarks", "parsing", "facexformer"] = "none"
    options: dict[str, Any] = Field(default_factory=dict)


# --- training -------------------------------------------------------------------------------------------------------


class Sampling(Section):
    """A task's part in a step: n_t samples with weight alpha_t (Table 2)."""

    samples: Count
    weight: Positive = 1.0


def _setting(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number, or the name of a loss")
    if not isinstance(value, str) and not isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _words(criterion: dict[str, Any]) -> dict[str, Any]:
    for key, value in criterion.items():
        if isinstance(value, str) and key != "loss":
            raise AtKey(key, f"expected a number, found {value!r}")
    return criterion


Setting = Annotated[Any, PlainValidator(_setting)]  # a union would name its members in error messages
Criterion = Annotated[dict[str, Setting], AfterValidator(_words)]


class TaskSettings(Sampling):
    """A task's part in a step and how its images reach the network.

    `test` crops the test images where the released code does that differently from training.
    """

    faces: OrNone[Count] = None  # train on so many, spread evenly over the training split; None = all
    train: Crop
    test: OrNone[Crop] = None
    augment: Augment = Augment()
    criterion: Criterion = Field(default_factory=dict)  # loss: its name; and its numbers, e.g. margin

    @property
    def test_crop(self) -> Crop:
        return self.test or self.train


def _pattern(value: str) -> str:
    if not value or re.search(r"[{}]", value.replace("{task}", "")):
        raise ValueError("expected a glob pattern over parameter names, in which {task} stands for the task")
    return value


Patterns = Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(min_length=1)]


class Stage(Section):
    steps: Count
    optimiser: Optimiser = Optimiser()
    trainable: Patterns = ("*",)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: Count = 1  # of a CPU run: sums depend on their number, so whichever command starts the stage keeps to it
    compile: Literal["none", "encoder", "whole"] = "none"  # whole: also decoder layers, output modules, losses
    cuda_graph: Flag = True  # on a GPU: record the kernels of a step once and start them as a whole
    accumulate: Count = 1  # pieces in which a batch goes through the model, each with its part of every task's samples
    checkpoint_activations: Flag = False  # keep the inputs of layers alone: less memory, a third more work
    validate_every: Count = 1000
    validate_samples: OrNone[Count] = None  # per task; None = the whole validation split
    checkpoint_every: Count = 500
    log_every: Count = 50

    @model_validator(mode="after")
    def _warmup_fits(self):
        if self.optimiser.warmup >= self.steps:
            raise ValueError(f"optimiser.warmup {self.optimiser.warmup} must be below steps {self.steps}")
        return self


class Stage1(Stage):
    tasks: dict[str, TaskSettings]
    select: tuple[str, ...] = ()  # tasks whose mean validation skill chooses the step; none = all that have validation

    @model_validator(mode="after")
    def _selects_its_tasks(self):
        _subset("select", self.select, "tasks", self.tasks)
        return self


class Stage2(Stage):
    tasks: dict[str, Sampling]
    merged: tuple[Literal["stage2"], ...] = ("stage2",)  # the model folder of all tasks; none without a second stage
    trainable: Patterns = ("layer_attention.{task}.*",)


class Baseline(Section):
    """Another structure for the same data: what `faceptor train <name>` trains beside `model`."""

    model: ModelConfig
    train: Stage1


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


TestSets = Annotated[tuple[DataSet, ...], Field(min_length=1), BeforeValidator(_several), each_once("data set")]


class Evaluation(Section):
    models: tuple[str, ...] = ("stage1", "stage2")
    batch: Count = 64
    precision: EnginePrecision = "fp32"  # of tests and validations
    samples: OrNone[Count] = None  # None = the whole test split
    threads: Count = 1  # on a CPU; as in a stage of training
    # task -> all data sets whose test splits judge it; its own among them, or it is judged by the others alone
    test_sets: dict[str, TestSets] = Field(default_factory=dict)


class TransferMode(Section):
    """rank: low-rank adapters on attention maps learn beside what `trainable` names (LoRA; not in the papers)."""

    trainable: Patterns
    lr: Positive
    rank: OrNone[Annotated[Count, Field(le=1024)]] = None


class TransferMatrix(Section):
    """Which transfers the pipeline runs: every data set in every mode."""

    dataset: tuple[str, ...]
    mode: tuple[str, ...]


class Transfer(Stage):
    start: str = "stage1"  # the model folder under models/ that transfers
    matrix: TransferMatrix
    tasks: dict[str, TaskSettings]
    modes: dict[str, TransferMode]

    @model_validator(mode="after")
    def _modes_say_what_learns(self):
        if "lr" in self.optimiser.model_fields_set:
            raise AtKey("optimiser.lr", "has no effect; the rate is that of each mode, transfer.modes.<mode>.lr")
        if "trainable" in self.model_fields_set:
            raise AtKey("trainable", "has no effect; what learns says each mode, transfer.modes.<mode>.trainable")
        return self


class Params(Section):
    seed: Seed  # of training: initialisation, order of samples, augmentation
    data: Data
    train: Training = Training()
    synthesis: dict[str, Synthesis] = Field(default_factory=dict)
    datasets: dict[str, Dataset]
    model: ModelConfig
    stage1: Stage1
    stage2: Stage2
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    evaluate: Evaluation = Evaluation()
    shipped: dict[Literal["embedded"], str] = Field(default_factory=dict)  # folder -> model
    transfer: Transfer
    experiments: Experiments = Experiments()
    notebooks: Notebooks = Notebooks()

    @model_validator(mode="after")
    def _names_exist(self):
        if self.stage2.tasks and not hasattr(self.model, "layer_attention"):
            raise ValueError(f"stage2.tasks: model {self.model.name!r} has no Layer-Attention to train, expected {{}}")
        if len(self.stage2.merged) != bool(self.stage2.tasks):
            expected = "[stage2]" if self.stage2.tasks else "[], because stage2.tasks is empty"
            raise ValueError(f"stage2.merged: expected {expected}, found {list(self.stage2.merged)}")
        for name in {*self.baselines} & OTHER_FOLDERS:
            raise ValueError(f"baselines.{name}: models/{name} is the folder of something else; choose another name")
        models = {"stage1", *self.stage2.merged, *self.baselines}
        _subset("evaluate.models", self.evaluate.models, "the models", models)
        for name, model in self.shipped.items():
            _subset(f"shipped.{name}", [model], "evaluate.models", self.evaluate.models)
        _subset("transfer.start", [self.transfer.start], "the models", models)
        notebook = self.notebooks.crop_sensitivity.model
        _subset("notebooks.crop_sensitivity.model", [notebook], "the models", models)
        _subset("stage2.tasks", self.stage2.tasks, "stage1.tasks", self.stage1.tasks)
        _subset("synthesis", self.synthesis, "datasets", self.datasets)
        _subset("transfer.matrix.mode", self.transfer.matrix.mode, "transfer.modes", self.transfer.modes)
        check_variants(self.experiments.variants, self.baselines)
        for name in self.synthesis:
            path = self.datasets[name].path
            key = spelled(name)
            if path != Path(key):
                raise ValueError(f"datasets.{key}.path: a generated set is written to {key!r}, found {path}")
        return self

    def max_rejects(self, name: str) -> float:
        """Share of a split of a data set that may be unusable."""
        own = self.datasets[name].max_rejects if name in self.datasets else None
        return self.data.max_rejects if own is None else own

    def variant(self, model: str) -> "Params":
        """These parameters as a model sees them: a baseline has its own `model`, and its training is `stage1`."""
        if model not in self.baselines:
            return self
        baseline = self.baselines[model]
        return self.model_copy(update={"model": baseline.model, "stage1": baseline.train})

    def settings(self, name: str) -> TaskSettings:
        """How a task's images reach the network, whichever stage trains it."""
        return (self.stage1.tasks | self.transfer.tasks)[name]

    def prepared(self, dataset: str) -> Path:
        """Folder of a data set's prepared shards."""
        return self.data.prepared / self.datasets[dataset].role / spelled(dataset)


def _subset(what: str, names, where: str, known) -> None:
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise ValueError(f"{what}: {', '.join(strangers)} not in {where} ({', '.join(sorted(known))})")


def parse(values: dict, *, origin: str = "params.yaml") -> Params:
    """Validate a tree of values; raise ConfigError naming every offending key."""
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected sections (seed, data, model, ...), found {type(values).__name__}")
    try:
        return Params.model_validate(as_meant(values))
    except ConfigError as error:  # of a key
        raise ConfigError(f"{origin}: {error}") from None
    except ValidationError as error:
        told = _where_written(error.errors(), values)
        raise ConfigError("; ".join(explain(e, root=Params, origin=origin) for e in told)) from None


def _where_written(errors: Sequence[Mapping[str, Any]], values: dict) -> Sequence[Mapping[str, Any]]:
    """Errors at keys that the file has; what a baseline inherits is told once, at the key that is written."""
    places = [written_keys(error["loc"], Params) for error in errors]
    told = [e for e, keys in zip(errors, places, strict=True) if not inherited_from(keys) or says(values, keys)]
    return told or errors


def load_params(path: Path | str = "params.yaml") -> Params:
    values = read_yaml(path, remedy="run from the repository root, or `faceptor params use embedded`")
    return parse(values, origin=str(path))


def load_preset(name: str) -> Params:
    return parse(preset_values(name), origin=f"preset {name}")
