"""From the model section of params.yaml to a model: the only place that knows configuration and parts alike."""

from collections.abc import Callable, Sequence

from faceptor.config import ModelConfig
from faceptor.errors import ConfigError
from faceptor.models.base import FaceModel, InputGroup
from faceptor.models.encoder import Encoder
from faceptor.models.faceptor import Faceptor
from faceptor.models.outputs import Outputs
from faceptor.models.pixel_decoder import PixelDecoder
from faceptor.models.positions import SinePosition, TablePosition
from faceptor.models.query_decoder import QueryDecoder
from faceptor.tasks import TaskSpec

MAP_STRIDE = 4  # maps are H/4 x W/4


def build_model(config: ModelConfig, tasks: Sequence[TaskSpec]) -> FaceModel:
    """A freshly initialised model for these tasks. Randomness comes from torch's global generator."""
    if config.name not in MODELS:
        raise ConfigError(f"model.name {config.name!r}: unknown, expected one of {', '.join(MODELS)}")
    model = MODELS[config.name](config, tasks)
    model.config = config.model_dump(mode="json")
    return model


def build_faceptor(config: ModelConfig, tasks: Sequence[TaskSpec]) -> Faceptor:
    encoder, decoder = config.encoder, config.decoder
    position = {
        "released": lambda: SinePosition(dim=decoder.width),
        "paper": lambda: TablePosition(dim=decoder.width, grid=encoder.grid),
    }[decoder.position]
    return Faceptor(
        encoder=Encoder(
            width=encoder.width,
            depth=encoder.depth,
            heads=encoder.heads,
            mlp_ratio=encoder.mlp_ratio,
            patch=encoder.patch,
            grid=encoder.grid,
            stem=encoder.stem,
            class_token=encoder.class_token,
            norm_eps=encoder.norm_eps,
            drop_path=encoder.drop_path,
            drop_path_axis=encoder.drop_path_axis,
            extras=encoder.extras,
        ),
        decoder=QueryDecoder(
            features=encoder.width,
            dim=decoder.width,
            depth=decoder.depth,
            heads=decoder.heads,
            hidden=decoder.hidden,
            position=position(),
        ),
        pixel_decoder=PixelDecoder(dim=decoder.width, stages=(encoder.patch // MAP_STRIDE).bit_length() - 1),
        outputs=Outputs(dim=decoder.width, features=encoder.width, embedding=config.embedding),
        layers=encoder.layers,
        inputs=input_groups(config),
        stride=encoder.patch,
        tasks=tasks,
    )


def input_groups(config: ModelConfig) -> dict[str, InputGroup]:
    return {
        name: InputGroup(size=group.size, mean=group.mean, std=group.std)
        for name, group in (("dense", config.inputs.dense), ("face", config.inputs.face))
    }


MODELS: dict[str, Callable[[ModelConfig, Sequence[TaskSpec]], FaceModel]] = {"faceptor": build_faceptor}
