"""That nothing infinite or undefined reaches the weights, without a step waiting for the device."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from faceptor.errors import FaceptorError

Terms = Mapping[str, Mapping[str, Tensor]]
"""Task -> name of a part of its loss -> scalar."""

REMEDY = "lower optimiser.lr or check the labels"


class FiniteWatch:
    """Looks at the losses and the gradient of every step.

    On a CPU it looks at once: the step fails before the weights move. Looking at a number on a GPU would wait for all
    the work before it, so there a flag stays on the device, the optimiser is told to leave the weights alone where it
    is up, and `require` reads it: when numbers are logged, before a validation and before a checkpoint.
    """

    def __init__(self, device: torch.device, *, begin: int = 0, at_once: bool | None = None):
        """begin: the first step that is looked at, from 0."""
        self.at_once = device.type == "cpu" if at_once is None else at_once
        self.begin = begin
        self.names: list[str] = []
        self.failed: Tensor | None = None  # bool, on the device; stays True
        self.count: Tensor  # steps so far that were not
        self.values: Tensor  # of the last step, or of the first that failed: terms, their mean, the gradient's norm

    def losses(self, total: Tensor, terms: Terms, step: int) -> None:
        """Before the backward pass."""
        if self.at_once and not torch.isfinite(total):
            raise FaceptorError(_bad_loss(step, {name: value.item() for name, value in _flat(terms).items()}))

    def gradient(self, norm: Tensor, total: Tensor, terms: Terms) -> Tensor:
        """After the backward pass, where it is not looked at at once: a flag on the device, True where this step must
        leave the weights alone. norm: of the gradient. Numbers are written in place, so that a graph can do it."""
        named = _flat(terms)
        values = torch.stack([*(value.detach().float() for value in named.values()), total.detach().float(), norm])
        failed = values.isfinite().all().logical_not()
        if self.failed is None:
            self.names, self.failed, self.values = list(named), failed.clone(), values
            self.count = failed.logical_not().long()
        else:
            self.values.copy_(torch.where(self.failed, self.values, values))
            self.failed.logical_or_(failed)
            self.count.add_(self.failed.logical_not())
        return failed

    def require(self) -> None:
        """Wait for the steps so far. Raises FaceptorError, naming the step, if one of them was not finite."""
        if self.failed is None or not self.failed.item():
            return
        *terms, total, _ = self.values.tolist()
        step, named = self.begin + int(self.count.item()), dict(zip(self.names, terms, strict=True))
        finite = all(math.isfinite(value) for value in (*terms, total))
        raise FaceptorError(bad_gradient(step) if finite else _bad_loss(step, named))


def guarded_step(optimiser: torch.optim.Optimizer, failed: Tensor) -> None:
    """A step of the optimiser that lets nothing infinite or undefined into the weights where `failed`, a flag on the
    device, is up.

    A fused optimiser skips such a step whole, as it does for a GradScaler. Any other is given a gradient of 0.
    """
    if getattr(optimiser, "_step_supports_amp_scaling", False):
        optimiser.found_inf = failed.float()  # pyright: ignore[reportAttributeAccessIssue]
        try:
            optimiser.step()
        finally:
            del optimiser.found_inf  # pyright: ignore[reportAttributeAccessIssue]
        return
    for parameter in parameters_of(optimiser):
        if parameter.grad is not None:
            parameter.grad = parameter.grad.masked_fill(failed, 0.0)
    optimiser.step()


def parameters_of(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def bad_gradient(step: int) -> str:
    return f"step {step}: the gradient is not finite; {REMEDY}"


def _bad_loss(step: int, terms: Mapping[str, float]) -> str:
    listed = "; ".join(f"{name}={value:.4g}" for name, value in terms.items())
    return f"step {step}: the loss is not finite ({listed}); {REMEDY}"


def _flat(terms: Terms) -> dict[str, Tensor]:
    return {f"{task}.{name}": value for task, parts in terms.items() for name, value in parts.items()}
