"""How the queries of many tasks travel through one decoder pass.

A stream is one task's queries and the images they are asked about. Streams about the same images form a segment;
within it, streams that see the same encoder layers form a group, which reads its memory in one attention call. In
inference all tasks share the images: one segment. In training each task has its own: one segment per task.

Shapes: B images, C decoder width, h w patch grid, L encoder layers, M memory tokens (layer by layer), N queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Stream:
    """content, position (N_t, C); rows: images of the batch; lower: projections of the lower encoder layers, bottom
    first (empty: this task sees the top layer only); levels (L, C): key vectors of the layers, top last."""

    content: Tensor
    position: Tensor
    rows: slice
    lower: tuple[nn.Module, ...] = ()
    levels: Tensor | None = None


@dataclass(frozen=True)
class Group:
    """Adjacent queries that see the same layers: where they are in the segment, and each task's count and levels."""

    lower: tuple[nn.Module, ...]
    queries: slice
    sizes: list[int]
    levels: Tensor | None  # (tasks, L, C)


@dataclass(frozen=True)
class Segment:
    """Streams about the same images. order: their indices as asked; mask (N, N): True within a task."""

    rows: slice
    order: list[int]
    sizes: list[int]
    content: Tensor  # (N, C)
    position: Tensor  # (N, C)
    groups: list[Group]
    mask: Tensor | None

    @classmethod
    def of(cls, streams: Sequence[Stream], order: list[int], *, top_level: Tensor) -> Segment:
        bundles = bundled(order, lambda index: streams[index].lower)
        groups, start = [], 0
        for members in bundles:
            lower, sizes = streams[members[0]].lower, [len(streams[index].content) for index in members]
            # Keys have the top layer's own vector already: a task adds the difference of its vectors to that.
            own = [streams[index].levels for index in members]
            levels = torch.stack([each - top_level for each in own if each is not None]) if lower else None
            groups.append(Group(lower, slice(start, start := start + sum(sizes)), sizes, levels))
        order = [index for members in bundles for index in members]
        sizes = [size for group in groups for size in group.sizes]
        content, position = (
            joined([getattr(streams[index], part) for index in order], dim=0) for part in ("content", "position")
        )
        ones = (content.new_ones(size, size, dtype=torch.bool) for size in sizes)
        mask = torch.block_diag(*ones) if len(sizes) > 1 else None
        return cls(streams[order[0]].rows, order, sizes, content, position, groups, mask)

    def pack(self, queries: Tensor) -> Tensor:
        """The same queries for every image: (N, C) -> (B * N, C)."""
        return queries.repeat(self.rows.stop - self.rows.start, 1)


@dataclass(frozen=True)
class Memory:
    """Tokens of some encoder layers for the images from row `start` on: values V, and keys, which are V plus the
    position; both (B, M, C)."""

    values: Tensor
    keys: Tensor
    start: int

    @classmethod
    def of(cls, maps: Sequence[Tensor], position: Tensor, *, start: int) -> Memory:
        """maps: L projected layers (B, C, h, w); position (h * w, C): P plus the top layer's key vector, for all."""
        values = joined([rearrange(layer, "b c h w -> b (h w) c") for layer in maps], dim=1)
        return cls(values=values, keys=values + position.repeat(len(maps), 1), start=start)

    def rows(self, segment: Segment) -> slice:
        return slice(segment.rows.start - self.start, segment.rows.stop - self.start)


def make_segments(streams: Sequence[Stream], *, top_level: Tensor) -> list[Segment]:
    orders = bundled(range(len(streams)), lambda index: streams[index].rows)
    return [Segment.of(streams, order, top_level=top_level) for order in orders]


def bundled(items: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """Items of equal keys together; keys are compared, not hashed: in an export rows of images are symbols."""
    bundles: list[list[T]] = []
    for item in items:
        same = next((bundle for bundle in bundles if key(bundle[0]) == key(item)), None)
        bundles.append([item]) if same is None else same.append(item)
    return bundles


def unpack(x: Tensor, segments: Sequence[Segment]) -> list[Tensor]:
    """(T, C) -> (B, N, C) of every segment."""
    sizes = [(segment.rows.stop - segment.rows.start) * len(segment.content) for segment in segments]
    parts = x.split(sizes)
    return [part.unflatten(0, (-1, len(segment.content))) for part, segment in zip(parts, segments, strict=True)]


def pack(parts: Iterable[Tensor]) -> Tensor:
    """(B, N, C) of every segment -> (T, C)."""
    return joined([part.flatten(0, 1) for part in parts], dim=0)


def cover(rows: Iterable[slice]) -> slice:
    """The smallest slice that contains them all."""
    rows = list(rows)
    return slice(min(part.start for part in rows), max(part.stop for part in rows))


def shifted(rows: slice, within: slice) -> slice:
    """Rows of the batch as rows of a part of it."""
    return slice(rows.start - within.start, rows.stop - within.start)


def joined(parts: Sequence[Tensor], *, dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=dim)  # cat would copy a single part
