"""Published Faceptor files: stage 1 (Base, Full) and stage 2, whose files differ in the Layer-Attention they add."""

import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from faceptor.config import FaceptorConfig
from faceptor.errors import ConfigError, WeightsError
from faceptor.io.words import few
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.tasks import task as task_named
from faceptor.weights.loading import built_with, plan
from faceptor.weights.released import farl
from faceptor.weights.released.names import Renaming, below, check_alike, check_fit
from faceptor.weights.released.published import INPUTS, RECOGNITION, TASK_NAMES, published_crops

CONFIG = FaceptorConfig(inputs=INPUTS)  # the published sizes, alike in Base and Full
HEADS, LOSSES = "heads_module.", "losses_module."
DECODER = HEADS + "decoder."
QUERIES = re.escape(DECODER + "query_feat.") + r"([^.]+)\.weight"
OF_LAYER_ATTENTION = (DECODER + "new_level_embed.", DECODER + "new_input_proj.")  # stage 2 adds these
NORM = "interpreters.map_v2.mask_map.1."
TIED_NORM = NORM + "ln."  # the same parameters under a second name; those of the first are taken

_SELF = "decoder.transformer_self_attention_layers.{i}."
_CROSS = "decoder.transformer_cross_attention_layers.{i}."
_FFN = "decoder.transformer_ffn_layers.{i}."
HEAD_NAMES = {
    "decoder.query_feat.{task}.weight": "queries.{task}.content",
    "decoder.query_embed.{task}.weight": "queries.{task}.position",
    "decoder.level_embed.weight": "decoder.level",
    "decoder.input_proj.0.{p}": "decoder.projection.{p}",
    "decoder.new_level_embed.weight": "layer_attention.{own}.level",
    "decoder.new_input_proj.{j}.{p}": "layer_attention.{own}.projection.{j}.{p}",
    "decoder.adapt_pos2d.{j}.{p}": "decoder.position.mlp.{j}.{p}",
    _SELF + "self_attn.in_proj_{p}": "decoder.layers.{i}.self_attention.{part}.{p}",
    _SELF + "self_attn.out_proj.{p}": "decoder.layers.{i}.self_attention.output.{p}",
    _SELF + "norm.{p}": "decoder.layers.{i}.self_norm.{p}",
    _CROSS + "multihead_attn.in_proj_{p}": "decoder.layers.{i}.cross_attention.{part}.{p}",
    _CROSS + "multihead_attn.out_proj.{p}": "decoder.layers.{i}.cross_attention.output.{p}",
    _CROSS + "norm.{p}": "decoder.layers.{i}.cross_norm.{p}",
    _FFN + "linear1.{p}": "decoder.layers.{i}.feed_forward.0.{p}",
    _FFN + "linear2.{p}": "decoder.layers.{i}.feed_forward.2.{p}",
    _FFN + "norm.{p}": "decoder.layers.{i}.feed_forward_norm.{p}",
    "interpreters.feature_v2.norm.{p}": "outputs.identity.norm.{p}",
    "interpreters.feature_v2.head.0.{p}": "outputs.identity.fc1.{p}",
    "interpreters.feature_v2.head.1.{p}": "outputs.identity.bn1.{p}",
    "interpreters.feature_v2.head.2.{p}": "outputs.identity.fc2.{p}",
    "interpreters.feature_v2.head.3.{p}": "outputs.identity.bn2.{p}",
    "interpreters.value.fc.{p}": "outputs.value.linear.{p}",
    "interpreters.map_v2.mask_map.0.{p}": "pixel_decoder.up0.{p}",
    "interpreters.map_v2.mask_map.1.{p}": "pixel_decoder.norm1.{p}",
    "interpreters.map_v2.mask_map.3.{p}": "pixel_decoder.up1.{p}",
    "interpreters.map_v2.mask_embed.layers.0.{p}": "outputs.map.mlp.0.{p}",
    "interpreters.map_v2.mask_embed.layers.1.{p}": "outputs.map.mlp.2.{p}",
    "interpreters.map_v2.mask_embed.layers.2.{p}": "outputs.map.mlp.4.{p}",
}
RENAMING = Renaming(HEAD_NAMES, words={"task": TASK_NAMES})
official = farl.official_names(RENAMING, HEADS)


def is_stage2(names: Collection[str]) -> bool:
    return any(name.startswith(OF_LAYER_ATTENTION) for name in names)


