"""What `faceptor bench` should find: figures that this project aims at, and which machine each is for.

`one by one` stands for the papers' code: it answers each task with an encoder pass of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

FEWEST_ROUNDS = 3  # that a verdict needs


@dataclass(frozen=True)
class Target:
    """section, ratio: where the value stands; bound: what it should be, at least or at most; gpu: which machines."""

    says: str
    section: str
    ratio: str
    bound: float
    at_least: bool
    gpu: bool = False

    def value(self, measured: Mapping[str, Any]) -> Mapping[str, float] | None:
        """The estimate in the measurements of one machine; None where it was not measured."""
        return measured["sections"].get(self.section, {}).get("ratios", {}).get(self.ratio)

    def verdict(self, measured: Mapping[str, Any]) -> str:
        """One of "reached", "not reached" and "not measured"; "within the spread" where the interval holds the bound,
        "too few rounds" where there is hardly an interval."""
        found = self.value(measured)
        if found is None:
            return "not measured"
        if found["rounds"] < FEWEST_ROUNDS and not self.gpu:
            return "too few rounds"
        if found["low"] <= self.bound <= found["high"] and found["low"] < found["high"]:
            return "within the spread"
        return "reached" if (found["median"] >= self.bound) == self.at_least else "not reached"


_least, _most = partial(Target, at_least=True), partial(Target, at_least=False)
BOTH = "base, batch 1, one by one in fp32 / together in bf16"
TARGETS = (
    _least("one face, all tasks together, fp32", "latency", "base, batch 1, fp32: one by one / together", 2.0),
    _least("one face, all tasks together in bf16 against one by one in fp32", "latency", BOTH, 3.5),
    _least("encoder against the matrix product, fp32", "rates", "base, batch 1, fp32: encoder / matrix product", 0.75),
    _least("encoder against the matrix product, bf16", "rates", "base, batch 1, bf16: encoder / matrix product", 0.75),
    _most("24 tasks against 6", "growth", "base: 24 tasks / 6 tasks", 1.15),
    _most("Layer-Attention `paper` on / off, 512 px", "growth", "base, 512 px: Layer-Attention paper / off", 1.10),
    _most("Layer-Attention `released` on / off, 512 px", "growth", "base, 512 px: Layer-Attention released / off",
          1.10),
    _least("packed decoder against a pass for each task, one training step", "steps",
           "base, step: task by task / packed decoder", 1.0),
    _most("predict of a photograph of 12 megapixels against its network", "photo", "base: predict / its own network",
          1.5),
    _most("one face, bf16, compiled, ms", "gpu", "one face, compiled, bf16, ms", 6.0, gpu=True),
    _least("faces a second, bf16, batch 128", "gpu", "faces a second, bf16, batch 128", 1300.0, gpu=True),
    _most("base training step with the loader attached, ms", "gpu", "training step, ms", 120.0, gpu=True),
    _least("GPU busy in the training loop, share", "gpu", "GPU busy, share", 0.9, gpu=True),
    _least("training step against the matrix product", "gpu", "step / matrix product", 0.2, gpu=True),
)  # fmt: skip


def targets_of(measured: Mapping[str, Any]) -> list[Target]:
    """The targets for a machine of this sort."""
    return [each for each in TARGETS if each.gpu == ("gpu" in measured["machine"])]
