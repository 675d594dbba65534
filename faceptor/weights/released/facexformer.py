"""The published FaceXFormer (`model.pt`, tensors under `state_dict_backbone`).

Its tasks are those here whose label tables its heads fit. By its authors' words (issues 5, 7 and 10 of their
repository) age is a decade, 0-9 to 60-69 and over 70, gender male or female, race White, Black, Indian, Asian or
Others (not the order of UTKFace's file names), visibility 1 for an *occluded* point, and attributes are in the order
of CelebA: see `released_spec`. What they do not state, and what is taken for it:

* parsing has 11 classes in the order of LaPa, whose colours the authors' script draws with (`parsing_lapa`);
* angles are radians (the authors' script multiplies by 180 / pi), points are in [-1, 1].

The paper's expression and recognition are not in the file.
"""

from collections.abc import Mapping

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from faceptor.config import FaceXFormerConfig
from faceptor.errors import WeightsError
from faceptor.io.words import few
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.tasks import task as task_named
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.framing import Framing
from faceptor.weights.loading import built_with, plan
from faceptor.weights.released.names import Renaming, check_fit

TASK_NAMES = {  # published -> ours
    "landmarks": "landmarks_300w",
    "pose": "pose_300wlp",
    "attribute": "attributes_celeba",
    "visibility": "visibility_cofw",
    "age": "agegroup_utkface",
    "gender": "gender_utkface",
    "race": "race_utkface",
}
PARSING = "parsing_lapa"
LINEAR_MAPS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}