def from_states(
    states: Sequence[Mapping[str, Tensor]], *, tasks: Sequence[str] = (), origins: Sequence[str]
) -> FaceModel:
    """One model from the files of one published Faceptor, in evaluation mode.

    One file of stage 1; or one of stage 2, whose Layer-Attention serves `tasks` (none named: every task with
    queries); or several, which must agree in all but Layer-Attention: then `tasks` names one task per stage-2 file, in
    their order. Layer-Attention is of mode "released". Raises WeightsError or ConfigError naming file and tensors.
    """
    tasks = [TASK_NAMES.get(name, name) for name in tasks]
    shared = {name: value for name, value in states[0].items() if not name.startswith(OF_LAYER_ATTENTION)}
    for state, origin in zip(states[1:], origins[1:], strict=True):
        _check_same(shared, state, origin=origin, first=origins[0])
    owners = [(state, origin) for state, origin in zip(states, origins, strict=True) if is_stage2(state)]
    queried = _query_tasks(shared, origins[0])
    groups = _groups(owners, tasks, queried, origin=origins[0], files=len(states))

    def make() -> FaceModel:
        model = build_model(CONFIG, [*map(task_named, queried), task_named(RECOGNITION)])
        for group in groups:
            model.enable_layer_attention(group, "released")
        return model

    planned = plan(make)
    tensors = model_state(shared, model=planned, origin=origins[0])
    for (state, origin), group in zip(owners, groups, strict=True):
        own = {name: value for name, value in state.items() if name.startswith(OF_LAYER_ATTENTION)}
        tensors |= RENAMING.convert(below(own, HEADS), own="+".join(group), origin=origin, prefix=HEADS)
    check_fit(planned, tensors, theirs=official, origin=", ".join(origins))
    norm = {name: value for name, value in below(shared, HEADS + NORM).items() if "." not in name}
    check_alike(norm, below(shared, HEADS + TIED_NORM), theirs=lambda name: HEADS + TIED_NORM + name, origin=origins[0])
    model = built_with(make, tensors, origin=", ".join(origins))
    model.crops = published_crops(model.tasks)
    return model


def model_state(state: Mapping[str, Tensor], *, model: FaceModel, origin: str) -> dict[str, Tensor]:
    """Published state dict without Layer-Attention and training-only parts -> tensors of the model."""
    encoder = farl.model_encoder(state, like=model.encoder, origin=origin)
    heads = farl.model_heads(state, HEADS, width=CONFIG.embedding, origin=origin)
    heads = {name: value for name, value in heads.items() if not name.startswith(TIED_NORM)}
    return encoder | RENAMING.convert(heads, origin=origin, prefix=HEADS)


def _check_same(shared: Mapping[str, Tensor], state: Mapping[str, Tensor], *, origin: str, first: str) -> None:
    """Stage 2 freezes all it starts from, so files of one model agree there bit for bit."""
    relevant = {name for name in shared.keys() | state.keys() if not name.startswith((LOSSES, *OF_LAYER_ATTENTION))}
    differ = sorted(
        name
        for name in relevant
        if name not in shared or name not in state or not torch.equal(shared[name], state[name])
    )
    if differ:
        raise WeightsError(
            f"{origin}: {len(differ)} tensors outside Layer-Attention differ from {first}: {few(differ)}; "
            "only files trained from the same stage 1 merge"
        )


def _query_tasks(state: Mapping[str, Tensor], origin: str) -> list[str]:
    """Our names of the tasks with queries, in the file's order."""
    found = {name: re.fullmatch(QUERIES, name) for name in state}
    named = {name: match[1] for name, match in found.items() if match}
    unknown = [name for name, task in named.items() if task not in TASK_NAMES]
    if unknown:
        raise WeightsError(
            f"{origin}: {few(unknown)}: queries of unknown tasks; expected some of {', '.join(TASK_NAMES)}"
        )
    return [TASK_NAMES[task] for task in named.values()]


def _groups(owners, tasks: Sequence[str], queried: Sequence[str], *, origin: str, files: int) -> list[list[str]]:
    """Which tasks each stage-2 file's Layer-Attention serves."""
    strangers = [name for name in tasks if name not in queried]
    if strangers:
        raise ConfigError(
            f"{origin}: task {strangers[0]!r} has no queries in this file; expected some of {', '.join(queried)}"
        )
    if len(set(tasks)) < len(tasks):
        raise ConfigError(f"{origin}: tasks {', '.join(tasks)}: each may be named once")
    if not owners and tasks:
        raise ConfigError(f"{origin}: a stage-1 file has no Layer-Attention, so no task may be named for it")
    if files - len(owners) > 1:
        raise ConfigError(f"{origin}: expected one stage-1 file at most, found {files - len(owners)}; import one alone")
    if len(owners) == 1:
        return [list(tasks or queried)]
    if len(owners) != len(tasks):
        raise ConfigError(
            f"{origin}: {len(owners)} stage-2 files, but {len(tasks)} tasks are named; their files do not say which "
            "task they were trained for: name one per file, in the same order"
        )
    return [[task] for task in tasks]
