"""Parameters of a model: where they are, what a task costs, how they grow with tasks (paper Table 1, section 4.2).

Models are built on the meta device: shapes without memory, so that every preset is counted in a fraction of a second.
Units: M is 10^6 parameters, kB and MB are 10^3 and 10^6 bytes of float32 weights.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from faceptor.analysis import paper
from faceptor.analysis.configured import Configured
from faceptor.config import Params
from faceptor.models.base import FaceModel
from faceptor.models.build import build_model
from faceptor.models.layer_attention import MODES
from faceptor.tasks import KINDS, TaskSpec

BYTES = 4
# Parts of a model that count towards another component of the paper's section 4.2; all others go by their own names.
COMPONENT_OF = {
    **dict.fromkeys(("queries", "layer_attention", "position"), "decoder"),
    **dict.fromkeys(("outputs", ""), "rest"),
}
COMPONENTS = ("encoder", "backbone", "fusion", "decoder", "pixel_decoder", "tokens", "heads", "rest")
CATEGORIES = {"map": "dense", "value": "attribute", "vector": "identity"}  # output module -> the paper's word for it

# Finer than components; the first match wins. What matches nothing goes by the name of its module below the component:
# a head of Naive Faceptor by its kind, one of FaceXFormer by its tasks.
PARTS = {
    "encoder.patch_embed.*": "stem",
    "encoder.pos_embed": "position table",
    "encoder.blocks.*.attn.*": "self-attention",
    "encoder.blocks.*.norm1.*": "self-attention",
    "encoder.blocks.*": "feed-forward",
    "encoder.extras.*": "unused norm and projection of FaRL",
    "encoder.*": "class token, first norm",
    "decoder.layers.*.cross_*": "cross-attention",
    "decoder.layers.*.self_*": "self-attention",
    "decoder.layers.*.token_to_image*": "cross-attention",
    "decoder.layers.*.image_to_token*": "image to tokens",
    "decoder.layers.*": "feed-forward",
    "decoder.projection.*": "projection of encoder features",
    "decoder.level": "key vector of the top layer",
    "decoder.position.*": "position P of the keys",
    "queries.*": "queries of all tasks",
    "layer_attention.*": "Layer-Attention of all tasks",
    "pixel_decoder.skips.*": "skips from the stem",
    "pixel_decoder.mix.*": "skips from the stem",
    "pixel_decoder.*": "transposed convolutions",
    "outputs.identity.*": "identity output",
    "outputs.map.*": "map output",
    "outputs.value.*": "value output",
    "backbone.net.norm.*": "final norm, unused",
    "backbone.*": "all stages",
    "fusion.*": "projections of the levels and their sum",
    "decoder.*": "final attention",
    "tokens.*": "tokens of all tasks",
}


# --- models without weights -----------------------------------------------------------------------------------------


def meta_model(experiment: Configured, tasks: Sequence[str] | None = None) -> FaceModel:
    """The model of a configuration on the meta device; tasks: None means those of stage 1."""
    specs = experiment.joint_specs if tasks is None else list(experiment.specs_of(tasks).values())
    with torch.device("meta"):
        return build_model(experiment.params.model, specs)


def size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


# --- one model ------------------------------------------------------------------------------------------------------


def parts(model: nn.Module) -> dict[str, dict[str, int]]:
    """Component -> part -> parameters, in the order of the components; tied parameters count once."""
    found: dict[str, dict[str, int]] = {}
    for name, value in model.named_parameters():
        counts, part = found.setdefault(component_of(name), {}), _part(name)
        counts[part] = counts.get(part, 0) + value.numel()
    return {component: found[component] for component in sorted(found, key=place_of)}


def components(model: nn.Module) -> dict[str, int]:
    """Parameters by component."""
    return {component: sum(counts.values()) for component, counts in parts(model).items()}


def component_of(name: str) -> str:
    """The component of a parameter, or of a child of the model."""
    child = name.split(".")[0]
    return COMPONENT_OF.get(child, child)


def place_of(component: str) -> int:
    """Where a component stands in tables; one that is not among `COMPONENTS` comes last."""
    return COMPONENTS.index(component) if component in COMPONENTS else len(COMPONENTS)


def _part(name: str) -> str:
    below = name.split(".")[1] if "." in name else name
    return next((part for pattern, part in PARTS.items() if fnmatchcase(name, pattern)), below)


def by_category(heads: Mapping[str, int]) -> dict[str, list[int]]:
    """Sizes of the heads of a Naive Faceptor, given by kind, by the paper's categories."""
    sizes: dict[str, list[int]] = {category: [] for category in paper.NAIVE_HEAD_MILLIONS}
    for kind, count in heads.items():
        sizes[CATEGORIES[KINDS[kind].head]].append(count)
    return sizes


def identities(params: Params, spec: TaskSpec) -> int | None:
    """People in a recognition training set: as generated, or as published; None where neither is known."""
    drawn = params.synthesis.get(spec.dataset)
    return drawn.identities if drawn and drawn.identities else paper.IDENTITIES.get(spec.dataset)


def training_only(experiment: Configured) -> dict[str, int]:
    """Parameters of the losses (the classifier of recognition), which a trained model does not keep."""
    counts = {}
    for spec in experiment.joint_specs:
        kind = KINDS[spec.kind]
        numbers = {"classes": identities(experiment.params, spec)} if kind.identities else {}
        if None in numbers.values():
            continue  # it depends on data that is not here
        with torch.device("meta"):
            counts[spec.name] = size(kind.criterion(spec, **numbers).parameters())
    return {name: count for name, count in counts.items() if count}