SIZE = 224
INPUT = {"size": SIZE, "mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
# A detector's face box, a quarter of its side added at each edge, stretched to the square.
CROP = CropSpec(kind="box", size=SIZE, scale=1 / 1.5, antialias=True)
FRAMING = Framing(-0.5, -0.5, 0.5, 0.5).zoomed(CROP.scale)

DECODER = "face_decoder."
_LAYER, _OURS = DECODER + "transformer.layers.{i}.", "decoder.layers.{i}."
_INDEX = ".attn.relative_position_index"


def _swin() -> dict[str, str]:
    """The backbone: there a sequence of stem, blocks, merging, blocks, ...; here stages that begin with a merging."""
    names = {
        "backbone.0.0.0.{p}": "backbone.net.patch_embed.proj.{p}",
        "backbone.0.0.2.{p}": "backbone.net.patch_embed.norm.{p}",
        "backbone.1.{p}": "backbone.net.norm.{p}",
    }
    parts = {part: part for part in ("norm1.{p}", "norm2.{p}", "attn.qkv.{p}", "attn.proj.{p}", "attn.{p}")}
    parts |= {"mlp.0.{p}": "mlp.fc1.{p}", "mlp.3.{p}": "mlp.fc2.{p}"}
    for stage in range(4):
        there, here = f"backbone.0.{2 * stage + 1}.{{i}}.", f"backbone.net.layers.{stage}.blocks.{{i}}."
        names |= {there + theirs: here + ours for theirs, ours in parts.items()}
        if stage:
            there, here = f"backbone.0.{2 * stage}.", f"backbone.net.layers.{stage}.downsample."
            names |= {there + part: here + part for part in ("norm.{p}", "reduction.{p}")}
    return names


def _mlp(there: str, here: str) -> dict[str, str]:
    """Three linear maps, numbered without the activations between there, with them here."""
    return {f"{there}.layers.{n}.{{p}}": f"{here}.mlp.{2 * n}.{{p}}" for n in range(3)}


NAMES = {
    **_swin(),
    "linear_c.{i}.proj.{p}": "fusion.project.{i}.{p}",
    "linear_fuse.{p}": "fusion.fuse.{p}",
    "pe_layer.positional_encoding_gaussian_matrix": "position.matrix",
    _LAYER + "self_attn.{kind}.{p}": _OURS + "self_attention.{kind}.{p}",
    _LAYER + "norm1.{p}": _OURS + "self_norm.{p}",
    _LAYER + "cross_attn_token_to_image.{kind}.{p}": _OURS + "token_to_image.{kind}.{p}",
    _LAYER + "norm2.{p}": _OURS + "token_to_image_norm.{p}",
    _LAYER + "mlp.lin1.{p}": _OURS + "feed_forward.0.{p}",
    _LAYER + "mlp.lin2.{p}": _OURS + "feed_forward.2.{p}",
    _LAYER + "norm3.{p}": _OURS + "feed_forward_norm.{p}",
    _LAYER + "cross_attn_image_to_token.{kind}.{p}": _OURS + "image_to_token.{kind}.{p}",
    _LAYER + "norm4.{p}": _OURS + "image_to_token_norm.{p}",
    "face_decoder.transformer.final_attn_token_to_image.{kind}.{p}": "decoder.final_attention.{kind}.{p}",
    "face_decoder.transformer.norm_final_attn.{p}": "decoder.final_norm.{p}",
    "face_decoder.mask_tokens.weight": f"tokens.{PARSING}.content",
    "face_decoder.{task}_token.weight": "tokens.{task}.content",
    "face_decoder.output_upscaling.{i}.{p}": f"heads.{PARSING}.upsample.{{i}}.{{p}}",
    **_mlp("face_decoder.output_hypernetwork_mlps", f"heads.{PARSING}"),
    **_mlp("face_decoder.{task}_prediction_head", "heads.{task}"),
}
RENAMING = Renaming(NAMES, words={"task": TASK_NAMES, "kind": LINEAR_MAPS})


def from_state(state: Mapping[str, Tensor], *, origin: str) -> FaceModel:
    """A model from the tensors of a published file, in evaluation mode.

    Raises WeightsError naming the tensors that are missing, extra or misshapen.
    """
    planned = plan(_build)
    weights = {name: value for name, value in state.items() if not name.endswith(_INDEX)}
    ours = RENAMING.convert(weights, origin=origin)
    # Linear maps of pixels there, 1x1 convolutions here.
    ours |= {name: value[..., None, None] for name, value in ours.items() if _is_pixel_map(name) and value.ndim == 2}
    check_fit(planned, ours, theirs=RENAMING.theirs, origin=origin)
    model = built_with(_build, ours, origin=origin)
    check_structure(state, relative_positions(model), origin=origin)
    model.crops = {name: CROP.to_dict() | {"framing": FRAMING.to_list()} for name in model.tasks}
    return model


def _build() -> FaceModel:
    config = FaceXFormerConfig(variant="released", inputs={"dense": INPUT, "face": INPUT})
    return build_model(config, [task_named(name) for name in (PARSING, *TASK_NAMES.values())])


def relative_positions(model: FaceModel) -> dict[str, Tensor]:
    """Published name -> which entry of its table every pair of a window's cells reads: structure, not weight."""
    return {
        f"backbone.0.{2 * stage + 1}.{number}{_INDEX}": block.attn.relative_position_index.flatten()
        for stage, layer in enumerate(model.backbone.net.layers)
        for number, block in enumerate(layer.blocks)
    }


def check_structure(state: Mapping[str, Tensor], structure: Mapping[str, Tensor], *, origin: str) -> None:
    """Raise WeightsError unless the file agrees with ours on what is no weight."""
    odd = sorted(structure.keys() ^ {name for name in state if name.endswith(_INDEX)})
    if odd:
        raise WeightsError(
            f"{origin}: not the tensors of the published model; {len(odd)} missing or extra: {few(odd)}; "
            "download the file again"
        )
    differ = [
        name
        for name, value in structure.items()
        if state[name].dtype != value.dtype or not torch.equal(state[name].flatten(), value)
    ]
    if differ:
        raise WeightsError(
            f"{origin}: {len(differ)} tables of relative positions differ from Swin-B's: {few(differ)}; "
            "is it a release of another model?"
        )


def _is_pixel_map(name: str) -> bool:
    return name.startswith("fusion.project.") and name.endswith(".weight")
