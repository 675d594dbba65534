"""params.yaml as typed, validated values.

`params.yaml` is the only source of truth; the presets in `faceptor/presets/` are complete files of the same
form. Every unknown key, wrong type or impossible value is a ConfigError that names the key.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from faceptor.errors import ConfigError
from faceptor.tasks import task

PRESETS = Path(__file__).parent / "presets"


def _real(value: Any) -> Any:
    # YAML 1.1 reads 5e-5 (no dot) as text; a learning rate written that way is still a number.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Real = Annotated[float, BeforeValidator(_real), Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Share = Annotated[Real, Field(ge=0, lt=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Triple = tuple[Real, Real, Real]


class Section(BaseModel):
    """A block of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- data -----------------------------------------------------------------------------------------------------------


class Data(Section):
    root: Path  # folder that holds the data sets in their owners' layouts
    prepared: Path = Path("data/prepared")
    validation: Share = 0.1  # share of train groups held out, see Dataset.validation
    max_rejects: Share = 0.01  # a stage stops when more than this share of a split is unusable
    workers: Annotated[int, Field(ge=0)] = 0  # loader processes; 0 is fastest on a CPU
    cache_mb: Annotated[int, Field(ge=0)] = 1024  # decoded images kept in memory, per process


class Synthesis(Section):
    """How many faces to generate for one data set (train and test identities never overlap)."""

    train: Count
    test: Annotated[int, Field(ge=0)] = 0
    image_size: Count | None = None  # pixels; None keeps the layout's embedded default
    identities: Count | None = None  # recognition only
    pairs: Count | None = None  # pairs in each verification set, recognition only


class Dataset(Section):
    path: Path  # below data.root
    role: Literal["joint", "transfer"]  # trained together in stage 1, or met only in transfer
    validation: Share | None = None  # overrides data.validation
    options: dict[str, Any] = {}  # protocol choices, checked by the reader
    verification: tuple[str, ...] = ()  # recognition only: .bin sets to prepare


class Crop(Section):
    """From a photograph to the network's square input (see faceptor.data.crop)."""

    kind: Literal["box", "align5", "whole", "square", "arcface"]
    scale: Positive = 1.0
    warp: Share = 0.0
    antialias: bool = False


class Augment(Section):
    policy: Literal["none", "flip", "attributes", "landmarks", "parsing"] = "none"
    options: dict[str, Any] = {}


# --- model ----------------------------------------------------------------------------------------------------------


class Input(Section):
    size: Count  # pixels; the side of the square input
    mean: Triple
    std: tuple[Positive, Positive, Positive]


class Inputs(Section):
    dense: Input  # landmarks, parsing
    face: Input  # age, expression, attributes, recognition


