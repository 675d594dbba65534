"""Toy trainings of all three models, with every kind of task, by one process or by several that gloo connects."""

from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import set_forkserver_preload
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import distributed as dist
from torch import multiprocessing, nn

from faceptor.config import Optimiser, Stage, rates
from faceptor.models.build import build_model
from faceptor.tasks import KINDS, task
from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.training.batch_norm import shared_statistics
from faceptor.training.batches import dealt
from faceptor.training.distributed import clip, shared_losses
from faceptor.training.loop import Run, train
from faceptor.training.step import task_losses, weighted_mean
from tests.models.test_ten_kinds import CONFIGS, TASKS

IDENTITIES = 11  # uneven on two and on three processes
CRITERIA = {"parsing_lapa": {"loss": "batch_dice_ce"}, "recognition_ms1mv3": {}}
SIDE = 32


def samples(model: str) -> dict[str, int]:
    """n_t: three on two processes; one for some tasks, so that a process has none; Naive needs two, for its norms."""
    few = 2 if model == "naive" else 1
    return {name: few if place % 3 == 1 else 3 for place, name in enumerate(TASKS)}


@dataclass
class Batches:
    """Random batches, of which each process takes its share."""

    counts: dict[str, int]
    steps: int

    def __post_init__(self):
        self.streams = {n: SimpleNamespace(samples=count, spec=task(n)) for n, count in self.counts.items()}

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        shares = dealt({n: (SIDE, count) for n, count in self.counts.items()}, rank=rank(), world=processes())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step)
            whole = {
                name: {"image": torch.rand(count, 3, SIDE, SIDE)}
                | {key: draw(count) for key, draw in TASKS[name].items()}
                for name, count in self.counts.items()
            }
        own = {name: slice(share.start, share.stop) for name, share in shares.items()}
        return {name: {key: value[own[name]] for key, value in items.items()} for name, items in whole.items()}


def parts(name: str):
    """A model and its criteria, the class centres dealt where there are several processes."""
    torch.manual_seed(0)
    model = build_model(CONFIGS[name], [task(each) for each in TASKS]).train()
    criteria = nn.ModuleDict()
    for each in TASKS:
        kind, numbers = KINDS[task(each).kind], CRITERIA.get(each, {})
        if kind.identities:
            numbers = numbers | {"classes": IDENTITIES}
        criteria[each] = kind.criterion(task(each), **numbers)
        if kind.identities and processes() > 1:
            torch.manual_seed(1)
            criteria[each].deal(rank(), processes())
        elif kind.identities:
            torch.manual_seed(1)
            criteria[each].reset_parameters()
    for module in model.modules():  # what is drawn at random is drawn for the own samples
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        elif hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    return model, criteria


def gradients(name: str) -> dict:
    """Losses and gradients of one batch, and the norm that all of them have."""
    model, criteria = parts(name)
    batches = Batches(samples(name), 1)
    weights = {each: 1.0 + place for place, each in enumerate(TASKS)}
    with shared_statistics(model):
        losses_of = shared_losses(model, criteria, batches, task_losses)
        losses = losses_of(batches[0])
        total = weighted_mean(losses, weights)
        total.backward()
    named = dict(model.named_parameters()) | {f"criteria.{n}": p for n, p in criteria.named_parameters()}
    found = {n: p.grad.clone() for n, p in named.items() if p.grad is not None}
    norm = clip([p for p in named.values() if p.requires_grad], 1e9)
    told = {each: float(terms["loss"].detach()) for each, terms in losses.items()}
    return {"losses": told, "gradients": found, "norm": float(norm), "buffers": dict(model.named_buffers())}


def trained(name: str, folder: Path, *, steps: int = 3, end: int | None = None):
    """Train to step `steps`; to `end` of them only, as a run that is stopped there."""
    model, criteria = parts(name)
    settings = Stage(
        steps=steps, optimiser=Optimiser(lr=1e-3, multipliers=rates({"*": 1.0}), warmup=1, clip=1.0),
        log_every=1, validate_every=2, checkpoint_every=1,
    )  # fmt: skip
    rows: list[dict] = []

    class Live:
        step = 0

        def log_metric(self, name, value, timestamp):
            rows.append({"step": self.step, "name": name, "value": value})

        def make_summary(self):
            if self.step - 1 == end:  # the checkpoint of step `end` is on disk, that of this one not yet
                raise KeyboardInterrupt

    run = Run(folder, {"toy": name}, seed=7, device=torch.device("cpu"), live=Live())
    weights = {each: 1.0 + place for place, each in enumerate(TASKS)}
    with suppress(KeyboardInterrupt):
        train(
            model, criteria, Batches(samples(name), steps), stage=settings, weights=weights, trainable=("*",),
            run=run, validate=lambda model: (0.0, {}),
        )  # fmt: skip
    tensors = {n: v.clone() for n, v in model.state_dict().items()}
    tensors |= {f"criteria.{n}": v.clone() for n, v in criteria.state_dict().items()}
    return {"rows": rows, "tensors": tensors}


def together(world: int, folder: Path, calls) -> list[list]:
    """What each of `world` processes returns from each call (function of this module's name, arguments)."""
    folder.mkdir(parents=True, exist_ok=True)
    set_forkserver_preload([__name__])  # so that torch is imported once for all of them
    arguments = (world, str(folder), calls)
    multiprocessing.start_processes(_member, arguments, nprocs=world, start_method="forkserver")
    return [torch.load(folder / f"{place}.pt", weights_only=False) for place in range(world)]


def _member(place: int, world: int, folder: str, calls) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=place, world_size=world)
    found = [globals()[name](*arguments, **options) for name, arguments, options in calls]
    torch.save(found, Path(folder) / f"{place}.pt")
    dist.destroy_process_group()
