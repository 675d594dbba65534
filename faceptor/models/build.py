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
    position = {
        "released": lambda: SinePosition(dim=decoder.width),
        "paper": lambda: TablePosition(dim=decoder.width, grid=encoder.grid),
    }[decoder.position]
    return Faceptor(
        encoder=body,
        decoder=QueryDecoder(
            features=encoder.width,
            dim=decoder.width,
            depth=decoder.depth,
            heads=decoder.heads,
            hidden=decoder.hidden,
            position=position(),
        ),
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
    encoder, values, maps = config.encoder, config.values, config.maps
    make_head = {
        "value": lambda: AttributeHead(
            layers=values.layers,
            features=encoder.width,
            width=values.width,
            reduction=values.reduction,
            dropout=values.dropout,
        ),
        "map": lambda: DenseHead(
            layers=maps.layers,
            features=encoder.width,
            width=maps.width,
            finest=encoder.patch // MAP_STRIDE,
            pools=maps.pools,
            dropout=maps.dropout,
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
        decoder=TwoWayDecoder(
            dim=decoder.width,
            depth=decoder.depth,
            heads=decoder.heads,
            hidden=decoder.hidden,
            cross_attention=decoder.cross_attention,
        ),
        readouts=readouts(variant=config.variant, dim=decoder.width, embedding=config.embedding),
        inputs=input_groups(config.inputs),
        tasks=tasks,
        own_spec=released_spec if config.variant == "released" else None,
    )


def build_encoder(config: EncoderConfig) -> Encoder:
    return Encoder(
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        patch=config.patch,
        grid=config.grid,
        stem=config.stem,
        class_token=config.class_token,
        norm_eps=config.norm_eps,
        drop_path=config.drop_path,
        drop_path_axis=config.drop_path_axis,
        extras=config.extras,
    )


def input_groups(inputs: Inputs) -> dict[str, InputGroup]:
    return {
        name: InputGroup(size=group.size, mean=group.mean, std=group.std)
        for name, group in (("dense", inputs.dense), ("face", inputs.face))
    }


MODELS: dict[str, Callable[..., FaceModel]] = {
    "faceptor": build_faceptor,
    "naive": build_naive,
    "facexformer": build_facexformer,
}
