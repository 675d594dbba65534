"""Several processes that train one model: torchrun starts them, each computes its share of every batch.

What comes out is what one process computes, but for the order in which sums are added: the samples of a step are dealt
out exactly (`faceptor.training.batches`), every loss is that of the whole batch
(`faceptor.tasks.losses.across_processes`), batch statistics are shared (`faceptor.training.batch_norm`), and gradients
are added up. Random layers (dropout, drop path) draw on every process for its own samples.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from faceptor.config import Stage
from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.processes import LOCAL_RANK, started_by_torchrun
from faceptor.models.base import FaceModel
from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.tasks.losses.class_centres import Rows
from faceptor.training.batch_norm import SHARED
from faceptor.training.batches import Batch, Steps

Losses = dict[str, dict[str, Tensor]]
"""Task -> {"loss": scalar, named parts ...}."""
TaskLosses = Callable[[FaceModel, nn.ModuleDict, Batch], Losses]

# A process waits as long for another, which may be validating a large task; one that died is noticed at once.
PATIENCE = timedelta(hours=2)
RESTARTS = "TORCHELASTIC_RESTART_COUNT"


def is_first() -> bool:
    """Whether this process is the one that speaks and writes."""
    return rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun started can send each other tensors; they leave together. Elsewhere nothing.

    Tensors on a CPU go through gloo, those on a GPU through NCCL.
    """
    if not started_by_torchrun() or dist.is_initialized():
        yield
        return
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if cards > (local := int(os.environ[LOCAL_RANK])):
        torch.cuda.set_device(local)
    store, place, count = next(dist.rendezvous("env://", timeout=PATIENCE))
    # torchrun gives restarted processes the store of those before them, where their addresses still stand
    store = dist.PrefixStore(f"attempt {os.environ.get(RESTARTS, 0)}", store)
    backend = "cpu:gloo,cuda:nccl" if cards else "gloo"
    dist.init_process_group(backend, store=store, rank=place, world_size=count, timeout=PATIENCE)
    yield
    agreed(False)  # nobody leaves before the first one has written what came out
    dist.destroy_process_group()  # after an error the others may wait for us: the process ends as it is


def agreed(wish: bool) -> bool:
    """True on every process if one of them says so."""
    if processes() == 1:
        return wish
    said = torch.tensor([int(wish)])
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said.item())


def told_to_all(value: Any) -> list[Any]:
    """What every process says, in the order of ranks."""
    found = [value] * processes()
    if processes() > 1:
        dist.all_gather_object(found, value)
    return found


