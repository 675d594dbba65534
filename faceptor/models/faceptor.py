"""Faceptor: one encoder, a query decoder, a pixel decoder, three output modules; a task owns queries (section 3.2).

Shapes: B images, C channels, h w patch grid, L encoder layers, N queries of a task.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.models.base import FaceModel, InputGroup
from faceptor.models.encoder import Encoder
from faceptor.models.layer_attention import MODES, PaperLayers, ReleasedLayers
from faceptor.models.modules import ModuleDict, SharedModules
from faceptor.models.outputs import Outputs
from faceptor.models.pixel_decoder import PixelDecoder
from faceptor.models.query_decoder import QueryDecoder
from faceptor.models.streams import Stream, cover, shifted
from faceptor.models.textbook import AttentionReport, textbook_decode
from faceptor.tasks import TaskSpec


class Faceptor(FaceModel):
    """layers: the encoder layers (1-based, ascending, the top one last) that Layer-Attention can see."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        decoder: QueryDecoder,
        pixel_decoder: PixelDecoder,
        outputs: Outputs,
        layers: Sequence[int],
        inputs: Mapping[str, InputGroup],
        stride: int,
        tasks: Sequence[TaskSpec],
    ):
        super().__init__(inputs=inputs, stride=stride)
        self.layers = tuple(layers)
        self.encoder = encoder
        self.decoder = decoder
        self.pixel_decoder = pixel_decoder
        self.outputs = outputs
        self.queries: ModuleDict[TaskQueries] = ModuleDict()
        self.layer_attention: SharedModules[PaperLayers | ReleasedLayers] = SharedModules()
        for spec in tasks:
            self.add_task(spec)

    def forward_rows(self, images: Tensor, rows: Mapping[str, slice]) -> dict[str, Tensor]:
        features, details = self.encoder(images, details=True)  # every layer, (B, C_en, h, w); the stem's finer maps
        top = features[-1]
        raw = {task: self.outputs.identity(top[rows[task]]) for task in rows if self.head[task] == "vector"}

        asked = [task for task in rows if task in self.queries]
        if not asked:
            return raw
        decoded = cover(rows[task] for task in asked)  # recognition needs no decoder
        at = {task: shifted(rows[task], decoded) for task in asked}
        seen = [features[layer - 1][decoded] for layer in self.layers]
        answers, memory = self.decoder(seen, [self.stream(task, at[task]) for task in asked])
        tokens = dict(zip(asked, answers, strict=True))  # (B_t, N_t, C)
        raw |= {task: self.outputs.value(tokens[task]) for task in asked if self.head[task] == "value"}

        maps = [task for task in asked if self.head[task] == "map"]
        if maps:
            drawn = cover(at[task] for task in maps)
            finer = [detail[decoded][drawn] for detail in details[:0:-1]]  # strides patch / 2, ..., 4
            pixels = self.pixel_decoder(memory[drawn], finer)  # (B, C, H/4, W/4)
            raw |= {task: self.outputs.map(tokens[task], pixels[shifted(at[task], drawn)]) for task in maps}
        return raw

    def stream(self, task: str, rows: slice) -> Stream:
        """What the decoder needs to know about a task."""
        queries, key = self.queries[task], self.layer_attention.key(task)
        lower, levels = (), None
        if key:
            state = self.layer_attention[key]
            lower, levels = tuple(state.projections(self.decoder.projection)), state.level_vectors(self.decoder.level)
        return Stream(queries.content, queries.position, rows, lower, levels)

    @torch.no_grad()
    def attention(self, images: Tensor, task: str) -> AttentionReport:
        """Where a task's queries look in these images, by the formula as written; see AttentionReport."""
        self.check_images(images)
        if task not in self.queries:
            self.require_task(task)
            raise ConfigError(f"task {task!r}: has no queries, so no attention")
        features = self.encoder(self.normalise(images, task))
        seen = [features[layer - 1] for layer in self.layers]
        stream = self.stream(task, slice(0, images.shape[0]))
        _, weights, preference = textbook_decode(self.decoder, seen, stream)
        return AttentionReport(
            layers=self.layers if stream.lower else self.layers[-1:],
            grid=tuple(seen[-1].shape[-2:]),
            weights=torch.stack(weights),
            preference=torch.stack(preference),
        )

    @torch.no_grad()
    def initialise(
        self, *, position_table_amplitude: float, value_query_content_std: float, value_query_position_std: float
    ) -> None:
        """For small encoders that are trained without published weights.

        The released initialisation expects FaRL below it: without that, tokens hardly know where they are, attention
        is flat, and a task whose answer lies in a place (an expression, an age) stays at the constant baseline for
        thousands of images. Here blocks get Xavier weights, the position table sines, the keys' position unit gain,
        and value queries a place to look at and little content of their own.
        """
        self.encoder.initialise(position_table_amplitude=position_table_amplitude)
        for module in self.decoder.position.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        for task, queries in self.queries.items():
            if self.head[task] == "value":
                queries.content.mul_(value_query_content_std)
                nn.init.normal_(queries.position, std=value_query_position_std)

    # --- tasks and what they own ------------------------------------------------------------------------------------

    def add_task(self, spec: TaskSpec, *, content: Tensor | None = None, position: Tensor | None = None) -> None:
        """Give the model a task; queries (N_t, C) start fresh (content N(0, 1), position U(0, 1)) unless given."""
        self.register_task(spec)
        if self.head[spec.name] != "vector":
            queries = TaskQueries(count=spec.queries, dim=self.decoder.level.shape[-1])
            queries.fill(spec.name, content=content, position=position)
            self.queries[spec.name] = queries.to(self.decoder.level)

    def remove_task(self, task: str) -> None:
        self.disable_layer_attention(task)
        if task in self.queries:
            del self.queries[task]
        self.unregister_task(task)

    def layer_attention_key(self, task: str) -> str:
        """The entry of `layer_attention` that serves a task; "": it sees the top layer only."""
        return self.layer_attention.key(task)

    def enable_layer_attention(self, tasks: str | Sequence[str], mode: str, *, init: str | None = None) -> None:
        """Let tasks see all of `layers`. In mode "paper" each task gets its own L_t; in mode "released" the tasks
        given together share new projections and vectors. init: see `layer_attention.INITIAL_STDS`."""
        tasks = [tasks] if isinstance(tasks, str) else list(tasks)
        if mode not in MODES:
            raise ConfigError(f"layer attention: mode {mode!r} is unknown; expected one of {', '.join(MODES)}")
        for task in tasks:
            self.require_task(task)
            if task not in self.queries:
                raise ConfigError(f"layer attention: task {task!r} has no queries")
            if self.layer_attention.key(task):
                raise ConfigError(f"layer attention: task {task!r} has it already; disable_layer_attention first")
        for key in tasks if mode == "paper" else ["+".join(tasks)]:
            features, dim = self.decoder.projection.in_channels, self.decoder.projection.out_channels
            state = MODES[mode](layers=len(self.layers), features=features, dim=dim, init=init)
            self.layer_attention[key] = state.to(self.decoder.level)

    def disable_layer_attention(self, task: str) -> None:
        """Back to the top layer only (section 3.3: where it does not help, leave it out)."""
        self.require_task(task)
        self.layer_attention.leave(task)

    def structure(self) -> dict[str, Any]:
        entries = [{"tasks": key.split("+"), "mode": state.mode} for key, state in self.layer_attention.items()]
        return {"layer_attention": entries}

    def apply_structure(self, structure: Mapping[str, Any]) -> None:
        for entry in structure.get("layer_attention", ()):
            self.enable_layer_attention(entry["tasks"], entry["mode"])

    def compilable(self) -> list[nn.Module]:
        return [self.encoder, *self.decoder.layers, self.pixel_decoder, *self.outputs.children()]

    def repeated_layers(self) -> list[nn.Module]:
        return [*self.encoder.blocks, *self.decoder.layers]

    def batch_order(self, task: str) -> tuple:
        return *super().batch_order(task), self.layer_attention.key(task)


class TaskQueries(nn.Module):
    """What a task asks: content (Q_t) and position (E_de-pos,t), both (N_t, C)."""

    def __init__(self, *, count: int, dim: int):
        super().__init__()
        self.content = nn.Parameter(torch.randn(count, dim))
        self.position = nn.Parameter(torch.rand(count, dim))

    @torch.no_grad()
    def fill(self, task: str, **given: Tensor | None) -> None:
        for name, values in given.items():
            own = getattr(self, name)
            if values is not None and values.shape != own.shape:
                raise ConfigError(f"task {task!r}: {name} expected {tuple(own.shape)}, found {tuple(values.shape)}")
            if values is not None:
                own.copy_(values)
