"""From published files to a release: what they are, the model in them, what was left out, and under which licence."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from faceptor.errors import ConfigError, WeightsError, WriteError
from faceptor.io.regular import sha256_of
from faceptor.io.words import few
from faceptor.models.base import FaceModel
from faceptor.models.build import build_encoder
from faceptor.weights.folder import DESCRIPTION, save_model
from faceptor.weights.loading import plan
from faceptor.weights.released import faceptor, facexformer, farl, naive
from faceptor.weights.released import published as facts
from faceptor.weights.released.checkpoint import read_checkpoint
from faceptor.weights.released.imagenet import check_backbone, download
from faceptor.weights.released.names import below
from faceptor.weights.starting import BACKBONE_WEIGHTS, ENCODER_WEIGHTS, IMAGENET, LARGEST_WEIGHTS_BYTES

DESCRIPTIONS = (DESCRIPTION, *(Path(name).with_suffix(".json").name for name in (ENCODER_WEIGHTS, BACKBONE_WEIGHTS)))


@dataclass(frozen=True)
class Dropped:
    """Tensors of a file that the model does not need."""

    what: str
    why: str
    tensors: int
    numbers: int


@dataclass(frozen=True)
class Release:
    """title: what the files are; files: name and SHA-256 of each; model, or the encoder alone (published names).

    file: what an encoder is called in its folder; facts: its sizes and what it was trained to see.
    """

    title: str
    licence: facts.Licence
    files: tuple[dict[str, str], ...]
    dropped: tuple[Dropped, ...] = ()
    model: FaceModel | None = None
    encoder: dict[str, Tensor] = field(default_factory=dict)
    file: str = ENCODER_WEIGHTS
    facts: dict[str, Any] = field(default_factory=dict)

    def provenance(self) -> dict[str, Any]:
        """Plain data for the model folder."""
        return {
            "stage": "released",
            "title": self.title,
            "files": list(self.files),
            "licence": asdict(self.licence),
            "dropped": [asdict(part) for part in self.dropped],
        }


@dataclass(frozen=True)
class Family:
    """One kind of published file: prefix, of some of its tensors alone; convert, (states, origins, tasks) -> fields of
    a Release.

    unused: whether a tensor is left out, by its name; unused_is: what such tensors are, and why.
    """

    prefix: str
    licence: facts.Licence
    convert: Callable[[list[dict[str, Tensor]], list[str], list[str]], dict[str, Any]]
    unused: Callable[[str], bool] = lambda name: False
    unused_is: tuple[str, str] = ("", "")

    def dropped(self, state: Mapping[str, Tensor]) -> tuple[Dropped, ...]:
        sizes = [value.numel() for name, value in state.items() if self.unused(name)]
        return (Dropped(*self.unused_is, tensors=len(sizes), numbers=sum(sizes)),) if sizes else ()


def read_release(paths: Path | str | Sequence[Path | str], *, tasks: Sequence[str] | None = None) -> Release:
    """What one or several published files hold. Nothing in them is executed; every tensor is accounted for.

    tasks: for stage-2 files of Faceptor, see `load_released`. Raises WeightsError for files of no known kind, files
    that do not belong together, and tensors that are missing, extra or misshapen.
    """
    paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if isinstance(tasks, str):
        raise ConfigError(f"tasks: expected a list of names, found the string {tasks!r}; write [{tasks!r}]")
    if not paths:
        raise ConfigError("released weights: expected at least one file, found none")
    states = [read_checkpoint(path) for path in paths]
    families = [_family(path, state) for path, state in zip(paths, states, strict=True)]
    if len(set(families)) > 1:
        listed = ", ".join(f"{path} ({name})" for path, name in zip(paths, families, strict=True))
        raise WeightsError(f"{listed}: files of different models; import them one at a time")
    family = FAMILIES[families[0]]
    parts = family.convert(states, [str(path) for path in paths], list(tasks or ()))
    return Release(
        licence=family.licence,
        files=tuple({"name": path.name, "sha256": _sha256(path)} for path in paths),
        dropped=family.dropped(states[0]),
        **parts,
    )


def load_released(path: Path | str | Sequence[Path | str], *, tasks: Sequence[str] | None = None) -> FaceModel:
    """A model from published weights, in evaluation mode: Faceptor (stage 1 or 2), Naive Faceptor or FaceXFormer.

    path: a file as downloaded, or several stage-2 files of Faceptor, which become one model. tasks: the tasks that
    stage 2 was trained for, which its files do not say: for one file None lets its Layer-Attention serve every task
    with queries; for several one task per file. Raises WeightsError for files of another kind and for tensors that do
    not fit.
    """
    release = read_release(path, tasks=tasks)
    if release.model is None:
        raise WeightsError(
            f"{path}: {release.title}, which has no tasks; start training from it with model.encoder.pretrained"
        )
    return release.model


def import_weights(
    paths: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    tasks: Sequence[str] | None = None,
    backbone: str | None = None,
) -> Release:
    """Write published weights as a folder that stands alone: a model folder, or what a training starts from.

    backbone: timm's name of the model that the weights are of, for FaceXFormer's backbone; `paths` is then "imagenet",
    which downloads what timm publishes under that name, or a file of it. A FaRL file becomes `encoder.safetensors`, a
    backbone `backbone.safetensors`. Raises FaceptorError if `out` holds a model already.
    """
    out = Path(out)
    if taken := [name for name in DESCRIPTIONS if (out / name).exists()]:
        raise ConfigError(f"{out / taken[0]}: exists, nothing is overwritten; choose another folder or remove this one")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file, expected a folder to write; choose another name")
    asked = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if backbone is not None or asked == [IMAGENET]:
        release = read_backbone(asked, backbone, tasks=tasks)
    else:
        release = read_release(paths, tasks=tasks)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:  # the folder appears when complete
            _write(release, Path(scratch))
            out.mkdir(exist_ok=True)
            for path in sorted(Path(scratch).iterdir(), key=lambda path: path.suffix == ".json"):
                os.replace(path, out / path.name)
    except (OSError, SafetensorError, WriteError) as error:
        raise WeightsError(f"{out}: cannot be written ({error}); is there room and permission?") from None
    return release


def _write(release: Release, folder: Path) -> None:
    if release.model is not None:
        save_model(release.model, folder, provenance=release.provenance())
        return
    tensors = {name: value.contiguous() for name, value in release.encoder.items()}
    save_file(tensors, folder / release.file)
    description = release.provenance() | release.facts | {"weights": _sha256(folder / release.file)}
    text = json.dumps(description, indent=2, sort_keys=True)
    (folder / release.file).with_suffix(".json").write_text(text + "\n")


def read_backbone(paths: Sequence[str], name: str | None, *, tasks: Sequence[str] | None = None) -> Release:
    """Weights of a timm backbone: downloaded where `paths` is ["imagenet"], which goes online, else from a file."""
    if name is None:
        raise ConfigError(
            "--backbone: expected the timm name of the backbone whose ImageNet weights are wanted, found none; give "
            "model.backbone.name of params.yaml, for example swin_base_patch4_window7_224.ms_in1k"
        )
    title = f"ImageNet weights of {name}"
    _check_alone(list(paths), list(tasks or ()), title)
    if paths == [IMAGENET]:
        state, files = download(name), ()
    else:
        path = Path(paths[0])
        state = check_backbone(name, read_checkpoint(path), origin=str(path))
        files = ({"name": path.name, "sha256": _sha256(path)},)
    return Release(
        title=title,
        licence=facts.TIMM_LICENCE,
        files=files,
        encoder=state,
        file=BACKBONE_WEIGHTS,
        facts={"tasks": [], "backbone": {"name": name}},
    )


# --- the kinds of file -----------------------------------------------------------------------------------------------


def _faceptor(states: list, origins: list[str], tasks: list[str]) -> dict[str, Any]:
    model = faceptor.from_states(states, tasks=tasks, origins=origins)
    stage = 2 if any(faceptor.is_stage2(state) for state in states) else 1
    return {"title": f"Faceptor, stage {stage}, {len(model.tasks)} tasks", "model": model}


def _alone(title: str, module: ModuleType) -> Callable[..., dict[str, Any]]:
    """A kind of file that is a model by itself."""

    def convert(states: list, origins: list[str], tasks: list[str]) -> dict[str, Any]:
        _check_alone(origins, tasks, title)
        model = module.from_state(states[0], origin=origins[0])
        return {"title": f"{title}, {len(model.tasks)} tasks", "model": model}

    return convert


def _farl(states: list, origins: list[str], tasks: list[str]) -> dict[str, Any]:
    title = "FaRL pre-training"
    _check_alone(origins, tasks, title)
    visual = farl.image_tower(states[0], origin=origins[0])
    like = plan(lambda: build_encoder(farl.CONFIG))
    farl.encoder_state(visual, like=like, origin=origins[0], prefix=farl.VISUAL)
    tensors = {farl.VISUAL + name: value for name, value in visual.items()}
    return {"title": f"{title}, an encoder", "encoder": tensors, "facts": farl.describe(visual)}


def _check_alone(origins: list[str], tasks: list[str], title: str) -> None:
    if len(origins) > 1:
        raise ConfigError(f"{', '.join(origins)}: {title} is one file, found {len(origins)}; import one")
    if tasks:
        raise ConfigError(f"{origins[0]}: {title} has no Layer-Attention, so no task may be named for it")


_CLASSIFIER = {
    "unused": lambda name: name.startswith("losses_module."),
    "unused_is": ("classifier of recognition", "used in training only"),
}
FAMILIES: dict[str, Family] = {
    "Faceptor": Family(faceptor.DECODER, facts.CODE_LICENCE, _faceptor, **_CLASSIFIER),
    "Naive Faceptor": Family(naive.HEADS, facts.CODE_LICENCE, _alone("Naive Faceptor", naive), **_CLASSIFIER),
    "FaceXFormer": Family(facexformer.DECODER, facts.CODE_LICENCE, _alone("FaceXFormer", facexformer)),
    "FaRL": Family(
        farl.VISUAL,
        facts.FARL_LICENCE,
        _farl,
        unused=lambda name: not farl.is_encoder(name),
        unused_is=("text tower and pretext head", "only the image tower encodes faces"),
    ),
}


def _family(path: Path, state: Mapping[str, Tensor]) -> str:
    known = next((name for name, family in FAMILIES.items() if below(state, family.prefix)), None)
    if known is None:
        raise WeightsError(
            f"{path}: not a release that is known here, its tensors are {few(state, 3)}; expected one of "
            f"{', '.join(FAMILIES)}; a model trained here is a folder, which `faceptor.load` reads"
        )
    return known


def _sha256(path: Path) -> str:
    return sha256_of(path, largest=LARGEST_WEIGHTS_BYTES, error=WeightsError)
