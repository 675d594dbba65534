"""Validation by several processes: each judges whole tasks, so that every number is that of one process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from faceptor.models.base import FaceModel
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
    """A model -> its score, the mean skill of the tasks of `select`, and the metrics of all tasks, on every process.

    own: the same of the tasks that this process judges, None where it judges none.
    """

    own: Callable[[FaceModel], tuple[float, Metrics]] | None
    tasks: Sequence[str]
    select: Sequence[str]

    def __call__(self, model: FaceModel) -> tuple[float, Metrics]:
        of_all = told_to_all(self.own(model)[1] if self.own else {})
        told = {name: found for each in of_all for name, found in each.items()}
        found = {name: told[name] for name in self.tasks}
        return sum(found[name]["skill"] for name in self.select) / len(self.select), found
