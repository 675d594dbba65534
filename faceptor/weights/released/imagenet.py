"""ImageNet weights of a backbone alone, as the timm library publishes them. Only `download` goes online."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch import Tensor

from faceptor.errors import ConfigError, WeightsError
from faceptor.models.backbone import Backbone, create_net
from faceptor.weights.loading import load_strictly
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
    if any(name not in state or state[name].shape != own.shape for name, own in backbone.net.state_dict().items()):
        state = _adapted(backbone.name, backbone.options, state) or state
    load_strictly(backbone.net, {n: t for n, t in state.items() if n not in backbone.pruned}, origin=str(path))


def check_backbone(name: str, state: Mapping[str, Tensor], *, origin: str) -> dict[str, Tensor]:
    """The tensors of a published file as timm's model of that name has them. Raises WeightsError naming what differs.

    `origin`: what the file is called in messages.
    """
    net = create_net(name, {}, where="--backbone")
    adapted = _adapted(name, {}, state)
    if adapted is None:  # timm's words fill a page; name the tensors in a line
        load_strictly(net, state, origin=origin)
    return adapted or dict(net.state_dict())


def _adapted(name: str, options: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights at the sizes of a model of timm; None where timm knows no way."""
    try:
        overlay = {"state_dict": dict(state)}
        return dict(create_net(name, options, pretrained=True, pretrained_cfg_overlay=overlay).state_dict())
    except (RuntimeError, ConfigError, KeyError):
        return None


def download(name: str) -> dict[str, Tensor]:
    """The ImageNet weights that the timm library publishes for a name, with their classifier: goes online.

    Raises ConfigError for a name without published weights, WeightsError where they cannot be fetched.
    """
    net = create_net(name, {}, where="--backbone")
    if not (net.pretrained_cfg.get("hf_hub_id") or net.pretrained_cfg.get("url")):
        raise ConfigError(f"--backbone: timm publishes no weights for {name!r}; see timm.list_pretrained()")
    try:
        with online():
            return dict(create_net(name, {}, where="--backbone", pretrained=True).state_dict())
    except ConfigError:
        raise
    except Exception as error:  # every layer below (hub, http, sockets, disk) has its own
        reason = str(error).splitlines()[0].split(". ")[0][:200] if str(error) else type(error).__name__
        page = f"https://huggingface.co/{net.pretrained_cfg.get('hf_hub_id') or 'timm'}"
        raise WeightsError(
            f"ImageNet weights of {name}: cannot be downloaded ({reason}); run this command where there is a network "
            f"and copy its folder here, or take model.safetensors from {page} and give that file instead of `imagenet`"
        ) from None


@contextmanager
def online() -> Iterator[None]:
    """Let the Hugging Face hub use the network, which the commands of this package otherwise forbid it."""
    from huggingface_hub import constants

    with patch.dict(os.environ, HF_HUB_OFFLINE="0"), patch.object(constants, "HF_HUB_OFFLINE", False):
        yield
