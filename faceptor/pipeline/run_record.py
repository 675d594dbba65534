"""What a stage adds to the record of a run: its start, its tasks and its data."""

import hashlib
import json
from collections.abc import Mapping

import torch

from faceptor.config.sections import spelled
from faceptor.io.files import MODELS
from faceptor.pipeline.experiment import Experiment
from faceptor.prepared.reading import content_hashes
from faceptor.tasks import TaskSpec
from faceptor.training.record import Record, flatten
from faceptor.weights.folder import model_hash


def built_record(experiment: Experiment, model: torch.nn.Module, *, section: str) -> Record:
    """Of a run that starts from a model section, `section` in params.yaml: what it says, and the weights it led to."""
    return flatten(experiment.params.model.model_dump(mode="json"), section) | {"starting weights": tensors_hash(model)}


def started_record(experiment: Experiment, start: str) -> Record:
    """Of a run that starts from a folder below models/: its content, and the model section, which says how new parts
    are built and images cropped."""
    section = experiment.params.model.model_dump(mode="json")
    return flatten(section, "model") | {f"models/{start}": model_hash(MODELS / start)}


def data_record(experiment: Experiment, specs: Mapping[str, TaskSpec]) -> Record:
    """What the tasks are, and the content (images and labels) of the splits that teach and validate them."""
    found: Record = {}
    for name, spec in specs.items():
        found |= flatten({key: value for key, value in spec.to_dict().items() if key != "name"}, f"task {name}")
        hashes = content_hashes(experiment.prepared(spec.dataset))
        found |= {f"datasets.{spelled(spec.dataset)}: {part} split": hashes.get(part) for part in ("train", "val")}
    return json.loads(json.dumps(found))  # tuples are lists where the record is read back


def changed(model: torch.nn.Module, start: torch.nn.Module) -> list[str]:
    """The parameters and buffers of `start` that the model does not have, or has with other numbers."""
    now, old = model.state_dict(), start.state_dict()
    return [name for name, value in old.items() if name not in now or not torch.equal(value.cpu(), now[name].cpu())]


def tensors_hash(model: torch.nn.Module) -> str:
    """SHA-256 (hex) of all parameters and buffers, with their names and shapes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
