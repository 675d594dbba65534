"""The decoder as the paper writes it (eq. 6 and 7): one task at a time, K = F + L_t + P built anew in every layer.

Slow and plain on purpose: `QueryDecoder` must give the same tokens, and analysis reads the attention here. Also what
its speed is compared with: a pass for each task.

Shapes: B images, C decoder width, H heads, h w patch grid, L encoder layers, D decoder layers, N queries of the task.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from faceptor.models.attention import Attention
from faceptor.models.query_decoder import QueryDecoder
from faceptor.models.streams import Stream


@dataclass(frozen=True)
class AttentionReport:
    """Where one task's queries look.

    layers: the encoder layers, 1-based, in the order of the last axes, bottom first.
    grid: (h, w) of the memory tokens of a layer, row-major.
    weights (D, B, H, N, L, h * w): softmax weights of each decoder layer; they sum to 1 over layers and tokens.
    preference (D, B, H, N, L): Q.L_t / sqrt(d), what the level vectors alone add to the scores of a layer's tokens.
        Only differences between layers matter. With one layer it is the product with the inert vector.
    """

    layers: tuple[int, ...]
    grid: tuple[int, int]
    weights: Tensor
    preference: Tensor

    def per_layer(self) -> Tensor:
        """Weights summed over tokens: (D, B, H, N, L)."""
        return self.weights.sum(dim=-1)


def textbook_decode(
    decoder: QueryDecoder, features: Sequence[Tensor], stream: Stream
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Tokens (B, N, C) of one task; per decoder layer its weights (B, H, N, L, h * w) and preference (B, H, N, L)."""
    features = [layer[stream.rows] for layer in features]
    projections = [*stream.lower, decoder.projection]
    levels = decoder.level if stream.levels is None else stream.levels
    maps = [project(layer) for project, layer in zip(projections, features[-len(projections) :], strict=True)]
    memory = torch.stack([rearrange(layer, "b c h w -> b (h w) c") for layer in maps], dim=1)  # F: (B, L, h w, C)
    keys = memory + levels[:, None] + decoder.position(*maps[0].shape[-2:])  # F + L_t + P

    x = stream.content.expand(len(memory), -1, -1)
    all_weights, preference = [], []
    for layer in decoder.layers:
        q = x + stream.position
        seen, weights = attention(layer.cross_attention, q, keys.flatten(1, 2), memory.flatten(1, 2))
        x = layer.cross_norm(x + seen)
        qk = x + stream.position
        x = layer.self_norm(x + attention(layer.self_attention, qk, qk, x)[0])
        x = layer.feed_forward_norm(x + layer.feed_forward(x))
        all_weights.append(rearrange(weights, "b h n (l m) -> b h n l m", l=len(levels)))
        preference.append(level_preference(layer.cross_attention, q, levels))
    return x, all_weights, preference


def decode_task_by_task(
    decoder: QueryDecoder, features: Sequence[Tensor], streams: Sequence[Stream]
) -> tuple[list[Tensor], Tensor]:
    """As `QueryDecoder.forward`, but a pass for each task about its own images, as one would first write it: what the
    packed decoder is compared with. Fused attention; keys and values are projected anew for every task."""
    tokens = []
    for stream in streams:
        own = [layer[stream.rows] for layer in features]
        answer, _ = QueryDecoder.forward(decoder, own, [replace(stream, rows=slice(0, len(own[-1])))])
        tokens += answer
    return tokens, decoder.projection(features[-1])


@contextmanager
def task_by_task(decoder: QueryDecoder) -> Iterator[None]:
    """Inside, the decoder works with a pass for each task, for `faceptor bench`."""
    decoder.forward = partial(decode_task_by_task, decoder)
    try:
        yield
    finally:
        del decoder.forward


def attention(module: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Multi-head attention by the formula: the output (B, N, C) and the weights (B, H, N, M)."""
    q, k = module.split(module.query(queries)), module.split(module.key(keys))
    weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)
    return module.output(module.merge(weights @ module.split(module.value(values)))), weights


def level_preference(module: Attention, queries: Tensor, levels: Tensor) -> Tensor:
    """Q.L_t / sqrt(d) per head: (B, H, N, L)."""
    q = module.split(module.query(queries))
    level = module.split((levels @ module.key.weight.mT)[None])
    return q @ level.mT * q.shape[-1] ** -0.5
