"""The model section of params.yaml: one class per model, chosen by `name`."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from faceptor.config.sections import Count, Flag, OrNone, Place, Real, Section, Share, all_explained
from faceptor.errors import ConfigError

Mean = Annotated[Real, Field(ge=-1000, le=1000)]  # of pixels in [0, 1]; wide enough for statistics of 0 .. 255
Deviation = Annotated[Real, Field(ge=1e-3, le=1000)]


# Bounds far above any published model, so that a model section from elsewhere cannot ask for all memory.
Width = Annotated[Count, Field(le=16384)]  # channels
Depth = Annotated[Count, Field(le=256)]  # layers, and numbers of a layer
Heads = Annotated[Count, Field(le=1024)]
Layers = Annotated[tuple[Depth, ...], Field(min_length=1, max_length=64)]
Small = Annotated[Real, Field(gt=0, le=1)]


class Input(Section):
    size: Annotated[Count, Field(le=4096)]  # pixels; the side of the square input
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]


class Inputs(Section):
    dense: Input  # landmarks, parsing
    face: Input  # age, expression, attributes, recognition


class EncoderConfig(Section):
    width: Width = 768
    depth: Depth = 12
    heads: Heads = 12
    mlp_ratio: Annotated[Real, Field(gt=0, le=64)] = 4.0
    patch: Literal[8, 16] = 16
    grid: Annotated[Count, Field(le=512)] = 32  # side of the shared position table
    layers: Layers = (2, 4, 6, 8, 10, 12)  # the six that Layer-Attention sees, 1-based, last = top
    stem: Literal["patch", "conv", "residual"] = "patch"
    class_token: Flag = True
    norm_eps: Small = 1e-5
    drop_path: Share = 0.2
    drop_path_axis: Literal["paper", "released"] = "paper"
    extras: Flag = True  # keep FaRL's unused final norm and projection, as the published counts do
    pretrained: OrNone[Place] = None  # FaRL weights, see `faceptor import-weights`

    @model_validator(mode="after")
    def _consistent(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if list(self.layers) != sorted(set(self.layers)) or self.layers[-1] != self.depth:
            raise ValueError(f"layers {list(self.layers)} must ascend and end at depth {self.depth}")
        return self


class DecoderConfig(Section):
    width: Width = 256
    depth: Depth = 9
    heads: Heads = 8
    hidden: Width = 2048
    position: Literal["paper", "released"] = "released"

    @model_validator(mode="after")
    def _consistent(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.width % 4:
            raise ValueError(f"width {self.width} must be a multiple of 4 (sine and cosine, x and y)")
        return self


class LayerAttentionConfig(Section):
    """from_start: all tasks with values have it in stage 1 and train it there, "LA (Directly)" of Faceptor's Table 4;
    otherwise it is added and trained in stage 2."""

    mode: Literal["paper", "released"] = "paper"
    from_start: Flag = False


Gain = Annotated[Real, Field(gt=0, le=1000)]


class EncoderInitialisation(Section):
    """What `init: scratch` draws otherwise than the parts do by themselves, around a ViT."""

    position_table_amplitude: Gain = 0.5  # of the encoder's sines; the patches of a fresh stem have unit variance


class FaceptorInitialisation(EncoderInitialisation):
    """Queries of tasks with values; the released code draws content from N(0, 1) and position from U(0, 1)."""

    value_query_content_std: Gain = 0.2  # little of its own: a query starts as what it sees
    value_query_position_std: Gain = 4.0  # much: its attention starts at places of its own


class FaceXFormerInitialisation(Section):
    """Gains over weights as the parts draw them."""

    self_attention_gain: Gain = 2.0  # of the first layer's scores: a token attends to itself among a hundred others
    token_to_image_gain: Gain = 2.0  # of all scores with which tokens look at the image
    mask_mlp_gain: Gain = 8.0  # of the last layers of masks, whose logits would start near 0.03
    mask_upsample_gain: Gain = 3.0


class _Start(Section):
    init: Literal["released", "scratch"] = "released"  # released: from the file `pretrained`; scratch: without any


class _OnPatches(_Start):
    """What the models around a ViT share."""

    encoder: EncoderConfig = EncoderConfig()
    embedding: Width = 512
    inputs: Inputs

    @model_validator(mode="after")
    def _whole_patches(self):
        for group in ("dense", "face"):
            size = getattr(self.inputs, group).size
            if size % self.encoder.patch:
                raise ValueError(f"inputs.{group}.size {size} is not a multiple of the patch {self.encoder.patch}")
        return self


class FaceptorConfig(_OnPatches):
    name: Literal["faceptor"] = "faceptor"
    decoder: DecoderConfig = DecoderConfig()
    initialisation: FaceptorInitialisation = FaceptorInitialisation()  # for init: scratch
    skips: Flag = False  # the pixel decoder sees the stem's finer maps, too, as in a U-Net; not in the paper
    layer_attention: LayerAttentionConfig = LayerAttentionConfig()

    @model_validator(mode="after")
    def _something_to_skip(self):
        if self.skips and self.encoder.stem != "residual":
            raise ValueError(f"skips: only the stem residual has finer maps; encoder.stem is {self.encoder.stem}")
        return self


class AttributeHeadConfig(Section):
    """SwinFace's attribute heads: one per kind with values (age, expression, attributes, ...)."""

    layers: Layers = (6, 8, 10, 12)  # encoder layers it sees, 1-based, ascending
    width: Width = 128  # channels per layer; the hidden width is their sum
    reduction: Width = 16  # of the channel gate
    dropout: Share = 0.5


