"""A toy experiment for tests: three tasks on noise images, a Faceptor of a few thousand parameters."""

import numpy as np
import torch

from faceptor.config import Crop, FaceptorConfig, Optimiser, Stage, TaskSettings, rates
from faceptor.models.build import build_model
from faceptor.tasks import KINDS, task
from faceptor.training.batches import ImageCache, Steps, TaskStream
from faceptor.training.loop import Run, train
from faceptor.training.record import stage_facts
from faceptor.transforms.augment import make_policy
from faceptor.transforms.crop import CropSpec

STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
MODEL = FaceptorConfig.model_validate(
    {
        "encoder": {
            "width": 16, "depth": 6, "heads": 2, "patch": 16, "grid": 4, "layers": [1, 2, 3, 4, 5, 6],
            "stem": "patch", "drop_path": 0.1, "extras": False,
        },
        "decoder": {"width": 16, "depth": 2, "heads": 2, "hidden": 32},
        "inputs": {"dense": {"size": 32, **STATISTICS}, "face": {"size": 32, **STATISTICS}},
    }
)  # fmt: skip
TASKS = ("landmarks_300w", "age_morph2", "expression_rafdb")


class FakeSplit:
    """Noise with consistent labels; `column` as prepared splits have it."""

    def __init__(self, seed: int, size: int = 12):
        rng = np.random.default_rng(seed)
        self.samples = [
            {
                "key": str(i), "size": (40, 36), "image": rng.integers(0, 256, (40, 36, 3), dtype=np.uint8),
                "landmarks": rng.uniform(5, 30, (68, 2)).astype(np.float32),
                "box": np.array([2, 2, 34, 38], np.float32), "points5": None,
                "age": float(rng.integers(16, 78)), "expression": int(rng.integers(7)), "subsets": (),
            }
            for i in range(size)
        ]  # fmt: skip

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


OPTIMISER = Optimiser(lr=1e-3, multipliers=rates({"*": 1.0}), muon=rates({"encoder.blocks.*": 2.0}), warmup=2)


def stage(steps: int, **changes) -> Stage:
    settings = {"steps": steps, "optimiser": OPTIMISER, "log_every": 2}
    return Stage(**(settings | {"validate_every": 4, "checkpoint_every": 1} | changes))


def sampling(samples: int = 3) -> dict:
    weights = zip(TASKS, (10, 1, 2), strict=True)
    return {name: TaskSettings(samples=samples, weight=weight, train=Crop(kind="box")) for name, weight in weights}


def weights() -> dict:
    return {name: each.weight for name, each in sampling().items()}


def steps(count: int, *, samples: int = 3, rank: int = 0, world: int = 1) -> Steps:
    streams = {
        name: TaskStream(
            spec=task(name), split=FakeSplit(i), crop=CropSpec(kind="box", size=32, scale=0.8),
            policy=make_policy("landmarks" if i == 0 else "flip"), samples=samples, seed=7, cache=ImageCache(2**20),
        )
        for i, name in enumerate(TASKS)
    }  # fmt: skip
    return Steps(streams, steps=count, rank=rank, world=world)


def model_and_criteria():
    torch.manual_seed(3)
    model = build_model(MODEL, [task(name) for name in TASKS])
    return model, torch.nn.ModuleDict({name: KINDS[task(name).kind].criterion(task(name)) for name in TASKS})


def score(model) -> tuple[float, dict]:
    """Any deterministic function of the weights will do as validation."""
    return -float(sum(p.detach().double().square().sum() for p in model.parameters())), {}


def run(
    folder, *, count=10, validate=score, live=None, trainable=("*",), record=None, seed=7, workers=0, parts=None,
    batches=None, **changes,
):  # fmt: skip
    model, criteria = parts or model_and_criteria()
    settings = stage(count, **changes)
    record = stage_facts(settings, sampling(), section="stage1") | (record or {})
    where = Run(folder, record, seed=seed, device=torch.device("cpu"), live=live, workers=workers)
    outcome = train(
        model, criteria, batches or steps(count), stage=settings, weights=weights(), trainable=trainable, run=where,
        validate=validate,
    )  # fmt: skip
    return model, criteria, outcome
