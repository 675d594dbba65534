"""Weights published by the papers' authors: official tensor names -> ours.

A file of the official trainer has `module.` before every name, under `state_dict`. Faceptor files hold
`backbone_module.visual.*`, `heads_module.*` and `losses_module.*` (a classifier used in training only); FaRL files hold
`visual.*` beside a text tower. Nothing is skipped silently: a name without a rule is an error.
"""

import math
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from faceptor.config import ModelConfig
from faceptor.errors import ConfigError, WeightsError
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.models.encoder import Encoder
from faceptor.models.folder import load_strictly
from faceptor.tasks import task as task_named

TASK_NAMES = {  # official -> ours; recognition has no queries, it comes with the recognition head
    "age_morph2": "age_morph2",
    "age_utkface": "age_utkface",
    "biattr_celeba": "attributes_celeba",
    "affect_affectnet": "expression_affectnet",
    "affect_rafdb": "expression_rafdb",
    "affect_ferplus": "expression_ferplus",
    "parsing_celebam": "parsing_celebamaskhq",
    "parsing_lapa": "parsing_lapa",
    "align_300w": "landmarks_300w",
    "align_cofw": "landmarks_cofw",
    "align_wflw": "landmarks_wflw",
    "align_aflw": "landmarks_aflw19",
}
RECOGNITION = "recognition_ms1mv3"

