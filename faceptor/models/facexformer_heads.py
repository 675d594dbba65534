"""The unified head of FaceXFormer: how every kind of task is read from its tokens (section 3.3).

Shapes: B images, C width, h w grid of the face representation, N tokens of a task.

Where paper and released code disagree, `readouts` has both:

            paper                                       released
landmarks   a token per point, hourglass, heat maps     one token, an MLP gives all coordinates
pose        nine tokens, one per matrix entry           one token, an MLP gives pitch, yaw, roll in radians

Alike in both: one token per parsing class, and one token and MLP for every other kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from einops import einsum, rearrange
from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F

from faceptor.datasets.labels import FACEXFORMER_RACES
from faceptor.tasks import TaskSpec
from faceptor.tasks.losses.rotations import nearest_rotation


class Head(nn.Module):
    """`pixels` prepares the face representation once for all tasks that share the head; `forward` reads tokens."""

    def pixels(self, face: Tensor) -> Tensor:
        """(B, C, h, w) -> what `forward` wants of it."""
        return face

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        """Tokens (B, N, C) and prepared pixels of the same images -> raw numbers of a task."""
        raise NotImplementedError


class Mlp(nn.Sequential):
    """Three linear maps with ReLU between, as all of FaceXFormer's token heads."""

    def __init__(self, *, dim: int, out: int):
        super().__init__(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out))


class Values(Head):
    """One token -> numbers (B, out): logits of classes, attributes, visible points; angles; the identity embedding."""

    def __init__(self, *, dim: int, out: int):
        super().__init__()
        self.mlp = Mlp(dim=dim, out=out)

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        return self.mlp(tokens[:, 0])


class Points(Values):
    """One token -> points (B, count, 2), xy in [-1, 1]: pixel = ((v + 1) * S - 1) / 2 in a crop of side S."""

    def __init__(self, *, dim: int, count: int):
        super().__init__(dim=dim, out=2 * count)

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        return rearrange(super().forward(tokens, pixels), "b (n xy) -> b n xy", xy=2)


class Rotation(Head):
    """Nine tokens, one per matrix entry (row-major) -> rotation matrices (B, 3, 3), float32, rows the head's axes.

    The paper does not say how nine regressed numbers become a rotation. Here they are added to the identity (a face
    looking straight ahead, so that a fresh network starts far from a singular matrix) and projected to the nearest
    rotation. One MLP serves the nine tokens.
    """

    def __init__(self, *, dim: int):
        super().__init__()
        self.mlp = Mlp(dim=dim, out=1)

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        entries = rearrange(self.mlp(tokens), "b (row column) 1 -> b row column", row=3)
        with torch.autocast(entries.device.type, enabled=False):  # half precision is too coarse for a rotation
            return nearest_rotation(entries.float() + torch.eye(3, device=entries.device))


class Masks(Head):
    """A token per class and the upsampled face representation -> logits (B, N, 4 h, 4 w)."""

    def __init__(self, *, dim: int):
        super().__init__()
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.mlp = Mlp(dim=dim, out=dim // 8)

    @torch.no_grad()
    def amplify(self, *, mlp: float, upsample: float) -> None:
        """Multiply the weights of the last linear map and of the last convolution."""
        for layer, gain in ((self.mlp[-1], mlp), (self.upsample[-2], upsample)):
            layer.get_parameter("weight").mul_(gain)

    def pixels(self, face: Tensor) -> Tensor:
        return self.upsample(face)

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        return einsum(self.mlp(tokens), pixels, "b n c, b c y x -> b n y x")


class HeatMaps(Head):
    """A token per point and the face representation after an hourglass -> heat map logits (B, N, h, w).

    The paper names an hourglass network and one token per point, not how they meet. Here they meet as parsing tokens
    and pixels do, in a dot product: so the hourglass knows nothing of the number of points, and serves every
    landmark set.
    """

    def __init__(self, *, dim: int):
        super().__init__()
        self.hourglass = Hourglass(dim=dim, depth=3)
        self.mlp = Mlp(dim=dim, out=dim)

    def pixels(self, face: Tensor) -> Tensor:
        return self.hourglass(face)

    def forward(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        return einsum(self.mlp(tokens), pixels, "b n c, b c y x -> b n y x")


class Hourglass(nn.Module):
    """Down by two `depth` times and up again, with a skip at every scale; keeps the shape (B, C, h, w)."""

    def __init__(self, *, dim: int, depth: int):
        super().__init__()
        self.skip, self.down, self.up = (Bottleneck(dim=dim) for _ in range(3))
        self.inner = Hourglass(dim=dim, depth=depth - 1) if depth > 1 else Bottleneck(dim=dim)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(F.max_pool2d(x, kernel_size=2, ceil_mode=True))))
        return self.skip(x) + F.interpolate(low, size=x.shape[-2:], mode="nearest")


class Bottleneck(nn.Module):
    """Residual 1x1, 3x3, 1x1 convolutions at half the width; norms are over the channels of a pixel, because batches
    hold too few faces of a task for batch statistics."""

    def __init__(self, *, dim: int):
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out, kernel in ((dim, dim // 2, 1), (dim // 2, dim // 2, 3), (dim // 2, dim, 1)):
            layers += [LayerNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, out, kernel, padding=kernel // 2)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@dataclass(frozen=True)
class Readout:
    """How a kind is read. head: of a task; tokens: how many a task has, None: one per label; per_labels: a head fits
    one label table only."""

    head: Callable[[TaskSpec], Head]
    tokens: int | None = 1
    per_labels: bool = True


def readouts(*, variant: str, dim: int, embedding: int) -> dict[str, Readout]:
    """Readouts by what the numbers are (`Kind.output`), or by the category of head ("map", "value", "vector")."""
    shared = {
        "map": Readout(lambda spec: Masks(dim=dim), tokens=None, per_labels=False),
        "value": Readout(lambda spec: Values(dim=dim, out=spec.queries)),
        "vector": Readout(lambda spec: Values(dim=dim, out=embedding)),
    }
    own: Mapping[str, dict[str, Readout]] = {
        "paper": {
            "points": Readout(lambda spec: HeatMaps(dim=dim), tokens=None, per_labels=False),
            "rotation": Readout(lambda spec: Rotation(dim=dim), tokens=9),
        },
        "released": {"points": Readout(lambda spec: Points(dim=dim, count=spec.queries))},
    }
    return shared | own[variant]


def released_spec(spec: TaskSpec) -> TaskSpec:
    """A task as the published weights answer it, and as variant "released" is trained to; changing it twice is once.

    By their authors' words (issues 5, 7 and 10 of github.com/Kartik-3004/facexformer; section F.5 of the paper) race
    is White, Black, Indian, Asian, Others, where UTKFace's file names have Asian before Indian; visibility is 1 for
    an occluded point, where prepared data have 1 for a visible one.
    """
    if spec.kind == "visibility":
        return replace(spec, options=spec.options | {"positive": "occluded"})
    if spec.kind == "race" and spec.labels != FACEXFORMER_RACES and set(spec.labels) == set(FACEXFORMER_RACES):
        groups = spec.options.get("groups", tuple(range(len(spec.labels))))
        order = tuple(FACEXFORMER_RACES.index(spec.labels[index]) for index in groups)
        return replace(spec, labels=FACEXFORMER_RACES, options=spec.options | {"groups": order})
    return spec
