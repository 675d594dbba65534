"""All ten kinds of task of FaceXFormer train on every structure, with the criteria and the optimiser of a run."""

import pytest
import torch

from faceptor.config import FaceptorConfig, FaceXFormerConfig, NaiveConfig
from faceptor.models.build import build_model
from faceptor.tasks import KINDS, task

TASKS = {  # one of each kind of the paper, age in both of its forms
    "parsing_lapa": {"mask": lambda n: torch.randint(11, (n, 32, 32))},
    "landmarks_300w": {"points": lambda n: torch.rand(n, 68, 2)},
    "pose_300wlp": {"rotation": lambda n: torch.linalg.qr(torch.randn(n, 3, 3)).Q},
    "attributes_celeba": {"attributes": lambda n: torch.randint(2, (n, 40))},
    "age_morph2": {"age": lambda n: torch.randint(16, 78, (n,)).float()},
    "agegroup_utkface": {"agegroup": lambda n: torch.randint(8, (n,))},
    "gender_utkface": {"gender": lambda n: torch.randint(2, (n,))},
    "race_utkface": {"race": lambda n: torch.randint(5, (n,))},
    "expression_rafdb": {"expression": lambda n: torch.randint(7, (n,))},
    "recognition_ms1mv3": {"identity": lambda n: torch.randint(6, (n,))},
    "visibility_cofw": {"visibility": lambda n: torch.randint(2, (n, 29))},
}
GROUP = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
INPUTS = {"dense": GROUP, "face": GROUP}
ENCODER = {"width": 16, "depth": 4, "heads": 2, "patch": 8, "grid": 4, "layers": (1, 2, 4), "extras": False}
DECODER = {"width": 16, "depth": 2, "heads": 2, "hidden": 32}
CONFIGS = {
    "faceptor": FaceptorConfig(encoder=ENCODER, decoder=DECODER, embedding=512, inputs=INPUTS),
    "naive": NaiveConfig(
        encoder=ENCODER,
        values={"layers": (2, 3, 4), "width": 8, "reduction": 2, "dropout": 0.0},
        maps={"layers": (1, 2, 3, 4), "width": 8},
        embedding=512,
        inputs=INPUTS,
    ),
    "facexformer": FaceXFormerConfig(
        backbone={"name": "convnext_atto", "options": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)}},
        decoder=DECODER,
        embedding=512,
        inputs=INPUTS,
    ),
}
# A constant added to all scores of a query, which softmax cancels: no gradient but rounding.
INERT = ("decoder.level", ".key.bias")


def test_these_are_the_ten():
    kinds = {task(name).kind for name in TASKS}
    assert kinds - {"agegroup"} == {
        "parsing", "landmarks", "pose", "attributes", "age", "gender", "race", "expression", "recognition",
        "visibility",
    }  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_of_all_kinds_reaches_every_parameter(name):
    torch.manual_seed(0)
    specs = [task(one) for one in TASKS]
    model = build_model(CONFIGS[name], specs).train()
    criteria = torch.nn.ModuleDict(
        {
            spec.name: KINDS[spec.kind].criterion(spec, **({"classes": 6} if spec.kind == "recognition" else {}))
            for spec in specs
        }
    )
    targets = {one: {label: draw(4) for label, draw in labels.items()} for one, labels in TASKS.items()}
    learning = [*model.parameters(), *criteria.parameters()]
    before = [parameter.detach().clone() for parameter in learning]
    optimiser = torch.optim.AdamW([p for p in learning if p.requires_grad], lr=1e-3)
    raw = model.forward_tasks({one: torch.rand(4, 3, 32, 32) for one in TASKS})
    losses = {one: criteria[one](raw[one], targets[one])["loss"] for one in TASKS}
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values()), losses
    sum(losses.values()).backward()
    named = [*model.named_parameters(), *criteria.named_parameters()]
    idle = [n for n, p in named if p.requires_grad and (p.grad is None or not p.grad.any()) and not n.endswith(INERT)]
    assert idle == []
    assert all(p.grad.isfinite().all() for p in learning if p.grad is not None)
    optimiser.step()
    still = [n for (n, p), old in zip(named, before, strict=True) if p.requires_grad and torch.equal(p, old)]
    assert [n for n in still if not n.endswith(INERT)] == []
