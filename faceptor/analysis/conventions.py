"""Which way of counting gives the GFLOPs that FaceXFormer prints: 167 for Faceptor, 114 for itself (section 5.3).

The paper states neither input size nor tasks nor what a FLOP is. Every plain combination is counted here: which tasks,
in how many calls, at which size, fused attention counted or not (tools that follow modules or traced operations do not
see it), multiply-accumulates or FLOPs, two to each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product

from faceptor.analysis import paper
from faceptor.analysis.budget import meta_model
from faceptor.analysis.compute import answering, fake, input_size
from faceptor.analysis.configured import Configured
from faceptor.analysis.trace import FLOPS_PER_MAC
from faceptor.models.base import FaceModel

SIZES = (None, 224, 512)  # pixels of all inputs; None = each task at its own size
ONE_OF_A_KIND = ("landmarks_300w", "parsing_celebamaskhq", "age_morph2", "expression_rafdb", "attributes_celeba",
                 "recognition_ms1mv3")  # fmt: skip
SCRIPT_CALLS = 6  # FaceXFormer's inference script asks for one group of tasks after another, and computes all each time

# Size, kinds and numbers of labels of the tasks of a call -> its MACs, and those of fused attention among them.
Known = dict[tuple, tuple[int, int]]


@dataclass(frozen=True)
class Count:
    """One way of counting. giga: 10^9 operations; reproduces: whether this rounds to what is printed."""

    model: str
    tasks: str
    calls: str
    size: str
    attention: bool
    unit: str
    giga: float
    printed: int

    @property
    def reproduces(self) -> bool:
        return round(self.giga) == self.printed

    def as_dict(self) -> dict:
        return asdict(self) | {"reproduces": self.reproduces}


def all_counts(base: Configured, facexformer: Configured) -> list[Count]:
    """Every combination for Faceptor-Base and FaceXFormer, the latter as its paper says and as released."""
    released = facexformer.with_model(facexformer.params.model.model_copy(update={"variant": "released"}))
    return [
        *faceptor_counts("base", base),
        *facexformer_counts("facexformer, paper", facexformer, None),
        *facexformer_counts("facexformer, released", released, paper.FACEXFORMER_TASKS),
    ]


def nearest(counts: Sequence[Count], model: str, *, most: int) -> list[Count]:
    """The counts of a model (a prefix of its name) that come nearest to what is printed."""
    mine = [count for count in counts if count.model.startswith(model)]
    return sorted(mine, key=lambda count: abs(count.giga - count.printed))[:most]


def faceptor_counts(preset: str, experiment: Configured) -> Iterator[Count]:
    """Of a preset of Faceptor: one task of each kind, or all data sets; a call per task, or per input size."""
    known: Known = {}
    with fake(meta_model(experiment)) as model:
        groups = {f"{len(model.tasks)} data sets": list(model.tasks), "six tasks": list(ONE_OF_A_KIND)}
        for (label, tasks), size in product(groups.items(), SIZES):
            plans = {"a call per task": [[task] for task in tasks], "a call per size": by_size(model, tasks)}
            for calls, planned in plans.items():
                yield from _counted(model, preset, label, calls, size, planned, repeat=1, known=known)


def facexformer_counts(name: str, experiment: Configured, tasks: Sequence[str] | None) -> Iterator[Count]:
    """Of FaceXFormer, which computes everything in each call: once, as often as its script calls, once per task."""
    known: Known = {}
    with fake(meta_model(experiment, tasks)) as model:
        every = list(model.tasks)
        label = f"{len(every)} label sets"
        repeats = {"one call": 1, "six calls, as its script": SCRIPT_CALLS, "a call per task": len(every)}
        for calls, repeat in repeats.items():
            yield from _counted(model, name, label, calls, None, [every], repeat=repeat, known=known)


def by_size(model: FaceModel, tasks: Sequence[str]) -> list[list[str]]:
    """Tasks that share an input group, which one call answers."""
    groups: dict[str, list[str]] = {}
    for task in tasks:
        groups.setdefault(model.group[task], []).append(task)
    return list(groups.values())


def _counted(
    model: FaceModel, name: str, tasks: str, calls: str, size: int | None, planned: list[list[str]], *, repeat: int,
    known: Known,
) -> Iterator[Count]:  # fmt: skip
    macs = attention = 0
    for asked in planned:
        side = size or input_size(model, asked[0])
        alike = (side, *((model.tasks[task].kind, model.tasks[task].queries) for task in asked))
        if alike not in known:
            cost = answering(model, asked, size=side)
            known[alike] = sum(cost.macs.values()), cost.attention
        macs, attention = macs + known[alike][0], attention + known[alike][1]
    printed = paper.GFLOPS[name.split(",")[0]]
    for counted, unit in product((True, False), ("MAC", "FLOP")):
        giga = repeat * (macs if counted else macs - attention) * (FLOPS_PER_MAC if unit == "FLOP" else 1) / 1e9
        yield Count(name, tasks, calls, f"{size} px" if size else "own px", counted, unit, round(giga, 3), printed)