class DenseHeadConfig(Section):
    """UPerNet: one per kind with maps (landmarks, parsing). Its layers make a pyramid, the finest one first."""

    layers: tuple[Depth, Depth, Depth, Depth] = (4, 6, 8, 12)
    width: Width = 512
    pools: Layers = (1, 2, 3, 6)
    dropout: Share = 0.1


class NaiveConfig(_OnPatches):
    name: Literal["naive"] = "naive"
    initialisation: EncoderInitialisation = EncoderInitialisation()  # for init: scratch
    values: AttributeHeadConfig = AttributeHeadConfig()
    maps: DenseHeadConfig = DenseHeadConfig()

    @model_validator(mode="after")
    def _layers_exist(self):
        for part in ("values", "maps"):
            layers = getattr(self, part).layers
            if list(layers) != sorted(set(layers)) or layers[-1] > self.encoder.depth:
                raise ValueError(f"{part}.layers {list(layers)} must ascend and not exceed depth {self.encoder.depth}")
        return self


def _modest(value: Any, depth: int = 3) -> Any:
    """Keyword arguments of a backbone: words, booleans and numbers of modest size, in lists and sections."""
    if isinstance(value, (dict, list, tuple)) and depth and len(value) <= 64:
        for item in value.values() if isinstance(value, dict) else value:
            _modest(item, depth - 1)
    elif not (value is None or isinstance(value, str)) and not (
        isinstance(value, (int, float)) and abs(value) <= 16384
    ):
        raise ValueError(f"expected words, booleans and numbers up to 16384, found {reprlib.repr(value)}")
    return value


Options = Annotated[dict[str, Any], AfterValidator(_modest)]


class BackboneConfig(Section):
    name: str = "swin_base_patch4_window7_224"  # any timm model with features at several depths
    options: Options = Field(default_factory=dict)  # its own keyword arguments, e.g. embed_dim of a tiny one
    pretrained: OrNone[Path] = None  # a file with timm's names, see `faceptor import-weights imagenet`


class TwoWayConfig(Section):
    """cross_attention: how tokens and image attend to each other, the ablation of FaceXFormer's Table 7. two_way is the
    model itself; token_to_image leaves the image as it is; with none, tokens are the same for all faces."""

    width: Width = 256
    depth: Depth = 2
    heads: Heads = 8
    hidden: Width = 2048
    cross_attention: Literal["two_way", "token_to_image", "none"] = "two_way"

    @model_validator(mode="after")
    def _consistent(self):
        if self.width % 8 or self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 8 and of twice the heads {self.heads}")
        return self


class FaceXFormerConfig(_Start):
    name: Literal["facexformer"] = "facexformer"
    variant: Literal["paper", "released"] = "paper"  # how landmarks and pose are read
    backbone: BackboneConfig = BackboneConfig()
    fusion: Literal["all", "last"] = "all"  # levels of the backbone that are fused; last: none is (Table 7)
    decoder: TwoWayConfig = TwoWayConfig()
    initialisation: FaceXFormerInitialisation = FaceXFormerInitialisation()  # for init: scratch
    embedding: Width = 512
    inputs: Inputs


def name_of(value: Any) -> str:
    """The structure that a model section asks for."""
    name = value.get("name", "faceptor") if isinstance(value, dict) else getattr(value, "name", type(value).__name__)
    return str(name)


MODELS: dict[str, type[Section]] = {"faceptor": FaceptorConfig, "naive": NaiveConfig, "facexformer": FaceXFormerConfig}

ModelConfig = Annotated[
    Annotated[FaceptorConfig, Tag("faceptor")]
    | Annotated[NaiveConfig, Tag("naive")]
    | Annotated[FaceXFormerConfig, Tag("facexformer")],
    Discriminator(name_of),
]


def model_config(values: Any, *, origin: str = "model") -> ModelConfig:
    """A model section from plain values; without a `name` it is a Faceptor. Raises ConfigError naming every bad key."""
    chosen: Any = MODELS.get(name_of(values), ModelConfig)  # a name that is none has its own complaint
    try:
        return TypeAdapter(chosen).validate_python(values)
    except ValidationError as error:
        raise ConfigError(all_explained(error, root=chosen, origin=origin)) from None
