"""What a task owns when it looks at all encoder layers (paper section 3.3), in both readings of the method.

A state has `level_vectors(top)`, the L vectors added to the keys of the L layers (bottom first, top last), and says
through `projections(shared)` what maps each lower layer to the decoder's width. Both get the decoder's own part
(its vector of the top layer, its projection) handed in, because those are shared by all tasks.

Shapes: L encoder layers, C decoder width.
"""

import torch
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.models.modules import ModuleList

INITIAL_STDS = {"zeros": 0.0, "small": 0.02, "normal": 1.0}  # of new level vectors


class PaperLayers(nn.Module):
    """The paper: one projection for all layers, shared by all tasks; the task owns L_t (L, C) alone.

    init "small" (the default) starts with all layers nearly equally available and lets training tell them apart;
    "zeros" starts exactly there; "normal" is what the released code draws.
    """

    mode = "paper"

    def __init__(self, *, layers: int, features: int, dim: int, init: str | None = None):
        super().__init__()
        self.level = nn.Parameter(torch.randn(layers, dim) * initial_std(init or "small"))

    def projections(self, shared: nn.Module) -> list[nn.Module]:
        return [shared] * (len(self.level) - 1)

    def level_vectors(self, top: Tensor) -> Tensor:
        return self.level


class ReleasedLayers(nn.Module):
    """The released code: new projections and new vectors for the lower layers; the top layer keeps the old ones."""

    mode = "released"

    def __init__(self, *, layers: int, features: int, dim: int, init: str | None = None):
        super().__init__()
        self.level = nn.Parameter(torch.randn(layers - 1, dim) * initial_std(init or "normal"))
        self.projection: ModuleList[nn.Conv2d] = ModuleList(
            nn.Conv2d(features, dim, kernel_size=1) for _ in range(layers - 1)
        )
        for projection in self.projection:
            nn.init.kaiming_uniform_(projection.weight, a=1)
            nn.init.zeros_(projection.get_parameter("bias"))

    def projections(self, shared: nn.Module) -> list[nn.Module]:
        return list(self.projection)

    def level_vectors(self, top: Tensor) -> Tensor:
        return torch.cat([self.level, top])


MODES = {state.mode: state for state in (PaperLayers, ReleasedLayers)}


def initial_std(name: str) -> float:
    if name not in INITIAL_STDS:
        raise ConfigError(f"layer attention: init {name!r} is unknown; expected one of {', '.join(INITIAL_STDS)}")
    return INITIAL_STDS[name]
