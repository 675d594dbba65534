"""FaceXFormer: a multi-scale backbone, MLP-Fusion, a two-way decoder and a unified head (arXiv 2403.12960).

Tasks of a kind share one token (or one per class, point or matrix entry) and one head as long as their label tables
agree; see `facexformer_heads` for what each kind has, and for the two variants. All tokens go through the decoder for
every image, whatever is asked: what a task answers does not depend on the question, but does on the tasks the model
has.

Shapes: B images, C width, h w grid of the backbone's finest level, N tokens of all tasks together.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from faceptor.models.backbone import Backbone
from faceptor.models.base import FaceModel, InputGroup
from faceptor.models.facexformer_heads import Head, Masks, Readout
from faceptor.models.fusion import Fusion, LastLevel
from faceptor.models.modules import SharedModules
from faceptor.models.positions import FourierPosition
from faceptor.models.streams import cover, shifted
from faceptor.models.two_way import TwoWayDecoder
from faceptor.tasks import TaskSpec, kind_of


class FaceXFormer(FaceModel):
    """readouts: what the numbers are, or category of head, -> how a task is read (`facexformer_heads.readouts`);
    own_spec: a task as the published weights answer it (`facexformer_heads.released_spec`), None as its data set does.

    `tokens` and `heads` are named after the tasks that share them, "task" or "task+task": the patterns
    "tokens.*{task}*" and "heads.*{task}*" address what a task uses.

    Raw numbers: parsing logits (B, N, 4 h, 4 w), the size of the image with a stride of 4; landmarks heat map logits
    (B, N, h, w) ("paper") or points (B, N, 2) in [-1, 1] ("released"); pose rotation matrices (B, 3, 3) ("paper") or
    pitch, yaw, roll (B, 3) in radians ("released"); recognition an embedding (B, embedding), not normalised;
    everything else logits (B, labels).
    """

    isolated = False  # all tokens attend to one another

    def __init__(
        self,
        *,
        backbone: Backbone,
        fusion: Fusion | LastLevel,
        position: FourierPosition,
        decoder: TwoWayDecoder,
        readouts: Mapping[str, Readout],
        inputs: Mapping[str, InputGroup],
        tasks: Sequence[TaskSpec],
        own_spec: Callable[[TaskSpec], TaskSpec] | None = None,
    ):
        super().__init__(inputs=inputs, stride=backbone.strides[0])
        self.backbone = backbone
        self.fusion = fusion
        self.position = position
        self.decoder = decoder
        self.readouts = dict(readouts)
        self._own_spec = own_spec
        self.tokens: SharedModules[Tokens] = SharedModules()
        self.heads: SharedModules[Head] = SharedModules()
        for spec in tasks:
            self.add_task(spec)

    def forward_rows(self, images: Tensor, rows: Mapping[str, slice]) -> dict[str, Tensor]:
        tokens, face = self.decode(images)
        spans = self.spans()
        raw = {}
        for key, head in self.heads.items():
            asked = [task for task in key.split("+") if task in rows]
            if not asked:
                continue
            drawn = cover(rows[task] for task in asked)
            pixels = head.pixels(face[drawn])
            for task in asked:
                raw[task] = head(tokens[rows[task], spans[task]], pixels[shifted(rows[task], drawn)])
        return raw

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images -> refined tokens of all tasks (B, N, C), refined face representation (B, C, h, w)."""
        face = self.fusion(self.backbone(images))
        start = torch.cat([self.tokens[key].content for key in self.token_order()])
        return self.decoder(start, face, self.position(*face.shape[-2:]))

    def token_order(self) -> list[str]:
        """Names in `tokens` in the order of the tasks."""
        return list(dict.fromkeys(self.tokens.key(task) for task in self.tasks))

    def spans(self) -> dict[str, slice]:
        """Task -> where its tokens lie among all."""
        spans, start = {}, 0
        for key in self.token_order():
            span = slice(start, start := start + len(self.tokens[key].content))
            spans |= dict.fromkeys(key.split("+"), span)
        return spans

    def compilable(self) -> list[nn.Module]:
        return [self.backbone, self.fusion, *self.decoder.layers, *self.heads.values()]

    def repeated_layers(self) -> list[nn.Module]:
        return [self.backbone.net, *self.decoder.layers]

    def batch_order(self, task: str) -> tuple:
        return list(self.heads).index(self.heads.key(task)), task

    @torch.no_grad()
    def initialise(
        self, *, self_attention_gain: float, token_to_image_gain: float, mask_mlp_gain: float, mask_upsample_gain: float
    ) -> None:
        """For a training without published weights; the numbers are gains over the weights as they are drawn."""
        self.decoder.initialise(self_attention_gain=self_attention_gain, token_to_image_gain=token_to_image_gain)
        for head in self.heads.values():
            if isinstance(head, Masks):
                head.amplify(mlp=mask_mlp_gain, upsample=mask_upsample_gain)

    # --- tasks and what they own ------------------------------------------------------------------------------------

    def own_spec(self, spec: TaskSpec) -> TaskSpec:
        return self._own_spec(spec) if self._own_spec else spec

    def add_task(self, spec: TaskSpec) -> None:
        """Give the model a task; tokens (N(0, 1)) and a head start fresh unless tasks with these labels have them."""
        spec = self.own_spec(spec)
        of_kind = [other for other in self.tasks.values() if other.kind == spec.kind]
        alike = [other.name for other in of_kind if other.labels == spec.labels]
        self.register_task(spec)
        readout = self.readouts.get(kind_of(spec).output) or self.readouts[self.head[spec.name]]
        like = self.fusion.fuse.weight
        count = spec.queries if readout.tokens is None else readout.tokens
        self.tokens.join(spec.name, alike, lambda: Tokens(count=count, dim=like.shape[0]).to(like))
        with_head = alike if readout.per_labels else [other.name for other in of_kind]
        self.heads.join(spec.name, with_head, lambda: readout.head(spec).to(like))

    def remove_task(self, task: str) -> None:
        """Take a task away, and with it tokens and a head that no other task shares."""
        self.require_task(task)
        self.tokens.leave(task)
        self.heads.leave(task)
        self.unregister_task(task)


class Tokens(nn.Module):
    """What a task starts the decoder with, (count, C); the same numbers are the tokens' position."""

    def __init__(self, *, count: int, dim: int):
        super().__init__()
        self.content = nn.Parameter(torch.randn(count, dim))
