"""FaRL's image tower: a pre-training file (`visual.*` beside a text tower), and the encoder inside other files."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from timm.data.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from faceptor.config import EncoderConfig
from faceptor.errors import WeightsError
from faceptor.io.words import few
from faceptor.models.encoder import Encoder
from faceptor.weights.loading import load_strictly
from faceptor.weights.released.checkpoint import read_checkpoint
from faceptor.weights.released.names import Renaming, below, check_fit, strange
from faceptor.weights.starting import ENCODER_WEIGHTS

CONFIG = EncoderConfig()  # the published sizes
VISUAL = "visual."
ENCODER = "backbone_module.visual."  # in the files of models with heads
CLASSIFIERS = re.compile(r"losses_module\.losses\.[^.]+\.classifier")
# Beside the image tower a file may have what pre-training predicts masked patches with, and the text tower.
PRETEXT = tuple(VISUAL + name for name in ("lm_transformer.", "ln_lm.", "lm_head.", "mask_token"))
TEXT = re.compile(r"positional_embedding|text_projection|logit_scale|(token_embedding|transformer|ln_final)\..+")
_BLOCK = "transformer.resblocks.{i}."
ENCODER_NAMES = {
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "conv1.weight": "patch_embed.proj.weight",
    "ln_pre.{p}": "norm_pre.{p}",
    _BLOCK + "attn.in_proj_{p}": "blocks.{i}.attn.qkv.{p}",
    _BLOCK + "attn.out_proj.{p}": "blocks.{i}.attn.proj.{p}",
    _BLOCK + "ln_{j}.{p}": "blocks.{i}.norm{j}.{p}",
    _BLOCK + "mlp.c_fc.{p}": "blocks.{i}.mlp.fc1.{p}",
    _BLOCK + "mlp.c_proj.{p}": "blocks.{i}.mlp.fc2.{p}",
    "ln_post.{p}": "extras.norm.{p}",
    "proj": "extras.projection",
}
RENAMING = Renaming(ENCODER_NAMES)


def load_farl(encoder: Encoder, path: Path | str) -> None:
    """Start an encoder from a FaRL file, or from the folder that `faceptor import-weights` makes of one.

    The position table is resized to the encoder's grid. Raises WeightsError naming what does not fit.
    """
    path = Path(path)
    if path.is_dir():
        path = path / ENCODER_WEIGHTS
    state = read_checkpoint(path)
    if not below(state, VISUAL):
        raise WeightsError(
            f"{path}: expected FaRL's tensors visual.*, found {few(state, 3)}; is it another checkpoint?"
        )
    tensors = encoder_state(image_tower(state, origin=str(path)), like=encoder, origin=str(path), prefix=VISUAL)
    load_strictly(encoder, tensors, origin=str(path))


def image_tower(state: Mapping[str, Tensor], *, origin: str) -> dict[str, Tensor]:
    """The encoder's part of a pre-training file, named without `visual.`. Raises WeightsError for unknown tensors."""
    if strangers := [name for name in state if not name.startswith(VISUAL) and not TEXT.fullmatch(name)]:
        raise strange(strangers, origin=origin)
    return below({name: value for name, value in state.items() if is_encoder(name)}, VISUAL)


def describe(visual: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of an image tower and what it was trained to see, as plain data for the folder."""
    side = math.isqrt(len(visual["positional_embedding"]) - 1)
    statistics = {"mean": list(OPENAI_CLIP_MEAN), "std": list(OPENAI_CLIP_STD)}
    config = CONFIG.model_copy(update={"grid": side}).model_dump(mode="json", exclude={"pretrained"})
    return {"tasks": [], "encoder": config, "input": {"size": side * CONFIG.patch, **statistics}}


def is_encoder(name: str) -> bool:
    return name.startswith(VISUAL) and not name.startswith(PRETEXT)


def official_names(heads: Renaming, prefix: str) -> Callable[[str], str]:
    """A tensor of a model -> its name in a published file that has the encoder, and heads below `prefix`."""

    def official(name: str) -> str:
        if name.startswith("encoder."):
            return ENCODER + RENAMING.theirs(name.removeprefix("encoder."))
        return prefix + heads.theirs(name)

    return official


def model_heads(state: Mapping[str, Tensor], prefix: str, *, width: int, origin: str) -> dict[str, Tensor]:
    """The heads in such a file, named without `prefix`. Raises WeightsError for other tensors than these, the encoder's
    and the classifiers (people, width) of recognition, which only training uses."""
    classifiers = {name: value for name, value in state.items() if CLASSIFIERS.fullmatch(name)}
    for name, value in classifiers.items():
        if value.ndim != 2 or value.shape[1] != width:
            raise WeightsError(f"{origin}: {name}: expected (people, {width}), found {tuple(value.shape)}")
    known = (ENCODER, prefix)
    if strangers := [name for name in state if name not in classifiers and not name.startswith(known)]:
        raise strange(strangers, origin=origin)
    return below(state, prefix)


def model_encoder(state: Mapping[str, Tensor], *, like: Encoder, origin: str) -> dict[str, Tensor]:
    """The encoder in such a file, under the names that the model has for it."""
    encoder = encoder_state(below(state, ENCODER), like=like, origin=origin, prefix=ENCODER)
    return {f"encoder.{name}": value for name, value in encoder.items()}


def encoder_state(visual: Mapping[str, Tensor], *, like: Encoder, origin: str, prefix: str = "") -> dict[str, Tensor]:
    """Published image tower (names below `prefix`) -> exactly the encoder's tensors, its table at the encoder's grid.

    Raises WeightsError naming missing, extra and misshapen tensors as the file calls them.
    """
    table = visual.get("positional_embedding")
    if table is not None and not (table.ndim == 2 and _is_square(len(table) - 1)):
        raise WeightsError(
            f"{origin}: {prefix}positional_embedding: expected one row and a square number of further rows, found "
            f"{tuple(table.shape)}; is it a release of another model?"
        )
    ours = RENAMING.convert(visual, origin=origin, prefix=prefix)
    if like.extras is None:
        ours = {name: value for name, value in ours.items() if not name.startswith("extras.")}
    if "cls_token" in ours:
        ours["cls_token"] = ours["cls_token"].reshape(1, 1, -1)
    if "pos_embed" in ours:
        ours["pos_embed"] = resize_table(ours["pos_embed"], grid=like.patch_embed.grid_size[0])
    check_fit(like, ours, theirs=lambda name: prefix + RENAMING.theirs(name), origin=origin)
    return ours


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count


def resize_table(table: Tensor, *, grid: int) -> Tensor:
    """Position table (1 + n * n, C), class row first -> (1, 1 + grid * grid, C): bicubic, half-pixel, no antialias."""
    side = math.isqrt(len(table) - 1)
    return resample_abs_pos_embed(table[None], new_size=[grid, grid], old_size=[side, side], antialias=False)
