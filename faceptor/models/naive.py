"""Naive Faceptor: the shared encoder with one standard head per kind of task (paper section 3.1).

What Faceptor is compared with: the same encoder, but every kind of task brings millions of parameters of its own.

Shapes: B images, C channels, h w patch grid, N labels of a task.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel, InputGroup
from faceptor.models.encoder import Encoder
from faceptor.models.modules import ModuleDict
from faceptor.models.outputs import IdentityOutput
from faceptor.models.streams import bundled
from faceptor.models.swinface import AttributeHead
from faceptor.models.upernet import DenseHead
from faceptor.tasks import TaskSpec
from faceptor.tasks.losses.across_processes import processes


class IdentityHead(IdentityOutput):
    """The identity output as a head: it sees the top layer only and answers all its tasks alike."""

    def __init__(self, *, layers: Sequence[int], dim: int, embedding: int):
        super().__init__(dim=dim, embedding=embedding)
        self.layers = tuple(layers)
        self.outputs: dict[str, nn.Module] = {}

    def add_output(self, task: str, count: int) -> None:
        self.outputs[task] = nn.Identity()

    def forward(self, features: Sequence[Tensor], tasks: Sequence[str]) -> dict[str, Tensor]:
        embedding = super().forward(features[-1])
        return dict.fromkeys(tasks, embedding)


Head = AttributeHead | DenseHead | IdentityHead


class NaiveFaceptor(FaceModel):
    """make_head: "map", "value" or "vector" -> a new head of that form, called once per kind of task.

    A head has `layers` (1-based), `outputs` (task -> its own part) and `add_output`; its module is `heads.<kind>`.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        make_head: Mapping[str, Callable[[], Head]],
        inputs: Mapping[str, InputGroup],
        stride: int,
        tasks: Sequence[TaskSpec],
    ):
        super().__init__(inputs=inputs, stride=stride)
        self.encoder = encoder
        self.make_head = dict(make_head)
        self.heads: ModuleDict[Head] = ModuleDict()
        for spec in tasks:
            self.add_task(spec)

    def forward_rows(self, images: Tensor, rows: Mapping[str, slice]) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) and the rows each task is asked about -> raw numbers by task.

        Batch statistics are those of one task's images, as each data set is a batch of its own in the paper's code; of
        several processes, those of all of them together.
        """
        features = self.encoder(images)  # every layer, (B, C, h, w)
        raw: dict[str, Tensor] = {}
        for tasks in bundled(rows, lambda task: (rows[task], self.tasks[task].kind)):
            where, head = rows[tasks[0]], self.heads[self.tasks[tasks[0]].kind]
            if self.training and where.stop - where.start < 2 and processes() == 1:
                raise FaceptorError(
                    f"{', '.join(tasks)}: one image has no batch statistics, expected at least 2 in training; "
                    "raise samples"
                )
            raw |= head([features[layer - 1][where] for layer in head.layers], tasks)
        return raw

    def compilable(self) -> list[nn.Module]:
        return [self.encoder, *self.heads.values()]

    def repeated_layers(self) -> list[nn.Module]:
        return list(self.encoder.blocks)

    def initialise(self, *, position_table_amplitude: float) -> None:
        """For small encoders that are trained without published weights, see `Encoder.initialise`."""
        self.encoder.initialise(position_table_amplitude=position_table_amplitude)

    def add_task(self, spec: TaskSpec) -> None:
        """Give the model a task: an output of its kind's head, which is made if it is the first of its kind."""
        self.register_task(spec)
        like = next(self.encoder.parameters())
        if spec.kind not in self.heads:
            self.heads[spec.kind] = self.make_head[self.head[spec.name]]().to(like).train(self.training)
        self.heads[spec.kind].add_output(spec.name, spec.queries)

    def remove_task(self, task: str) -> None:
        """Take a task's output away, and the head with the last task of its kind."""
        kind = self.require_task(task).kind
        del self.heads[kind].outputs[task]
        if not self.heads[kind].outputs:
            del self.heads[kind]
        self.unregister_task(task)
