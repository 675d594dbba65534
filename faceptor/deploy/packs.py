"""Task packs: one task as a small file that can be installed on the model it was taught on.

A pack is a safetensors file: the tensors that the task owns, and in its head, as JSON, the task with its labels, its
crop, what taught it, and the hash of its base (`faceptor.deploy.base`). Where the transfer changed shared weights
(modes decoder, full, lora), the pack holds the changed ones too, and can then be installed only alone: other tasks
were taught on other weights. Nothing in a pack is executed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as tensors_of_bytes
from safetensors.torch import save as bytes_of_tensors
from torch import Tensor

from faceptor.deploy.base import base_hash, only, own_tensors, same, shared_tensors
from faceptor.errors import ConfigError, WeightsError
from faceptor.io.regular import read_regular, sha256_of, size_text
from faceptor.io.words import few, one_line
from faceptor.io.writing import write_whole
from faceptor.models.base import FaceModel
from faceptor.tasks import TaskSpec
from faceptor.weights.description import crops_in, plain, tasks_in
from faceptor.weights.loading import check_finite, check_fit, facts_of

FORMAT, KEY = 1, "faceptor_task"  # of the head's entry
LARGEST_PACK_BYTES = 4 << 30
FIELDS = {"task": dict, "base": str, "structure": dict, "crop": dict, "data": dict}
SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Pack:
    """A task by itself.

    tensors: what it owns, and `shared`, the names among them that replace weights of its base; structure: see
    `FaceModel.structure`; crop: as in a model folder; data: what taught it; sha256: of the file that it was read from.
    """

    spec: TaskSpec
    base: str
    tensors: dict[str, Tensor]
    structure: dict[str, Any]
    crop: dict[str, Any]
    data: dict[str, Any]
    shared: tuple[str, ...] = ()
    sha256: str = ""

    def facts(self) -> dict[str, Any]:
        """Plain data for a table."""
        own = {name: each for name, each in self.tensors.items() if name not in self.shared}
        changed = sum(self.tensors[name].numel() for name in self.shared)
        return task_facts(self.spec, own, self.crop, self.data) | {"shared_numbers": changed, "base": self.base}


def task_facts(
    spec: TaskSpec, own: Mapping[str, Tensor], crop: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """What `faceptor tasks list` says about a task."""
    return {
        "task": spec.name,
        "kind": spec.kind,
        "labels": len(spec.labels),
        "numbers": sum(tensor.numel() for tensor in own.values()),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in own.values()),
        "crop": {key: crop[key] for key in ("kind", "size", "warp") if key in crop},
        "generated": bool(data.get("generated")),
    }


def tasks_of_model(model: FaceModel) -> list[dict[str, Any]]:
    """A row for every task of a model."""
    data, base = model.provenance.get("data") or {}, base_hash(model)
    return [
        task_facts(spec, own_tensors(model, name)[0], model.crops.get(name) or {}, data.get(name) or {})
        | {"shared_numbers": 0, "base": base}
        for name, spec in model.tasks.items()
    ]


# --- files -----------------------------------------------------------------------------------------------------------


def take_out(model: FaceModel, task: str, *, base: FaceModel | None = None) -> Pack:
    """The pack of a model's task. base: the model that it is to be installed on, where that is not this one; what its
    shared weights differ in then goes into the pack."""
    spec = model.require_task(task)
    own, structure = own_tensors(model, task)
    changed = _changed(model, base) if base is not None else {}
    return Pack(
        spec=spec,
        base=base_hash(base if base is not None else model),
        tensors=own | changed,
        structure=structure,
        crop=model.crops.get(task) or {},
        data=(model.provenance.get("data") or {}).get(task) or {},
        shared=tuple(sorted(changed)),
    )


def _changed(model: FaceModel, base: FaceModel) -> dict[str, Tensor]:
    now, before = shared_tensors(model), shared_tensors(base)
    check_fit(facts_of(before), facts_of(now), origin="--base")
    return {name: tensor for name, tensor in now.items() if not same(tensor, before[name])}


def write_pack(pack: Pack, out: Path) -> Path:
    """Write a pack, whole or not at all; ConfigError for a name that does not end as safetensors files do."""
    if out.suffix != SUFFIX:
        raise ConfigError(f"--out {out}: expected a name in {SUFFIX}")
    facts = {
        "format": FORMAT,
        "task": pack.spec.to_dict(),
        "base": pack.base,
        "structure": pack.structure,
        "crop": pack.crop,
        "data": pack.data,
        "shared": list(pack.shared),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in pack.tensors.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    head = {KEY: json.dumps(plain(facts), sort_keys=True, allow_nan=False)}
    write_whole(out, bytes_of_tensors(tensors, metadata=head))
    return out


def read_pack(path: Path) -> Pack:
    """The pack in a file. Raises WeightsError, in a line, for what is no pack, damaged, or holds no finite numbers."""
    data = read_regular(path, largest=LARGEST_PACK_BYTES, error=WeightsError, remedy="give the path of a task pack")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(KEY, "null"))
        tensors = tensors_of_bytes(data)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable task pack ({one_line(error)})") from None
    _check(path, facts, tensors)
    (spec,) = tasks_in(path, [facts["task"]])
    crop = crops_in(path, {spec.name: facts["crop"]} if facts["crop"] else {}).get(spec.name, {})
    digest = sha256_of(path, largest=LARGEST_PACK_BYTES, error=WeightsError)
    return Pack(
        spec=spec, base=facts["base"], tensors=tensors, structure=facts["structure"], crop=crop, data=facts["data"],
        shared=tuple(facts["shared"]), sha256=digest,
    )  # fmt: skip


def is_pack(path: Path) -> bool:
    return path.suffix == SUFFIX


def _check(path: Path, facts: Any, tensors: Mapping[str, Tensor]) -> None:
    if not isinstance(facts, dict):
        raise WeightsError(f"{path}: no task pack; `faceptor tasks export` writes them")
    if facts.get("format") != FORMAT:
        raise WeightsError(f"{path}: format expected {FORMAT}, found {facts.get('format')!r}; export it anew")
    for key, kind in FIELDS.items():
        if not isinstance(facts.get(key), kind):
            raise WeightsError(f"{path}: {key}: missing or of another type; export it anew")
    shared = facts.get("shared")
    if not isinstance(shared, list) or not set(map(str, shared)) <= tensors.keys():
        raise WeightsError(f"{path}: shared: expected names of tensors in it; export it anew")
    check_finite(tensors, origin=str(path), remedy="export it anew")


# --- models with and without -----------------------------------------------------------------------------------------


def install(model: FaceModel, packs: Mapping[str, Pack], *, alone: bool = False) -> FaceModel:
    """A copy of a model that has the tasks of these packs, too; packs: name for messages -> pack.

    alone: leave the model's own tasks out, which a pack with shared weights demands. ConfigError for a pack of another
    base, a task that is there already, and packs that do not go together.
    """
    _check_together(model, packs, alone=alone)
    base = base_hash(model)
    for name, pack in packs.items():
        if pack.base != base:
            raise ConfigError(
                f"{name}: made for another base (expected {pack.base[:12]}, this model's is {base[:12]}): a task only "
                "answers on the shared weights it was taught on; use the model that it was made for"
            )
    grown = only(model, [] if alone else list(model.tasks))
    data = dict(grown.provenance.get("data") or {})
    grown.provenance = grown.provenance | {"data": {name: data[name] for name in data if name in grown.tasks}}
    for name, pack in packs.items():
        _add(grown, pack, name)
    return grown.eval()


def _check_together(model: FaceModel, packs: Mapping[str, Pack], *, alone: bool) -> None:
    for name, pack in packs.items():
        if not pack.shared:
            continue
        found = f"{name}: holds shared weights that its transfer changed ({len(pack.shared)} tensors)"
        if len(packs) > 1:
            raise ConfigError(f"{found}, on which other packs do not answer; add it by itself")
        if model.tasks and not alone:
            raise ConfigError(
                f"{found}, with which the model's other tasks ({few(model.tasks)}) would answer otherwise; "
                "--alone leaves them out"
            )


def _add(model: FaceModel, pack: Pack, name: str) -> None:
    task = pack.spec.name
    if task in model.tasks:
        raise ConfigError(f"{name}: {task}: the model has this task already; `faceptor tasks remove` takes it out")
    before = model.state_dict()
    try:
        with torch.random.fork_rng(devices=[]):
            model.add_task(pack.spec)
            model.apply_structure(pack.structure)
    except Exception as error:  # a description can ask for anything, and so fail in any way
        raise WeightsError(f"{name}: no task that this model can have ({type(error).__name__}: {error})") from None
    state = model.state_dict()
    new = {key: tensor for key, tensor in state.items() if key not in before or key in pack.shared}
    given = {key: tensor for key, tensor in pack.tensors.items() if key in new or key not in before}
    check_fit(facts_of(new), facts_of(given), origin=name)
    for key in pack.tensors.keys() - given.keys():  # a part that tasks of one kind share, as of Naive Faceptor
        if not same(pack.tensors[key], before[key]):
            raise ConfigError(f"{name}: {key}: differs from the model's, which its other tasks use; add it to the base")
    model.load_state_dict(state | given)
    model.crops = model.crops | ({task: pack.crop} if pack.crop else {})
    taught = (model.provenance.get("data") or {}) | ({task: pack.data} if pack.data else {})
    installed = (model.provenance.get("packs") or {}) | {task: {"sha256": pack.sha256, "base": pack.base}}
    model.provenance = model.provenance | {"data": taught, "packs": installed}


def without(model: FaceModel, task: str) -> FaceModel:
    """A copy of a model that has all tasks but one."""
    model.require_task(task)
    kept = [each for each in model.tasks if each != task]
    if not kept:
        raise ConfigError(f"{task}: the model's only task; a model without any answers nothing")
    rest = only(model, kept)
    for key in ("data", "packs"):
        if isinstance(entries := rest.provenance.get(key), dict):
            rest.provenance = rest.provenance | {key: {name: each for name, each in entries.items() if name != task}}
    return rest


def size_of(pack: Path) -> str:
    return size_text(pack.stat().st_size)
