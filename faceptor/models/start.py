"""Where training starts: published weights for a part of the model, or an initialisation that needs none."""

from collections.abc import Callable

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import nn

from faceptor.config import ModelConfig
from faceptor.models.base import FaceModel
from faceptor.models.encoder import Encoder
from faceptor.models.faceptor import Faceptor
from faceptor.models.pretrained import load_backbone
from faceptor.models.released import load_farl

TABLE = 0.5  # of the sine table's amplitude: patches of a fresh stem have unit variance
PLACE = 4.0  # spread of a value query's position, so that its attention starts out looking at places
CONTENT = 0.2  # of N(0, 1): a value query starts as what it sees, not as what it is


def start(model: FaceModel, config: ModelConfig) -> None:
    """Load the published weights that the configuration names, or initialise for training without any."""
    part, load = PRETRAINED[config.name]
    pretrained = getattr(config, part).pretrained
    if pretrained:
        load(getattr(model, part), pretrained)
    elif getattr(config, "init", "released") == "scratch":
        start_from_scratch(model)


PRETRAINED: dict[str, tuple[str, Callable]] = {
    "faceptor": ("encoder", load_farl),
    "naive": ("encoder", load_farl),
    "facexformer": ("backbone", load_backbone),
}


@torch.no_grad()
def start_from_scratch(model: FaceModel) -> None:
    """An initialisation for small encoders that meet their first face here.

    The released one expects FaRL below it: without that, tokens hardly know where they are, attention is flat, and a
    task whose answer lies in a place (an expression, an age) sits at the constant guess for thousands of images. Here
    blocks get Xavier weights, the position table sines, the keys' position unit gain, and value queries a place to look
    at and little content of their own.
    """
    start_encoder(model.encoder)
    if isinstance(model, Faceptor):
        for module in model.decoder.position.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        for task, queries in model.queries.items():
            if model.head[task] == "value":
                queries.content.mul_(CONTENT)
                nn.init.normal_(queries.position, std=PLACE)


def start_encoder(encoder: Encoder) -> None:
    for module in encoder.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    grid = list(encoder.patch_embed.grid_size)
    table = build_sincos2d_pos_embed(grid, dim=encoder.embed_dim, interleave_sin_cos=False)
    encoder.pos_embed[:, encoder.num_prefix_tokens :] = TABLE * table
