"""What every section of `faceptor bench` is given, and the form of what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from faceptor.benchmark.subjects import Run
from faceptor.benchmark.timing import Estimate, Times, paired
from faceptor.pipeline import experiment
from faceptor.pipeline.experiment import Experiment

MAIN = "base"  # the preset that the sections beside `latency` measure, unless others are named
WITHOUT_BFLOAT16 = ("DEFAULT", "AVX2")  # as torch calls what a CPU can do
SMALL = "embedded"  # the preset of toy size
PRESETS = ("base", "naive", "facexformer", "full", "embedded")  # `open` has the model of `base` and fewer tasks


@dataclass(frozen=True)
class Bench:
    """How a section measures.

    presets: named by the user; none = what the section measures by default. rounds, seconds: of every comparison, see
    `timing.paired`. quick: toy sizes, which test the program and say nothing of a machine. compiled: through
    torch.compile, too.
    """

    device: torch.device
    presets: tuple[str, ...] = ()
    rounds: int = 7
    seconds: float = 45.0
    quick: bool = False
    compiled: bool = False
    say: Callable[[str], object] = print

    def experiments(self, default: tuple[str, ...]) -> dict[str, Experiment]:
        """Configurations to measure, by name."""
        return {name: experiment.preset(name) for name in self.presets or ((SMALL,) if self.quick else default)}

    @cached_property
    def main(self) -> tuple[str, Experiment]:
        """The one configuration of a section that measures one."""
        return next(iter(self.experiments((MAIN,)).items()))

    @property
    def precisions(self) -> tuple[str, ...]:
        """What is measured. A CPU without kernels for bfloat16 (AVX2 alone) is a hundred times slower in it."""
        if self.device.type == "cuda":
            return ("fp32", "bf16", "fp16")
        has_kernels = torch.backends.cpu.get_cpu_capability() not in WITHOUT_BFLOAT16
        return ("fp32", "bf16") if has_kernels else ("fp32",)

    @property
    def reduced(self) -> str:
        """bf16 where the machine has it."""
        return "bf16" if "bf16" in self.precisions else "fp32"

    def compare(self, what: str, subjects: Mapping[str, Run]) -> Times:
        """Times of all subjects, in turns; says what is measured, and what came out."""
        self.say(f"{what}: {', '.join(subjects)}")
        times = paired(subjects, rounds=self.rounds, seconds=self.seconds, device=self.device.type)
        told = ", ".join(f"{name} {1e3 * times.of(name).median:.4g} ms" for name in subjects)
        self.say(f"  {told}  ({times.of(next(iter(subjects))).rounds} rounds)")
        return times


@dataclass
class Found:
    """What a section found. rows: {"subject", ..., "seconds": estimate}; ratios: name -> estimate; facts: plain."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, dict] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self, **values: Any) -> None:
        plain = {name: value.to_json() for name, value in values.items() if isinstance(value, Estimate)}
        self.rows.append(values | plain)

    def ratio(self, name: str, value: Estimate) -> None:
        self.ratios[name] = value.to_json()

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "ratios": self.ratios, "facts": self.facts}
