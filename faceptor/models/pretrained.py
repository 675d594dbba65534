"""Published weights of a backbone alone, to start a training from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timm.models import load_state_dict
from torch import Tensor

from faceptor.errors import WeightsError
from faceptor.models.backbone import Backbone, create_net
from faceptor.models.folder import load_strictly

IMAGENET = "imagenet"  # what the timm library publishes for the backbone's name


def load_backbone(backbone: Backbone, pretrained: Path | str) -> None:
    """Start a backbone from published weights.

    pretrained: "imagenet" downloads timm's weights for its name; anything else is a file with timm's tensor names.
    Only what the backbone pruned may be in excess; whatever else does not fit is a WeightsError.
    """
    if str(pretrained) == IMAGENET:
        state, origin = _published(backbone.name, backbone.options), f"ImageNet weights of {backbone.name}"
    else:
        state, origin = _read(Path(pretrained)), str(pretrained)
    load_strictly(backbone.net, {n: t for n, t in state.items() if n not in backbone.pruned}, origin=origin)


def _published(name: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        return create_net(name, options, pretrained=True).state_dict()  # with its classifier, so timm loads strictly
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"ImageNet weights of {name}: {_first_line(error)}; they need the network and the published sizes, else "
            "give model.backbone.pretrained a file or null"
        ) from None


def _read(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise WeightsError(f"{path}: not found; give model.backbone.pretrained a file with timm's weights, or null")
    try:
        return load_state_dict(str(path), use_ema=False, weights_only=True)
    except Exception as error:  # pickle, zip, safetensors: each has its own
        raise WeightsError(f"{path}: not a readable checkpoint ({_first_line(error)}); is it complete?") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
