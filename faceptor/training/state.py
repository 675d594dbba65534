"""What training changes step by step: all that a checkpoint holds beside the record of its run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.errors import FaceptorError
from faceptor.models.base import FaceModel
from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.training.checkpoint import damaged, random_state, restore_random_state, resumable, save_atomic
from faceptor.training.distributed import told_to_all
from faceptor.training.record import Record
from faceptor.training.sharded_state import ROWS, put_back, remove_others, taken_out, write_rows

Metrics = Mapping[str, Mapping[str, float]]
"""Task -> metric -> value."""


SEEDS_APART = 1_000_003  # between the random streams of neighbouring processes


@dataclass(frozen=True)
class Best:
    """The validation with the highest score so far, and the weights that it judged."""

    step: int
    score: float
    metrics: Metrics
    weights: dict[str, Tensor]


@dataclass
class TrainState:
    """Everything that one more step changes. `step`: how many are done; `history`: the rows logged so far."""

    model: FaceModel
    criteria: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [p for p in (*self.model.parameters(), *self.criteria.parameters()) if p.requires_grad]

    def parts(self) -> dict[str, Any]:
        """What has a state of its own."""
        return {"model": self.model, "criteria": self.criteria, "optimiser": self.optimiser, "scaler": self.scaler}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain data, random state included."""
        state = {name: part.state_dict() for name, part in self.parts().items()}
        best = vars(self.best) if self.best else None
        own = random_state()
        state |= {"step": self.step, "best": best, "history": self.history, "random": own}
        return state if processes() == 1 else state | {"random of processes": told_to_all(own)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`: the next step is the one that would have followed."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step, self.history = state["step"], state["history"]
        self.best = Best(**state["best"]) if state["best"] else None
        streams = state.get("random of processes", [state["random"]])
        if rank() < len(streams):
            restore_random_state(streams[rank()])
        else:  # more processes than before: the new ones have streams of their own
            seed_process(self.step)

    def save(self, path: Path, record: Record) -> None:
        """Write the checkpoint of the run with this record: every process its own rows, the first one all the rest.
        Raises WriteError; the old file stays then."""
        state = self.state_dict() | {"record": record}
        if processes() > 1 and (parts := taken_out(state, self.criteria, self.optimiser)):
            state[ROWS] = write_rows(parts, path.parent / f"{ROWS}-{self.step}")
        if rank() == 0:
            save_atomic(state, path)
            remove_others(path.parent, state.get(ROWS, {}).get("folder"))

    def resume(self, path: Path, record: Record) -> bool:
        """Go on from the checkpoint, if there is one and the same record shaped it. Raises WeightsError if damaged."""
        saved = resumable(path, record)
        if saved is None:
            return False
        try:
            put_back(saved, path.parent, self.criteria, self.optimiser)
            self.load_state_dict(saved)
        except Exception as error:  # every kind of part has its own complaints
            reason = str(error).splitlines()[0]
            raise damaged(path, f"damaged checkpoint ({type(error).__name__}: {reason})") from error
        return True

    def keep_if_best(self, score: float, metrics: Metrics) -> Best:
        """Take over the result of a validation; the best one so far. Raises FaceptorError for a score that is no
        number."""
        _require_score(score, metrics, self.step)
        if self.best is None or score > self.best.score:
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = Best(self.step, score, metrics, weights)
        return self.best

    def restore_best(self) -> None:
        """Give the model its weights of the best validation; where nothing was validated, it keeps the last ones."""
        if self.best is not None:
            self.model.load_state_dict(self.best.weights)


def seed_process(seed: int) -> None:
    """The random numbers of this process begin anew; each process of a run has its own, the first one those of a
    process alone."""
    torch.manual_seed(seed + rank() * SEEDS_APART)


def _require_score(score: float, metrics: Metrics, step: int) -> None:
    if not math.isfinite(score):
        values = {f"{task}.{name}": value for task, found in metrics.items() for name, value in found.items()}
        bad = ", ".join(name for name, value in values.items() if not math.isfinite(value)) or "score"
        raise FaceptorError(
            f"step {step}: validation gives no finite number ({bad}); check the validation samples, or let other tasks "
            "choose the step (`select`)"
        )
