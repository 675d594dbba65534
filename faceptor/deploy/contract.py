"""What whoever runs an exported graph must know, as plain data: inputs, tasks, labels, crops, origin of the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceptor.deploy.formats import batch_dimension
from faceptor.deploy.graph import Graph
from faceptor.doctor.model import licence_of
from faceptor.models.base import FaceModel
from faceptor.predict.predictor import generated_warning, taught_by_generated
from faceptor.tasks import kind_of
from faceptor.transforms.framing import crop_of
from faceptor.weights.description import plain
from faceptor.weights.folder import model_hash, read_description

FORMAT = 1
MEANINGS = {  # head -> what a task's numbers are; shapes without the number of images
    "map": "logits, a map for each label",
    "value": "logits, one for each label",
    "vector": "an embedding, not normalised",
}


def inputs_of(graph: Graph) -> dict[str, dict[str, Any]]:
    """Input -> its shape and what it takes."""
    found = {}
    for group in graph.groups:
        its = graph.model.inputs[group]
        mean, std = its.statistics
        found[group] = {
            "shape": [batch_dimension(group), 3, its.size, its.size],
            "type": "float32",
            "takes": "RGB in [0, 1], not normalised: the graph does that",
            "mean": list(mean),
            "std": list(std),
        }
    return found


def tasks_of(model: FaceModel, graph: Graph, shapes: dict[str, Sequence[int]]) -> dict[str, dict[str, Any]]:
    """Task -> everything that its answer needs; shapes: of its output for one image, without the number of images.

    crop: the side of the input in pixels, tanh warp (0: none); framing: the rectangle that fills the crop, as left,
    top, right, bottom from the centre of the face box in units of its side (x right, y down). The face box is the
    square about the face from the brows to the chin. mirror: the mirrored image is answered, too, and both are added.
    """
    generated = taught_by_generated(model.provenance, graph.outputs)
    return {task: _task(model, task, shapes[task], generated=task in generated) for task in graph.outputs}


def _task(model: FaceModel, task: str, shape: Sequence[int], *, generated: bool) -> dict[str, Any]:
    spec, (crop, framing) = model.tasks[task], crop_of(model, task)
    kind = kind_of(spec)
    return {
        "input": model.group[task],
        "output": {"shape": [batch_dimension(model.group[task]), *shape], "holds": _meaning(model, task)},
        "kind": spec.kind,
        "dataset": spec.dataset,
        "labels": list(spec.labels),
        "options": plain(spec.options),
        "crop": {"size": crop.size, "warp": crop.warp, "framing": framing.to_list()},
        "mirror": kind.mirror,
        "generated": generated,
    }


def _meaning(model: FaceModel, task: str) -> str:
    kind = kind_of(model.tasks[task])
    if not model.isolated and kind.output and model.config.get("variant") == "released":
        return f"{kind.output}, as the released model gives them"
    return f"{kind.output}, see its kind" if kind.output == "rotation" else MEANINGS[model.head[task]]


def origin_of(folder: Path | str, model: FaceModel, tasks: Sequence[str]) -> dict[str, Any]:
    """Which model it was, under which licence, and whether generated faces taught it."""
    taught = taught_by_generated(model.provenance, tasks)
    facts = {
        "name": read_description(folder)["model"]["name"],
        "hash": model_hash(folder),
        "licence": licence_of(model, model.provenance),
        "data": {task: facts for task, facts in (model.provenance.get("data") or {}).items() if task in tasks},
    }
    return facts | ({"warning": generated_warning(taught, of=len(tasks))} if taught else {})