# What the released checkpoints were trained to see: CLIP statistics for dense inputs, plain 0.5 for the others.
INPUTS = {
    "dense": {
        "size": 512,
        "mean": (0.48145466, 0.4578275, 0.40821073),
        "std": (0.26862954, 0.26130258, 0.27577711),
    },
    "face": {"size": 112, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
}

_BLOCK = r"transformer\.resblocks\.(\d+)\."
_SELF = r"transformer_self_attention_layers\.(\d+)\."
_CROSS = r"transformer_cross_attention_layers\.(\d+)\."
_FFN = r"transformer_ffn_layers\.(\d+)\."

ENCODER_RULES = {
    r"class_embedding": r"cls_token",
    r"positional_embedding": r"pos_embed",
    r"conv1\.weight": r"patch_embed.proj.weight",
    r"ln_pre\.(\w+)": r"norm_pre.\1",
    _BLOCK + r"attn\.in_proj_(\w+)": r"blocks.\1.attn.qkv.\2",
    _BLOCK + r"attn\.out_proj\.(\w+)": r"blocks.\1.attn.proj.\2",
    _BLOCK + r"ln_([12])\.(\w+)": r"blocks.\1.norm\2.\3",
    _BLOCK + r"mlp\.c_fc\.(\w+)": r"blocks.\1.mlp.fc1.\2",
    _BLOCK + r"mlp\.c_proj\.(\w+)": r"blocks.\1.mlp.fc2.\2",
    r"ln_post\.(\w+)": r"extras.norm.\1",
    r"proj": r"extras.projection",
}

# "{part}" stands for query, key and value in turn: the official tensors hold the three below one another.
# "{task}" stands for our name of the task, "{own}" for the tasks that share the new projections of stage 2.
HEAD_RULES = {
    r"decoder\.query_feat\.(\w+)\.weight": r"queries.{task}.content",
    r"decoder\.query_embed\.(\w+)\.weight": r"queries.{task}.position",
    r"decoder\.level_embed\.weight": r"decoder.level",
    r"decoder\.input_proj\.0\.(\w+)": r"decoder.projection.\1",
    r"decoder\.new_level_embed\.weight": r"layer_attention.{own}.level",
    r"decoder\.new_input_proj\.(\d+)\.(\w+)": r"layer_attention.{own}.projection.\1.\2",
    r"decoder\.adapt_pos2d\.(\d)\.(\w+)": r"decoder.position.mlp.\1.\2",
    r"decoder\." + _SELF + r"self_attn\.in_proj_(\w+)": r"decoder.layers.\1.self_attention.{part}.\2",
    r"decoder\." + _SELF + r"self_attn\.out_proj\.(\w+)": r"decoder.layers.\1.self_attention.output.\2",
    r"decoder\." + _SELF + r"norm\.(\w+)": r"decoder.layers.\1.self_norm.\2",
    r"decoder\." + _CROSS + r"multihead_attn\.in_proj_(\w+)": r"decoder.layers.\1.cross_attention.{part}.\2",
    r"decoder\." + _CROSS + r"multihead_attn\.out_proj\.(\w+)": r"decoder.layers.\1.cross_attention.output.\2",
    r"decoder\." + _CROSS + r"norm\.(\w+)": r"decoder.layers.\1.cross_norm.\2",
    r"decoder\." + _FFN + r"linear1\.(\w+)": r"decoder.layers.\1.feed_forward.0.\2",
    r"decoder\." + _FFN + r"linear2\.(\w+)": r"decoder.layers.\1.feed_forward.2.\2",
    r"decoder\." + _FFN + r"norm\.(\w+)": r"decoder.layers.\1.feed_forward_norm.\2",
    r"interpreters\.feature_v2\.norm\.(\w+)": r"outputs.identity.norm.\1",
    r"interpreters\.feature_v2\.head\.0\.(\w+)": r"outputs.identity.fc1.\1",
    r"interpreters\.feature_v2\.head\.1\.(\w+)": r"outputs.identity.bn1.\1",
    r"interpreters\.feature_v2\.head\.2\.(\w+)": r"outputs.identity.fc2.\1",
    r"interpreters\.feature_v2\.head\.3\.(\w+)": r"outputs.identity.bn2.\1",
    r"interpreters\.value\.fc\.(\w+)": r"outputs.value.linear.\1",
    r"interpreters\.map_v2\.mask_map\.0\.(\w+)": r"pixel_decoder.up0.\1",
    r"interpreters\.map_v2\.mask_map\.1\.(weight|bias)": r"pixel_decoder.norm1.\1",
    r"interpreters\.map_v2\.mask_map\.3\.(\w+)": r"pixel_decoder.up1.\1",
    r"interpreters\.map_v2\.mask_embed\.layers\.0\.(\w+)": r"outputs.map.mlp.0.\1",
    r"interpreters\.map_v2\.mask_embed\.layers\.1\.(\w+)": r"outputs.map.mlp.2.\1",
    r"interpreters\.map_v2\.mask_embed\.layers\.2\.(\w+)": r"outputs.map.mlp.4.\1",
}
TIED = r"heads_module\.interpreters\.map_v2\.mask_map\.1\.ln\.\w+"  # the same parameters as without `ln.`


def load_released(path: Path | str, *, layer_attention: Sequence[str] = ()) -> FaceModel:
    """A model from a released Faceptor checkpoint, in evaluation mode.

    layer_attention: the tasks (our names) that a stage-2 checkpoint was trained for; the file does not say. Raises
    WeightsError for files of another kind and for tensors that do not fit.
    """
    return faceptor_from(read_checkpoint(path), layer_attention=layer_attention, origin=str(path))


def load_farl(encoder: Encoder, path: Path | str) -> None:
    """Start an encoder from a FaRL checkpoint (image tower; the table is resized to the encoder's grid)."""
    state = read_checkpoint(path)
    visual = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
    if not visual:
        raise WeightsError(
            f"{path}: expected FaRL's tensors visual.*, found {_first(state)}; is it another checkpoint?"
        )
    load_strictly(encoder, encoder_state(visual, like=encoder, origin=str(path)), origin=str(path))


def faceptor_from(
    state: Mapping[str, Tensor], *, layer_attention: Sequence[str] = (), origin: str = "released weights"
) -> FaceModel:
    """A model from an official state dict (names as in the released file, without `module.`)."""
    heads = _below(state, "heads_module.")
    if not heads or not _below(state, "backbone_module.visual."):
        raise WeightsError(
            f"{origin}: expected Faceptor's tensors backbone_module.visual.* and heads_module.*, "
            f"found {_first(state)}; FaRL weights go to model.encoder.pretrained"
        )
    own = _layer_attention_tasks(heads, layer_attention, origin)
    official = [match[1] for name in heads if (match := re.fullmatch(r"decoder\.query_feat\.(\w+)\.weight", name))]
    unknown = sorted(set(official) - set(TASK_NAMES))
    if unknown:
        raise WeightsError(f"{origin}: tasks {', '.join(unknown)} unknown; expected some of {', '.join(TASK_NAMES)}")

    with torch.random.fork_rng(devices=[]):
        specs = [task_named(TASK_NAMES[name]) for name in official]
        model = build_model(ModelConfig(inputs=INPUTS), [*specs, task_named(RECOGNITION)])
        if own:
            model.enable_layer_attention(own, "released")
    load_strictly(model, faceptor_state(state, model=model, own="+".join(own), origin=origin), origin=origin)
    return model.eval()


def faceptor_state(state: Mapping[str, Tensor], *, model: FaceModel, own: str, origin: str) -> dict[str, Tensor]:
    """Official state dict -> ours. own: the `layer_attention` entry of the new projections."""
    ours = {
        f"encoder.{name}": value
        for name, value in encoder_state(
            _below(state, "backbone_module.visual."), like=model.encoder, origin=origin
        ).items()
    }
    for name, value in state.items():
        if name.startswith(("backbone_module.visual.", "losses_module.")) or re.fullmatch(TIED, name):
            continue
        target, match = _renamed(name.removeprefix("heads_module."), HEAD_RULES, origin)
        if "{part}" in target:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                ours[target.replace("{part}", part)] = third
        else:
            task = TASK_NAMES[match[1]] if "{task}" in target else ""
            ours[target.replace("{task}", task).replace("{own}", own)] = value
    return ours


def encoder_state(visual: Mapping[str, Tensor], *, like: Encoder, origin: str) -> dict[str, Tensor]:
    """Official image tower (names below `visual.`) -> the encoder's, with the position table at its grid."""
    ours = {_renamed(name, ENCODER_RULES, origin)[0]: value for name, value in visual.items()}
    if like.extras is None:
        ours = {name: value for name, value in ours.items() if not name.startswith("extras.")}
    if "cls_token" in ours:
        ours["cls_token"] = ours["cls_token"].reshape(1, 1, -1)
    if "pos_embed" in ours:
        ours["pos_embed"] = resize_table(ours["pos_embed"], grid=like.patch_embed.grid_size[0])
    return ours


def resize_table(table: Tensor, *, grid: int) -> Tensor:
    """Position table (1 + n * n, C), class row first -> (1, 1 + grid * grid, C): bicubic, half-pixel, no antialias."""
    side = math.isqrt(len(table) - 1)
    return resample_abs_pos_embed(table[None], new_size=[grid, grid], old_size=[side, side], antialias=False)


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a checkpoint file, without the wrapping that trainers add. Nothing in the file is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found; download the released weights and give their path") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: not a readable PyTorch checkpoint ({reason}); is the download complete?") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected named tensors, plain or under 'state_dict'; found something else")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _layer_attention_tasks(heads: Mapping[str, Tensor], named: Sequence[str], origin: str) -> list[str]:
    present = "decoder.new_level_embed.weight" in heads
    if present and not named:
        raise ConfigError(
            f"{origin}: a stage-2 checkpoint, but it does not say for which task; name it, layer_attention=[...]"
        )
    if named and not present:
        raise ConfigError(f"{origin}: no Layer-Attention in this checkpoint, so layer_attention must stay empty")
    return list(named)


def _renamed(name: str, rules: Mapping[str, str], origin: str) -> tuple[str, re.Match]:
    for pattern, target in rules.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target), match
    raise WeightsError(f"{origin}: tensor {name} has no counterpart here; is it a release of another model?")


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _first(state: Mapping[str, Tensor]) -> str:
    return ", ".join(list(state)[:3]) or "nothing"
