"""Where training starts: published weights for a part of the model, or an initialisation that needs none.

Which of the two is `model.init`; the file is `pretrained` (see `faceptor.weights.starting`).
"""

from collections.abc import Callable
from pathlib import Path

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import nn

from faceptor.config import ModelConfig
from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.models.faceptor import Faceptor
from faceptor.models.facexformer import FaceXFormer
from faceptor.models.facexformer_heads import Masks
from faceptor.models.naive import NaiveFaceptor
from faceptor.weights.backbone import load_backbone
from faceptor.weights.released import load_farl
from faceptor.weights.starting import part_of, starting_file

TABLE = 0.5  # of the sine table's amplitude: patches of a fresh stem have unit variance
PLACE = 4.0  # spread of a value query's position, so that its attention starts out looking at places
CONTENT = 0.2  # of N(0, 1): a value query starts as what it sees, not as what it is
SELF = 2.0**0.5  # gain of queries and keys with which a FaceXFormer token attends to itself among a hundred others
LOOK = 2.0  # gain of the queries with which FaceXFormer's tokens look at the image
DRAWN = {"mlp": 8.0, "upsample": 3.0}  # gains of the last layers of its masks, whose logits would start near 0.03


def start(model: FaceModel, config: ModelConfig, *, where: str = "model") -> None:
    """Load the published weights that the configuration names, or initialise for training without any.

    where: what the section is called in params.yaml. Raises ConfigError or WeightsError where `init` is "released" and
    no file is named, or it is not there, or does not fit.
    """
    load, from_scratch = STARTS[config.name]
    path = starting_file(config, where=where)
    if path is not None:
        load(getattr(model, part_of(config)), path)
    else:
        with torch.no_grad():
            from_scratch(model)


def misfit(config: ModelConfig, path: Path | str) -> str | None:
    """Why a file of published weights is none for the model of this configuration, in one line; None if it is one."""
    load, _ = STARTS[config.name]
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, [])
    try:
        load(getattr(model, part_of(config)), path)
    except FaceptorError as error:
        return str(error)
    return None


def faceptor_from_scratch(model: Faceptor) -> None:
    """An initialisation for small encoders that meet their first face here.

    The released one expects FaRL below it: without that, tokens hardly know where they are, attention is flat, and a
    task whose answer lies in a place (an expression, an age) sits at the constant baseline for thousands of images.
    Here blocks get Xavier weights, the position table sines, the keys' position unit gain, and value queries a place to
    look at and little content of their own.
    """
    encoder_from_scratch(model)
    for module in model.decoder.position.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    for task, queries in model.queries.items():
        if model.head[task] == "value":
            queries.content.mul_(CONTENT)
            nn.init.normal_(queries.position, std=PLACE)


def encoder_from_scratch(model: Faceptor | NaiveFaceptor) -> None:
    encoder = model.encoder
    for module in encoder.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    grid = list(encoder.patch_embed.grid_size)
    table = build_sincos2d_pos_embed(grid, dim=encoder.embed_dim, interleave_sin_cos=False)
    encoder.pos_embed[:, encoder.num_prefix_tokens :] = TABLE * table


def facexformer_from_scratch(model: FaceXFormer) -> None:
    """The first self-attention replaces the tokens; flat, as it usually starts, it makes them all the same, and a
    hundred equal tokens take thousands of faces to part. Here it starts by handing every token on to itself, and looks
    at the image start out sharper."""
    first = model.decoder.layers[0].self_attention
    for linear, gain in ((first.query, SELF), (first.key, SELF), (first.value, 1.0), (first.output, 1.0)):
        nn.init.eye_(linear.weight).mul_(gain)
        nn.init.zeros_(linear.bias)
    for attention in [*(layer.token_to_image for layer in model.decoder.layers), model.decoder.final_attention]:
        attention.query.weight.mul_(LOOK)
    for head in (head for head in model.heads.values() if isinstance(head, Masks)):
        for part, gain in DRAWN.items():
            last = [module for module in getattr(head, part) if hasattr(module, "weight")][-1]
            last.weight.mul_(gain)


STARTS: dict[str, tuple[Callable, Callable]] = {  # model -> reader of published weights, initialisation without
    "faceptor": (load_farl, faceptor_from_scratch),
    "naive": (load_farl, encoder_from_scratch),
    "facexformer": (load_backbone, facexformer_from_scratch),
}
