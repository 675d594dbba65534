"""The query decoder: every task's queries through one shared decoder, in one pass (paper sections 3.2 and 3.3).

Keys are F + L_t + P (eq. 7): only L_t depends on the task and it is constant over positions. So keys and values are
projected once per decoder layer for all tasks, and L_t enters as one number per query and encoder layer. `textbook.py`
has the formula as written; both agree to float precision.

Shapes: B images, C decoder width, H heads, D head width, h w patch grid, L encoder layers, M memory tokens (layer by
layer), N queries of a segment, T query tokens of all segments together (see `streams.py`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faceptor.models.attention import Attention
from faceptor.models.modules import ModuleList
from faceptor.models.streams import Group, Memory, Segment, Stream, cover, joined, make_segments, pack, unpack

TOP_LAYER: tuple[nn.Module, ...] = ()  # projections of lower layers, by which memories are found: none


class QueryDecoder(nn.Module):
    """`depth` post-norm layers of cross-attention, self-attention within a task and a feed-forward net.

    `projection` maps encoder features to the decoder's width, `position` gives P, `level` is the top layer's own key
    vector (inert while a task sees one layer: softmax cancels what all keys share).
    """

    def __init__(self, *, features: int, dim: int, depth: int, heads: int, hidden: int, position: nn.Module):
        super().__init__()
        self.projection = nn.Conv2d(features, dim, kernel_size=1)
        self.position = position
        self.level = nn.Parameter(torch.randn(1, dim))
        self.layers: ModuleList[DecoderLayer] = ModuleList(
            DecoderLayer(dim=dim, heads=heads, hidden=hidden) for _ in range(depth)
        )

    def forward(self, features: Sequence[Tensor], streams: Sequence[Stream]) -> tuple[list[Tensor], Tensor]:
        """L maps (B, C_en, h, w), top last -> tokens (B_t, N_t, C) of every stream, projected top map (B, C, h, w)."""
        top = self.projection(features[-1])
        segments = make_segments(streams, top_level=self.level)
        memories = self.memories(features, top, segments)

        x = joined([segment.pack(segment.content) for segment in segments], dim=0)  # (T, C)
        position = joined([segment.pack(segment.position) for segment in segments], dim=0)
        for layer in self.layers:
            x = layer(x, position, memories, segments)

        tokens: list[Tensor] = [top] * len(streams)
        for segment, part in zip(segments, unpack(x, segments), strict=True):
            for index, of_task in zip(segment.order, part.split(segment.sizes, dim=1), strict=True):
                tokens[index] = of_task
        return tokens, top

    def memories(self, features: Sequence[Tensor], top: Tensor, segments: Sequence[Segment]) -> dict[tuple, Memory]:
        """The top layer's memory, and one of the lower layers for each set of projections that some task asks for."""
        position = self.position(*top.shape[-2:]) + self.level  # (h * w, C)
        memories = {TOP_LAYER: Memory.of([top], position, start=0)}
        wanted: dict[tuple, list[slice]] = {}
        for segment in segments:
            for group in segment.groups:
                wanted.setdefault(group.lower, []).append(segment.rows)
        wanted.pop(TOP_LAYER, None)
        for lower, asked in wanted.items():
            rows = cover(asked)
            maps = [project(layer[rows]) for project, layer in zip(lower, features[:-1], strict=True)]
            memories[lower] = Memory.of(maps, position, start=rows.start)
        return memories


class DecoderLayer(nn.Module):
    """Cross-attention, self-attention, feed-forward; each a residual followed by a norm (eps 1e-5)."""

    def __init__(self, *, dim: int, heads: int, hidden: int):
        super().__init__()
        self.cross_attention = Attention(dim=dim, heads=heads)
        self.cross_norm = nn.LayerNorm(dim)
        self.self_attention = Attention(dim=dim, heads=heads)
        self.self_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.feed_forward_norm = nn.LayerNorm(dim)
        for linear in (module for module in self.modules() if isinstance(module, nn.Linear)):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, position: Tensor, memories: dict[tuple, Memory], segments: list[Segment]) -> Tensor:
        """x, position (T, C): all tasks' queries, packed, so that the linear maps see them all at once."""
        x = self.cross_norm(x + self.attend_to_memory(x + position, memories, segments))
        x = self.self_norm(x + self.attend_within_task(x, position, segments))
        return self.feed_forward_norm(x + self.feed_forward(x))

    def attend_to_memory(self, x: Tensor, memories: dict[tuple, Memory], segments: list[Segment]) -> Tensor:
        """Cross-attention: each group of queries attends to its layers of its own images."""
        attention = self.cross_attention
        keys = {lower: attention.split(attention.key(memory.keys)) for lower, memory in memories.items()}
        values = {lower: attention.split(attention.value(memory.values)) for lower, memory in memories.items()}
        attended = []
        for segment, queries in zip(segments, unpack(attention.query(x), segments), strict=True):
            queries = attention.split(queries)
            of_groups = []
            for group in segment.groups:
                parts = dict.fromkeys((group.lower, TOP_LAYER))  # bottom first, the top layer last
                k, v = (
                    joined([heads[part][memories[part].rows(segment)] for part in parts], dim=2)
                    for heads in (keys, values)
                )
                of_groups.append(attend(attention, queries[:, :, group.queries], k, v, group))
            attended.append(attention.merge(joined(of_groups, dim=2)))
        return attention.output(pack(attended))

    def attend_within_task(self, x: Tensor, position: Tensor, segments: list[Segment]) -> Tensor:
        """Self-attention: a query attends to the queries of its own task only. Values are without the position."""
        attention = self.self_attention
        parts = (attention.query(x + position), attention.key(x + position), attention.value(x))
        attended = []
        for segment, *qkv in zip(segments, *(unpack(part, segments) for part in parts), strict=True):
            q, k, v = (attention.split(part) for part in qkv)
            attended.append(attention.merge(F.scaled_dot_product_attention(q, k, v, attn_mask=segment.mask)))
        return attention.output(pack(attended))


def attend(attention: Attention, q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """softmax((Q.K + Q.L_t) / sqrt(D)) V with the fused kernel: q (B, H, N, D), k and v (B, H, M, D).

    The query is lengthened by its products with its task's level vectors, the key by a one-hot code of its
    layer: their dot product is then Q.K + Q.L_t. Zeros fill up to a multiple of 8, which fast kernels need.
    """
    if group.levels is None:
        return F.scaled_dot_product_attention(q, k, v)
    levels = attention.split(F.linear(group.levels, attention.key.weight))  # (tasks, H, L, D); the keys have the bias
    level_scores = [part @ level.mT for part, level in zip(q.split(group.sizes, dim=2), levels, strict=True)]
    count, width = levels.shape[-2:]
    fill = -(width + count) % 8
    layer_code = F.pad(torch.eye(count, dtype=k.dtype, device=k.device), (0, fill))
    layer_code = layer_code.repeat_interleave(k.shape[2] // count, dim=0).expand(*k.shape[:2], -1, -1)
    q = F.pad(torch.cat([q, joined(level_scores, dim=2)], dim=-1), (0, fill))
    k = torch.cat([k, layer_code], dim=-1)
    v = F.pad(v, (0, count + fill))
    return F.scaled_dot_product_attention(q, k, v, scale=width**-0.5)[..., :width]
