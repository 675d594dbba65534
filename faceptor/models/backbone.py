"""A backbone of the timm library read at several depths: the multi-scale encoder of FaceXFormer (section 3.1).

Shapes: B images, h_i w_i grid of level i, the image's sides divided by `strides[i]`.
"""

import reprlib
from collections.abc import Mapping
from typing import Any

import timm
from timm.models import is_model
from torch import Tensor, nn

from faceptor.errors import ConfigError
from faceptor.models.modules import freeze

LEVELS = 4  # how many feature maps are read, S_1 .. S_4

# Families whose windows or tables belong to one image size, and the options that let them take any.
OPTIONS_FOR_ANY_SIZE: dict[str, Mapping[str, Any]] = {
    "swin": {"strict_img_size": False},
    "vit": {"dynamic_img_size": True},
}

# What timm raises for options that make no model.
ERRORS_OF_OPTIONS = (TypeError, ValueError, AssertionError, LookupError, AttributeError, ArithmeticError)
# Arguments of `timm.create_model` that read files or go online.
RESERVED_OPTIONS = frozenset(
    {"model_name", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
)


class Backbone(nn.Module):
    """The last four levels of a timm model, whatever its family; nothing is downloaded here.

    name: any model of timm with `forward_intermediates` (swin_base_patch4_window7_224, convnext_base,
    mobilenetv3_large_100, ...); options: its own keyword arguments, which also make it tiny; size: image side it is
    built for (windowed models size their windows by it; other images are accepted all the same). What comes after the
    last level is pruned; final_norm keeps its norm as frozen parameters, as the released FaceXFormer does.

    channels, strides: of the levels, finest first.
    """

    def __init__(self, *, name: str, size: int, options: Mapping[str, Any] | None = None, final_norm: bool = False):
        super().__init__()
        self.name = name
        self.options = _options(name, size, options or {})
        self.net = create_net(name, self.options)
        whole = set(self.net.state_dict())
        info = self.net.feature_info
        self.levels = list(range(max(len(info) - LEVELS, 0), len(info)))
        self.channels: list[int] = [info[level]["num_chs"] for level in self.levels]
        self.strides: list[int] = [info[level]["reduction"] for level in self.levels]
        norm = getattr(self.net, "norm", None) if final_norm else None
        self.net.prune_intermediate_layers(self.levels, prune_norm=not final_norm, prune_head=True)
        _drop_head(self.net)
        if norm is not None:
            freeze(norm)  # nothing reads it
        self.pruned = frozenset(whole - set(self.net.state_dict()))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> the levels, finest first, each (B, channels[i], h_i, w_i)."""
        return self.net.forward_intermediates(
            images, indices=self.levels, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )


def _options(name: str, size: int, options: Mapping[str, Any]) -> dict[str, Any]:
    if taken := sorted(set(options) & RESERVED_OPTIONS):
        raise ConfigError(
            f"model.backbone.options: {taken[0]}: no option of a backbone's structure; remove it (weights to start "
            "from are model.backbone.pretrained)"
        )
    flexible = next((known for family, known in OPTIONS_FOR_ANY_SIZE.items() if name.startswith(family)), None)
    return ({} if flexible is None else {"img_size": size, **flexible}) | dict(options)


def create_net(name: str, options: Mapping[str, Any], *, where: str = "model.backbone.name", **more: Any) -> Any:
    """A timm model; a name may say which published weights are meant, as in "convnext_base.fb_in1k".

    where: what gave the name, for messages; more: arguments of `timm.create_model`.
    """
    family, _, tag = name.partition(".")
    if not is_model(family) or (tag and name not in timm.list_pretrained(f"{family}*")):
        known = timm.list_pretrained(f"{family}*") if is_model(family) else timm.list_models(f"{name.split('_')[0]}*")
        near = ", ".join(known[:5]) or "one of timm.list_models()"
        raise ConfigError(f"{where}: timm has no model {name!r}; expected for example {near}")
    try:
        net = timm.create_model(name, **options, **more)
    except ERRORS_OF_OPTIONS as error:
        given, reason = reprlib.repr(dict(options)), f"{type(error).__name__}: {error}"
        raise ConfigError(f"model.backbone.options: {name} does not take {given} ({reason})") from None
    if not all(hasattr(net, part) for part in ("forward_intermediates", "prune_intermediate_layers", "feature_info")):
        raise ConfigError(f"{where}: {name} gives no intermediate features; choose another backbone")
    return net


def _drop_head(net: nn.Module) -> None:
    """timm leaves the norm of some pooled heads (ConvNeXt's) behind, which features never pass through."""
    if isinstance(getattr(net, "head", None), nn.Module):
        net.head = nn.Identity()