def totals(found: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The logged numbers of a step: what the processes' shares of each loss add up to, the others as they are."""
    losses = [name for name in found if name.startswith("loss/")]
    if processes() > 1:
        shares = torch.stack([torch.as_tensor(found[name]).detach().double().cpu() for name in losses])
        dist.all_reduce(shares)
        found = {**found, **dict(zip(losses, shares.tolist(), strict=True))}
    return {name: float(value) for name, value in found.items()}


class Share(nn.Module):
    """A criterion whose numbers are weighted by the share of this process in the task's samples of a step."""

    def __init__(self, criterion: nn.Module, samples: int):
        super().__init__()
        self.criterion, self.samples = criterion, samples

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        if not len(raw) and not getattr(self.criterion, "across_processes", False):
            return {"loss": raw.sum()}  # 0, with a gradient of 0 for all that led here
        share = len(raw) / self.samples
        return {name: term * share for name, term in self.criterion(raw, target).items()}


class _Step(nn.Module):
    """Model and criteria as one module, whose gradients are added up over the processes."""

    def __init__(self, model: FaceModel, criteria: nn.ModuleDict, task_losses: TaskLosses):
        super().__init__()
        self.model, self.criteria, self.task_losses = model, criteria, task_losses

    def forward(self, batch: Batch) -> Losses:
        return self.task_losses(self.model, self.criteria, batch)


def shared_losses(
    model: FaceModel, criteria: nn.ModuleDict, steps: Steps, task_losses: TaskLosses
) -> Callable[[Batch], Losses]:
    """A batch -> its losses; here the shares of this process, which add up to those of all of them. Gradients are added
    up over the processes during the backward pass.

    task_losses: what one process does with the model, its criteria and a batch.
    """
    if processes() == 1:
        return lambda batch: task_losses(model, criteria, batch)
    _require_statistics(model, steps)
    shares = nn.ModuleDict({name: Share(c, steps.streams[name].samples) for name, c in criteria.items()})
    step = _Step(model, shares, task_losses)
    own = [name for name, parameter in step.named_parameters() if rows_here(parameter)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(step, own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `broadcast_buffers` has another name from torch 2.13 on
        parallel = DistributedDataParallel(
            step,
            broadcast_buffers=False,  # computed alike everywhere
            find_unused_parameters=True,  # of tasks that are not trained here: no gradient, as in one process
            gradient_as_bucket_view=True,
        )
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")  # of kernels: copied, no more
    parallel.register_comm_hook(None, _added_up)
    return parallel


def _added_up(_, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """The sum over processes, where DistributedDataParallel takes the mean by itself."""
    sending: dist.Work = dist.all_reduce(bucket.buffer(), async_op=True)  # pyright: ignore[reportAssignmentType]
    return sending.get_future().then(lambda sent: sent.value()[0])


def _require_statistics(model: FaceModel, steps: Steps) -> None:
    """A single sample has no batch statistics; of several processes none would notice by itself."""
    norms = [name for name, module in model.named_modules() if isinstance(module, tuple(SHARED))]
    for name, stream in steps.streams.items():
        seen = [norm for norm in norms if "identity" not in norm or model.head[name] == "vector"]
        if seen and stream.samples < 2:
            raise FaceptorError(f"{name}: one image has no batch statistics, expected samples of at least 2, found 1")


# --- parameters that are dealt over the processes --------------------------------------------------------------------


def rows_here(parameter: nn.Parameter) -> Rows | None:
    """The `Rows` of a parameter of which this process holds a part, None for one that all hold."""
    return getattr(parameter, "rows", None)


def whole_shape(parameter: nn.Parameter) -> list[int]:
    """Its shape on all processes together."""
    rows = rows_here(parameter)
    return [rows.total, *parameter.shape[1:]] if rows else list(parameter.shape)


def clip(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Clip the gradient to a norm of `limit`, and return its norm before; that over all processes."""
    own = [p.grad for p in parameters if p.grad is not None and rows_here(p)]
    if processes() == 1 or not any(rows_here(p) for p in parameters):
        return nn.utils.clip_grad_norm_(parameters, limit)
    shared = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None and not rows_here(p)])
    squares = nn.utils.get_total_norm(own).square().to(shared.device)
    dist.all_reduce(squares)
    norm = (shared.square() + squares).sqrt()
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def scaler_of(device: torch.device, *, enabled: bool, dealt: bool) -> torch.amp.GradScaler:
    """Of float16; where parameters are dealt over the processes, an overflow on one of them counts for all."""
    if not (enabled and dealt and processes() > 1):
        return torch.amp.GradScaler(device.type, enabled=enabled)
    from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

    return ShardedGradScaler(device.type, enabled=True)


def require_whole_batches(stage: Stage) -> None:
    """Several processes have each their share of a batch already, and add up gradients after every backward pass."""
    if stage.accumulate > 1 and processes() > 1:
        raise ConfigError(
            f"accumulate: expected 1 with {processes()} processes (train.processes), found {stage.accumulate}; use "
            "more processes, or checkpoint_activations"
        )


def require_whole_matrices(optimiser: torch.optim.Optimizer) -> None:
    """Muon orthogonalises whole matrices."""
    for group in optimiser.param_groups:
        if group.get("use_muon") and any(rows_here(p) for p in group["params"]):
            raise ConfigError(
                f"optimiser.muon: {group['name']!r} matches a classifier that is dealt over {processes()} processes, "
                "and Muon needs whole matrices; leave it to AdamW"
            )