class EncoderConfig(Section):
    width: Count = 768
    depth: Count = 12
    heads: Count = 12
    mlp_ratio: Positive = 4.0
    patch: Literal[8, 16] = 16
    grid: Count = 32  # side of the shared position table
    layers: tuple[Count, ...] = (2, 4, 6, 8, 10, 12)  # the six that Layer-Attention sees, 1-based, last = top
    stem: Literal["patch", "conv"] = "patch"
    class_token: bool = True
    norm_eps: Positive = 1e-5
    drop_path: Share = 0.2
    drop_path_axis: Literal["paper", "released"] = "paper"
    extras: bool = True  # keep FaRL's unused final norm and projection, as the published counts do
    pretrained: Path | None = None  # FaRL weights

    @model_validator(mode="after")
    def _consistent(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if list(self.layers) != sorted(set(self.layers)) or self.layers[-1] != self.depth:
            raise ValueError(f"layers {list(self.layers)} must ascend and end at depth {self.depth}")
        return self


class DecoderConfig(Section):
    width: Count = 256
    depth: Count = 9
    heads: Count = 8
    hidden: Count = 2048
    position: Literal["paper", "released"] = "released"

    @model_validator(mode="after")
    def _consistent(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 (sine and cosine, x and y)")
        return self


class LayerAttentionConfig(Section):
    mode: Literal["paper", "released"] = "paper"


class ModelConfig(Section):
    name: Literal["faceptor"] = "faceptor"
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    embedding: Count = 512
    inputs: Inputs
    layer_attention: LayerAttentionConfig = LayerAttentionConfig()

    @model_validator(mode="after")
    def _consistent(self):
        for group in ("dense", "face"):
            size = getattr(self.inputs, group).size
            if size % self.encoder.patch:
                raise ValueError(f"inputs.{group}.size {size} is not a multiple of the patch {self.encoder.patch}")
        return self


# --- training -------------------------------------------------------------------------------------------------------


class Mix(Section):
    """A task's part in a step: n_t samples with weight alpha_t (Table 2)."""

    samples: Count
    weight: Positive = 1.0


class Feed(Mix):
    """A task's part in a step and how its images reach the network.

    `test` crops the test images where the released code does that differently from training.
    """

    train: Crop
    test: Crop | None = None
    augment: Augment = Augment()
    criterion: dict[str, Real] = {}  # numbers of the loss, e.g. margin and scale

    @property
    def test_crop(self) -> Crop:
        return self.test or self.train


class Optimiser(Section):
    """AdamW with linear warm-up and cosine decay; a part's rate is `lr` times the first matching multiplier."""

    lr: Positive = 5e-5
    start_lr: NonNegative = 1e-6
    final_lr: NonNegative = 0.0
    multipliers: dict[str, NonNegative] = {"encoder.*": 1.0, "*": 10.0}
    weight_decay: NonNegative = 0.05
    clip: Positive = 5.0
    warmup: Annotated[int, Field(ge=0)] = 2000


class Stage(Section):
    steps: Count
    optimiser: Optimiser = Optimiser()
    trainable: tuple[str, ...] = ("*",)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    validate_every: Count = 1000
    validate_samples: Count | None = None  # per task; None = the whole validation split
    checkpoint_every: Count = 500
    log_every: Count = 50

    @model_validator(mode="after")
    def _warmup_fits(self):
        if self.optimiser.warmup >= self.steps:
            raise ValueError(f"optimiser.warmup {self.optimiser.warmup} must be below steps {self.steps}")
        return self


class Stage1(Stage):
    tasks: dict[str, Feed]


class Stage2(Stage):
    tasks: dict[str, Mix]
    trainable: tuple[str, ...] = ("layer_attention.{task}.*",)


class Evaluation(Section):
    models: tuple[str, ...] = ("stage1", "stage2")
    batch: Count = 64
    samples: Count | None = None  # None = the whole test split


class TransferMode(Section):
    trainable: tuple[str, ...]
    lr: Positive


class TransferMatrix(Section):
    """Which transfers the pipeline runs: every data set in every mode."""

    dataset: tuple[str, ...]
    mode: tuple[str, ...]


class Transfer(Stage):
    start: str = "stage1"  # the model folder under models/ that transfers
    matrix: TransferMatrix
    tasks: dict[str, Feed]
    modes: dict[str, TransferMode]


class Notebooks(Section):
    parameter_budget: dict[str, Any] = {}
    layer_attention: dict[str, Any] = {}


class Params(Section):
    seed: Annotated[int, Field(strict=True, ge=0)]
    data: Data
    synthesis: dict[str, Synthesis] = {}
    datasets: dict[str, Dataset]
    model: ModelConfig
    stage1: Stage1
    stage2: Stage2
    evaluate: Evaluation = Evaluation()
    transfer: Transfer
    notebooks: Notebooks = Notebooks()

    @model_validator(mode="after")
    def _names_exist(self):
        for stage in ("stage1", "stage2", "transfer"):
            for name in getattr(self, stage).tasks:
                dataset = task(name).dataset
                if dataset not in self.datasets:
                    raise ValueError(f"{stage}.tasks.{name}: its data set is missing, add datasets.{dataset}")
        roles = {"stage1": "joint", "transfer": "transfer"}
        for stage, role in roles.items():
            for name in getattr(self, stage).tasks:
                if self.datasets[task(name).dataset].role != role:
                    raise ValueError(f"{stage}.tasks.{name}: datasets.{task(name).dataset}.role must be {role!r}")
        _subset("stage2.tasks", self.stage2.tasks, "stage1.tasks", self.stage1.tasks)
        _subset("synthesis", self.synthesis, "datasets", self.datasets)
        _subset("transfer.matrix.mode", self.transfer.matrix.mode, "transfer.modes", self.transfer.modes)
        known = {task(name).dataset for name in self.transfer.tasks}
        _subset("transfer.matrix.dataset", self.transfer.matrix.dataset, "the data sets of transfer.tasks", known)
        for name in self.synthesis:
            path = self.datasets[name].path
            if path != Path(name):
                raise ValueError(f"datasets.{name}.path: a generated set is written to {name!r}, found {path}")
        return self

    def feed(self, name: str) -> Feed:
        """How a task's images reach the network, whichever stage trains it."""
        return (self.stage1.tasks | self.transfer.tasks)[name]

    def prepared(self, dataset: str) -> Path:
        """Folder of a data set's prepared shards."""
        return self.data.prepared / self.datasets[dataset].role / dataset


def _subset(what: str, names, where: str, known) -> None:
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise ValueError(f"{what}: {', '.join(strangers)} not in {where} ({', '.join(sorted(known))})")


def parse(values: dict, *, origin: str = "params.yaml") -> Params:
    """Validate a tree of values; raise ConfigError naming every offending key."""
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected sections (seed, data, model, ...), found {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(item, values, origin) for item in error.errors())) from None


def load_params(path: Path | str = "params.yaml") -> Params:
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        remedy = "run from the repository root, or `faceptor params use embedded`"
        raise ConfigError(f"{path}: not found; {remedy}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse(values, origin=str(path))


def preset_names() -> list[str]:
    return sorted(file.stem for file in PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    path = PRESETS / f"{name}.yaml"
    if name not in preset_names():
        raise ConfigError(f"preset {name!r}: unknown, expected one of {', '.join(preset_names())}")
    return path


def load_preset(name: str) -> Params:
    return load_params(preset_path(name))


def _explain(item: dict, values: dict, origin: str) -> str:
    location = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        siblings = _known_keys(item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), siblings, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(siblings)}"
        message = f"unknown key; {hint}"
    elif item["type"] == "missing":
        message = "missing"
    elif item["loc"] and not isinstance(item["input"], dict):
        message = f"{message}, found {item['input']!r}"
    return f"{origin}: {location}: {message}" if location else f"{origin}: {message}"


def _known_keys(location: tuple) -> list[str]:
    """Field names of the section at a location, stepping through dictionaries of sections."""
    section: Any = Params
    for part in location:
        fields = getattr(section, "model_fields", {})
        annotation = fields[part].annotation if part in fields else section
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, Section)]
        section = arguments[-1] if arguments else annotation
    return sorted(getattr(section, "model_fields", {}))
