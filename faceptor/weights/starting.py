"""What a training starts from: `model.init` and the file of published weights that goes with it.

`init: released` needs `pretrained`, a file; `init: scratch` has none. Nothing here loads torch: `faceptor params
check`, `faceptor doctor` and the pipeline ask before a training does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from faceptor.config import ModelConfig
from faceptor.errors import ConfigError, WeightsError
from faceptor.io.regular import check_regular, sha256_of

LARGEST_WEIGHTS_BYTES = 16 << 30  # a training checkpoint of the largest published model has 1.5 GB
PRETRAINED = Path("data/pretrained")  # below it the pipeline notices when a file changes
ENCODER_WEIGHTS, BACKBONE_WEIGHTS = "encoder.safetensors", "backbone.safetensors"
IMAGENET = "imagenet"


class Source(NamedTuple):
    """Published weights of a part: what they are, where they are offered, how they become `file`."""

    what: str
    where: str
    command: str
    file: Path

    def remedy(self) -> str:
        return f"get {self.what} from {self.where}, then `{self.command}`"


FARL = Source(
    what="FaRL-Base-Patch16-LAIONFace20M-ep64.pth, from which the papers' Faceptor starts,",
    where="https://github.com/FacePerceiver/FaRL",
    command=f"faceptor import-weights FaRL-Base-Patch16-LAIONFace20M-ep64.pth --out {PRETRAINED / 'farl-b16-ep64'}",
    file=PRETRAINED / "farl-b16-ep64" / ENCODER_WEIGHTS,
)


def imagenet(backbone: str) -> Source:
    """The ImageNet weights that the timm library publishes for a backbone."""
    return Source(
        what=f"the ImageNet weights of {backbone}",
        where="the Hugging Face hub (timm)",
        command=f"faceptor import-weights {IMAGENET} --backbone {backbone} --out {PRETRAINED / backbone}",
        file=PRETRAINED / backbone / BACKBONE_WEIGHTS,
    )


def part_of(model: ModelConfig) -> str | None:
    """The part of a model that published weights exist for, as its section is called; None where there is none."""
    return next((part for part in ("backbone", "encoder") if hasattr(model, part)), None)


def source_of(model: ModelConfig) -> Source:
    """Where published weights for this model come from."""
    return imagenet(model.backbone.name) if part_of(model) == "backbone" else FARL


def starting_file(model: ModelConfig, *, where: str = "model") -> Path | None:
    """The file that a training starts from, None for `init: scratch`; whether it is there is not looked at.

    where: what the section is called in params.yaml. Raises ConfigError where `init` and `pretrained` do not agree.
    """
    part = part_of(model)
    if part is None:
        return None
    source = source_of(model)
    key = f"{where}.{part}.pretrained"
    named = getattr(model, part).pretrained
    if model.init == "scratch":
        if named is not None:
            raise ConfigError(
                f"{where}.init: scratch, but {key} names {named}, which would not be read; set {where}.init: released "
                f"to start from it, or {key}: none"
            )
        return None
    if named is None or str(named) == IMAGENET:
        found = "null" if named is None else f"{IMAGENET!r}, and training never goes online"
        raise ConfigError(
            f"{key}: {where}.init is released, so a file of weights is expected, found {found}; {source.remedy()} and "
            f"set {key}: {source.file}; or set {where}.init: scratch to start without published weights"
        )
    named = Path(named)
    return named / (BACKBONE_WEIGHTS if part == "backbone" else ENCODER_WEIGHTS) if named.is_dir() else named


def starting_weights(model: ModelConfig, *, where: str = "model") -> dict[str, str] | None:
    """{"path", "sha256"} of the file that a training starts from; None for `init: scratch`.

    Raises ConfigError where `init` and `pretrained` do not agree, and WeightsError if the file is missing, no regular
    file, or unreadable: one line that says where to get it.
    """
    path = starting_file(model, where=where)
    return path and {"path": str(path), "sha256": _said_of(model, where, sha256_of, path)}


def check_starting_file(model: ModelConfig, *, where: str = "model") -> int | None:
    """Size in bytes of the file that a training starts from, None for `init: scratch`; raises as `starting_weights`."""
    path = starting_file(model, where=where)
    return path and _said_of(model, where, check_regular, path)


def describe_starting_weights(model: ModelConfig, *, where: str = "model") -> dict[str, Any]:
    """Plain facts for `faceptor doctor`: init, path, whether it is there, size and SHA-256, or what is wrong."""
    facts: dict[str, Any] = {"init": model.init, "path": None, "state": "starts from scratch"}
    try:
        path = starting_file(model, where=where)
        if path is None:
            return facts
        facts |= {"path": str(path), "state": "absent"}
        facts["bytes"] = check_starting_file(model, where=where)
        return facts | {"state": "there", "sha256": starting_weights(model, where=where)["sha256"]}
    except (ConfigError, WeightsError) as error:
        state = facts["state"] if facts["path"] else "not named"
        return facts | {"state": state, "problem": str(error)}


def _said_of(model: ModelConfig, where: str, find: Callable, path: Path) -> Any:
    """What `find` says of the file, with the key of params.yaml and the remedy in its errors."""
    key = f"{where}.{part_of(model)}.pretrained"
    remedy = f"{source_of(model).remedy()}; or set {where}.init: scratch and {key}: none"
    try:
        return find(path, largest=LARGEST_WEIGHTS_BYTES, error=WeightsError, remedy=remedy)
    except WeightsError as error:
        raise WeightsError(f"{key}: {error}") from None