def per_task(model: FaceModel) -> dict[str, dict[str, Any]]:
    """What each task owns: labels, queries N_t (0 without a query decoder), parameters and kilobytes that go with it,
    parameters that came with the first task of its kind; and what Layer-Attention would add in each mode (0 for a
    task without queries). In mode "released" the tasks of a run share theirs."""
    rows, owned = {}, ownership(model)
    asking = getattr(model, "queries", {})
    for name, spec in model.tasks.items():
        own = asking[name] if name in asking else None  # noqa: SIM401, a ModuleDict has no get
        content, position = (own.content.numel(), own.position.numel()) if own else (0, 0)
        row = {"kind": spec.kind, "labels": spec.queries, "queries": spec.queries if own else 0}
        row |= {"content": content, "position": position} | owned[name]
        row |= {f"level_{mode}": layer_attention_size(model, mode) if own else 0 for mode in MODES}
        in_bytes = {"kilobytes": "parameters"} | {f"kilobytes_level_{mode}": f"level_{mode}" for mode in MODES}
        rows[name] = row | {new: row[key] * BYTES / 1e3 for new, key in in_bytes.items()}
    return rows


def ownership(model: FaceModel) -> dict[str, dict[str, int]]:
    """Task -> parameters that go with it, and parameters that come with it where it is the first task of its kind."""
    without = functools.cache(lambda absent: size_without(model, absent))
    whole, owned = size(model.parameters()), {}
    for name, spec in model.tasks.items():
        kin = frozenset(other for other, known in model.tasks.items() if known.kind == spec.kind)
        owned[name] = {
            "parameters": whole - without(frozenset({name})),
            "with_kind": without(kin - {name}) - without(kin),
        }
    return owned


def size_without(model: FaceModel, tasks: Iterable[str]) -> int:
    """Parameters of a model that lacks these tasks.

    A copy loses them: it has module dictionaries of its own, where what belongs to tasks is kept, and shares the rest.
    """
    shared = [part for part in model.modules() if not any(isinstance(each, nn.ModuleDict) for each in part.modules())]
    scratch = copy.deepcopy(model, {id(part): part for part in (*shared, *model.parameters(), *model.buffers())})
    for name in tasks:
        scratch.remove_task(name)
    return size(scratch.parameters())


def layer_attention_size(model: FaceModel, mode: str) -> int:
    """Parameters that stage 2 trains for one task: L_t, and in mode "released" also new projections."""
    projection = model.decoder.projection
    sizes = {"layers": len(model.layers), "features": projection.in_channels, "dim": projection.out_channels}
    with torch.device("meta"):
        return size(MODES[mode](**sizes).parameters())


def summary(experiment: Configured, model: FaceModel | None = None) -> dict:
    """One configuration as plain data: components and their sum, finer parts, tasks, loss parameters.

    model: its `meta_model`, where there is one already.
    """
    model = model or meta_model(experiment)
    counts, tasks = components(model), per_task(model)
    asking = [row for row in tasks.values() if row["queries"]]
    shown = ("labels", "queries", "parameters", "kilobytes", "with_kind")
    return {
        "components": counts,
        "total": sum(counts.values()),
        "megabytes": sum(counts.values()) * BYTES / 1e6,
        "parts": parts(model),
        "tasks": {
            name: {key: row[key] for key in shown} | {"kilobytes_with_kind": row["with_kind"] * BYTES / 1e3}
            for name, row in tasks.items()
        },
        "layer_attention_per_task": {mode: max(row[f"level_{mode}"] for row in asking) for mode in MODES if asking},
        "training_only": training_only(experiment),
    }


# --- growth with tasks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Costs:
    """Parameters in the letters of Table 1: B backbone; O_t a head that a task has to itself (mean over tasks);
    O the decoders and output modules that all tasks share; Q_t the queries of a task (mean over tasks)."""

    backbone: float
    head: float
    shared: float
    queries: float


TUNED, NAIVE, FACEPTOR = paper.STORAGE
STORAGE: dict[str, Callable[[Costs, int], float]] = {
    TUNED: lambda cost, n: n * cost.backbone + n * cost.head,
    NAIVE: lambda cost, n: cost.backbone + n * cost.head,
    FACEPTOR: lambda cost, n: cost.backbone + cost.shared + n * cost.queries,
}
MIXES = {
    "all six kinds, in equal parts": tuple(paper.NAIVE_HEADS),
    "landmarks and parsing only": ("landmarks", "parsing"),
    "age, expression, attributes only": ("age", "expression", "attributes"),
    "recognition only": ("recognition",),
}


def costs(model: FaceModel, kinds: Sequence[str] = MIXES["all six kinds, in equal parts"]) -> Costs:
    """Costs of a mix of kinds: this model's own parts beside the heads of Naive Faceptor as released.

    A "task" is the paper's: all data sets of one kind that the model was built for, as one released head serves them.
    """
    return costs_of(model, [kinds])[0]


def costs_of(model: FaceModel, mixes: Iterable[Sequence[str]]) -> list[Costs]:
    """`costs` of several mixes of kinds."""
    own, count = ownership(model), components(model)
    queries: Counter[str] = Counter()
    for name, spec in model.tasks.items():
        queries[spec.kind] += own[name]["parameters"]
    return [
        Costs(
            backbone=count["encoder"],
            head=sum(paper.NAIVE_HEADS[kind] for kind in kinds) / len(kinds),
            shared=sum(count.values()) - count["encoder"] - queries.total(),
            queries=sum(queries[kind] for kind in kinds) / len(kinds),
        )
        for kinds in mixes
    ]


def break_even(cost: Costs) -> int | None:
    """The smallest number of tasks at which Faceptor is smaller than all-in-one; None if it never is."""
    saved = cost.head - cost.queries
    return int(cost.shared // saved) + 1 if saved > 0 else None
