"""Validation by several processes: each judges whole tasks, so that every number is that of one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from faceptor.evaluation.measure import Validator
from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.training.distributed import told_to_all
from faceptor.training.state import Metrics


def dealt_tasks(costs: Mapping[str, float]) -> list[str]:
    """The tasks that this process validates, in their order: the costliest first, each goes to the process that has
    the least to do so far."""
    loads: list[float] = [0.0] * processes()
    own = set()
    for name in sorted(costs, key=lambda name: -costs[name]):
        place = loads.index(min(loads))
        loads[place] += costs[name]
        if place == rank():
            own.add(name)
    return [name for name in costs if name in own]


@dataclass(frozen=True)
class DealtValidation:
    """A model -> its score and the metrics of all tasks, on every process. validator: of the own tasks, maybe none."""

    validator: Validator
    tasks: Sequence[str]
    select: Sequence[str]

    def __call__(self, model: nn.Module) -> tuple[float, Metrics]:
        own = self.validator(model)[1] if self.validator.specs else {}
        told = {name: found for each in told_to_all(own) for name, found in each.items()}
        found = {name: told[name] for name in self.tasks}
        return sum(found[name]["skill"] for name in self.select) / len(self.select), found
