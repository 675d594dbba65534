"""Models small enough to test in milliseconds, with real tasks of every kind."""

import torch

from faceptor.config import FaceptorConfig
from faceptor.models.build import build_model
from faceptor.tasks import task

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
OTHER = {"mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28)}
TASKS = (
    "landmarks_aflw19",
    "parsing_lapa",
    "age_morph2",
    "expression_rafdb",
    "attributes_celeba",
    "recognition_ms1mv3",
)
QUERIED = TASKS[:-1]


def toy_config(*, encoder=(), decoder=(), dense=HALF, face=HALF, skips=False):
    sizes = {"width": 32, "depth": 4, "heads": 2, "patch": 8, "grid": 4, "layers": (1, 2, 4), "drop_path": 0.0}
    return FaceptorConfig(
        encoder=sizes | {"extras": False} | dict(encoder),
        decoder={"width": 16, "depth": 2, "heads": 2, "hidden": 32} | dict(decoder),
        skips=skips,
        embedding=12,
        inputs={"dense": {"size": 32, **dense}, "face": {"size": 32, **face}},
    )


def toy_model(*, tasks=TASKS, seed=0, dtype=torch.float32, **config):
    torch.manual_seed(seed)
    return build_model(toy_config(**config), [task(name) for name in tasks]).to(dtype).eval()


def normalised(model):
    """A model that takes images as they are: what is recorded, or what formulas take, is normalised already."""
    for group in model.inputs.values():
        group.statistics = ((0.0,) * 3, (1.0,) * 3)
        group.mean.zero_()
        group.std.fill_(1.0)
    return model
