"""Published weights of a backbone alone, to start a training from: a file; nothing is downloaded here."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.models.backbone import Backbone, create_net
from faceptor.weights.folder import load_strictly
from faceptor.weights.released.checkpoint import read_checkpoint
from faceptor.weights.starting import BACKBONE_WEIGHTS


def load_backbone(backbone: Backbone, path: Path | str) -> None:
    """Start a backbone from a file with timm's tensor names, or the folder that `faceptor import-weights` makes.

    Weights of other sizes are adapted as timm does it (position tables). Only what the backbone pruned may be in
    excess; whatever else does not fit is a WeightsError.
    """
    path = Path(path)
    if path.is_dir():
        path = path / BACKBONE_WEIGHTS
    state = read_checkpoint(path)
    if not _fits(backbone.net, state):
        state = _adapted(backbone, state)
    load_strictly(backbone.net, {n: t for n, t in state.items() if n not in backbone.pruned}, origin=str(path))


def _fits(net: nn.Module, state: Mapping[str, Tensor]) -> bool:
    return all(name in state and state[name].shape == tensor.shape for name, tensor in net.state_dict().items())


def _adapted(backbone: Backbone, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights at the sizes of a backbone where timm knows how, else as they are."""
    try:
        overlay = {"state_dict": dict(state)}
        return create_net(backbone.name, backbone.options, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    except (RuntimeError, ConfigError, KeyError):
        return state
