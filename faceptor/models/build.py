"""From the model section of params.yaml to a model: the only place that knows configuration and parts alike."""

from collections.abc import Callable, Sequence

from faceptor.config import EncoderConfig, FaceptorConfig, FaceXFormerConfig, Inputs, ModelConfig, NaiveConfig
from faceptor.errors import ConfigError
from faceptor.models.backbone import Backbone
from faceptor.models.base import FaceModel, InputGroup
from faceptor.models.encoder import Encoder
from faceptor.models.faceptor import Faceptor
from faceptor.models.facexformer import FaceXFormer
from faceptor.models.facexformer_heads import readouts, released_spec
from faceptor.models.fusion import FUSIONS
from faceptor.models.naive import IdentityHead, NaiveFaceptor
from faceptor.models.outputs import Outputs
from faceptor.models.pixel_decoder import PixelDecoder
from faceptor.models.positions import FourierPosition, SinePosition, TablePosition
from faceptor.models.query_decoder import QueryDecoder
from faceptor.models.swinface import AttributeHead
from faceptor.models.two_way import TwoWayDecoder
from faceptor.models.upernet import DenseHead
from faceptor.tasks import TaskSpec

MAP_STRIDE = 4  # pixels of an image per pixel of a map


def build_model(config: ModelConfig, tasks: Sequence[TaskSpec]) -> FaceModel:
    """A freshly initialised model for these tasks. Randomness comes from torch's global generator."""
    if config.name not in MODELS:
        raise ConfigError(f"model.name {config.name!r}: unknown, expected one of {', '.join(MODELS)}")
    model = MODELS[config.name](config, tasks)
    model.config = config.model_dump(mode="json")
    return model


def build_faceptor(config: FaceptorConfig, tasks: Sequence[TaskSpec]) -> Faceptor:
    encoder, decoder = config.encoder, config.decoder
    body = build_encoder(encoder)
    sizes = decoder.model_dump(include={"depth", "heads", "hidden"})
    position = {
        "released": lambda: SinePosition(dim=decoder.width),
        "paper": lambda: TablePosition(dim=decoder.width, grid=encoder.grid),
    }[decoder.position]
    return Faceptor(
        encoder=body,
        decoder=QueryDecoder(features=encoder.width, dim=decoder.width, position=position(), **sizes),
        pixel_decoder=PixelDecoder(
            dim=decoder.width,
            stages=(encoder.patch // MAP_STRIDE).bit_length() - 1,
            skips=body.stem.channels[-2:0:-1] if config.skips and body.stem else (),  # strides patch / 2, ..., 4
        ),
        outputs=Outputs(dim=decoder.width, features=encoder.width, embedding=config.embedding),
        layers=encoder.layers,
        inputs=input_groups(config.inputs),
        stride=encoder.patch,
        tasks=tasks,
    )


def build_naive(config: NaiveConfig, tasks: Sequence[TaskSpec]) -> NaiveFaceptor:
    encoder = config.encoder
    make_head = {
        "value": lambda: AttributeHead(features=encoder.width, **config.values.model_dump()),
        "map": lambda: DenseHead(
            features=encoder.width, finest=encoder.patch // MAP_STRIDE, **config.maps.model_dump()
        ),
        "vector": lambda: IdentityHead(layers=[encoder.depth], dim=encoder.width, embedding=config.embedding),
    }
    return NaiveFaceptor(
        encoder=build_encoder(encoder),
        make_head=make_head,
        inputs=input_groups(config.inputs),
        stride=encoder.patch,
        tasks=tasks,
    )


def build_facexformer(config: FaceXFormerConfig, tasks: Sequence[TaskSpec]) -> FaceXFormer:
    backbone, decoder = config.backbone, config.decoder
    body = Backbone(
        name=backbone.name,
        size=config.inputs.dense.size,
        options=backbone.options,
        final_norm=config.variant == "released",
    )
    for group in ("dense", "face"):
        size, stride = getattr(config.inputs, group).size, body.strides[0]
        if size % stride:
            raise ConfigError(f"model.inputs.{group}.size: {size} is no multiple of {stride}, as {backbone.name} needs")
    return FaceXFormer(
        backbone=body,
        fusion=FUSIONS[config.fusion](channels=body.channels, dim=decoder.width),
        position=FourierPosition(dim=decoder.width),
        decoder=TwoWayDecoder(dim=decoder.width, **decoder.model_dump(exclude={"width"})),
        readouts=readouts(variant=config.variant, dim=decoder.width, embedding=config.embedding),
        inputs=input_groups(config.inputs),
        tasks=tasks,
        own_spec=released_spec if config.variant == "released" else None,
    )


def build_encoder(config: EncoderConfig) -> Encoder:
    return Encoder(**config.model_dump(exclude={"layers", "pretrained"}))


def input_groups(inputs: Inputs) -> dict[str, InputGroup]:
    return {name: InputGroup(**getattr(inputs, name).model_dump()) for name in ("dense", "face")}


MODELS: dict[str, Callable[..., FaceModel]] = {
    "faceptor": build_faceptor,
    "naive": build_naive,
    "facexformer": build_facexformer,
}
