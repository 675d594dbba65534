"""The published Naive Faceptor file."""

from collections.abc import Mapping

from torch import Tensor

from faceptor.config import NaiveConfig
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.tasks import TASKS
from faceptor.tasks import task as task_named
from faceptor.weights.loading import built_with, plan
from faceptor.weights.released import farl
from faceptor.weights.released.names import Renaming, check_fit
from faceptor.weights.released.published import INPUTS, KIND_NAMES, RECOGNITION, TASK_NAMES, published_crops

CONFIG = NaiveConfig(inputs=INPUTS)  # the published sizes
HEADS = "heads_module.heads."
# Heads with maps have one output, unnamed, because the published model learnt one data set of each such kind.
DENSE_TASKS = {"parsing": "parsing_celebamaskhq", "align": "landmarks_300w"}

# Each a convolution with a batch norm.
_CONVOLUTIONS = {
    "psp_modules.{i}.1": "pyramid.branches.{i}",
    "bottleneck": "pyramid.fuse",
    "lateral_convs.{i}": "lateral.{i}",
    "fpn_convs.{i}": "smooth.{i}",
    "fpn_bottleneck": "fuse",
}
HEAD_NAMES = {
    "recog.norm.{p}": "heads.recognition.norm.{p}",
    "recog.head.0.{p}": "heads.recognition.fc1.{p}",
    "recog.head.1.{p}": "heads.recognition.bn1.{p}",
    "recog.head.2.{p}": "heads.recognition.fc2.{p}",
    "recog.head.3.{p}": "heads.recognition.bn2.{p}",
    "{kind}.conv.{i}.{p}": "heads.{kind}.reduce.{i}.{p}",
    "{kind}.channel_attention.mlp.1.{p}": "heads.{kind}.gate.mlp.0.{p}",
    "{kind}.channel_attention.mlp.3.{p}": "heads.{kind}.gate.mlp.2.{p}",
    "{kind}.norm.{p}": "heads.{kind}.norm.{p}",
    "{kind}.feature.{i}.{p}": "heads.{kind}.hidden.{i}.{p}",
    "{kind}.fcs.{task}.{p}": "heads.{kind}.outputs.{task}.{p}",
    "{kind}.fpns.0.0.{p}": "heads.{kind}.levels.0.up0.{p}",
    "{kind}.fpns.0.1.{p}": "heads.{kind}.levels.0.norm1.{p}",
    "{kind}.fpns.0.3.{p}": "heads.{kind}.levels.0.up1.{p}",
    "{kind}.fpns.1.{p}": "heads.{kind}.levels.1.up0.{p}",
    **{
        f"{{kind}}.head.{theirs}.{part}.{{p}}": f"heads.{{kind}}.{ours}.{name}.{{p}}"
        for theirs, ours in _CONVOLUTIONS.items()
        for part, name in (("conv", "conv"), ("bn", "norm"))
    },
    **{
        f"{kind}.head.conv_seg.{{p}}": f"heads.{KIND_NAMES[kind]}.outputs.{task}.{{p}}"
        for kind, task in DENSE_TASKS.items()
    },
}
RENAMING = Renaming(HEAD_NAMES, words={"task": TASK_NAMES, "kind": KIND_NAMES})
official = farl.official_names(RENAMING, HEADS)


def from_state(state: Mapping[str, Tensor], *, origin: str) -> FaceModel:
    """The model of a file's tensors, in evaluation mode. Raises WeightsError naming the tensors that do not fit."""
    heads = farl.model_heads(state, HEADS, width=CONFIG.embedding, origin=origin)
    tensors = RENAMING.convert(heads, origin=origin, prefix=HEADS)
    answered = {name.split(".")[3] for name in tensors if ".outputs." in name}
    answered |= {RECOGNITION} if any(name.startswith("heads.recognition.") for name in tensors) else set()
    specs = [task_named(name) for name in TASKS if name in answered]

    def make() -> FaceModel:
        return build_model(CONFIG, specs)

    planned = plan(make)
    tensors |= farl.model_encoder(state, like=planned.encoder, origin=origin)
    check_fit(planned, tensors, theirs=official, origin=origin)
    model = built_with(make, tensors, origin=origin)
    model.crops = published_crops(model.tasks)
    return model
