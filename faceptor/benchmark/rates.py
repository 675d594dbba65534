"""(b) FLOP/s of a model and its parts over those of this machine's own best matrix product, measured in turns.

A multiplication with its addition is two FLOPs; products, convolutions and attention are counted (torch's
`FlopCounterMode`), nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from faceptor.analysis.trace import CPU_ATTENTION
from faceptor.benchmark.bench import Bench, Found
from faceptor.benchmark.subjects import Asked, Run, in_turn, model_of, part_calls, specs_of
from faceptor.benchmark.timing import Estimate, Times
from faceptor.predict.engine import PRECISIONS

SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # of the square matrices
TOY_SIDES = (64, 128)
MULTIPLY_ADD = 2  # FLOPs


def rates(bench: Bench) -> Found:
    """Encoder, decoder and the whole model, about one face (on a GPU also about 128)."""
    found = Found()
    name, experiment = bench.main
    model = model_of(experiment, specs_of(name, experiment), bench.device)
    for batch in (1, 128) if bench.device.type == "cuda" and not bench.quick else (1,):
        asked = Asked.of(model, batch=batch)
        for precision in bench.precisions:
            subjects = products(bench, precision)
            flops = flops_of_products(subjects)
            parts: dict[str, Run] = {"whole": partial(asked.together, precision)}
            parts |= {part: in_turn(calls) for part, calls in part_calls(asked, precision).items()}
            flops |= {part: counted(run) for part, run in parts.items()}
            times = bench.compare(f"{name}, batch {batch}, {precision}", subjects | parts)
            _report(found, name, batch, precision, times, flops, parts=tuple(parts))
    return found


def products(bench: Bench, precision: str) -> dict[str, Run]:
    """Products of square matrices of several sizes."""
    sides = TOY_SIDES if bench.quick else SIDES.get(bench.device.type, SIDES["cpu"])
    subjects: dict[str, Run] = {}
    for side in sides:
        matrices = [torch.rand(side, side, device=bench.device).to(PRECISIONS[precision]) for _ in range(2)]
        subjects[f"matrix product {side}"] = partial(torch.mm, *matrices)
    return subjects


def flops_of_products(subjects: Iterable[str]) -> dict[str, int]:
    """FLOPs of each of `products`."""
    return {name: MULTIPLY_ADD * int(name.rsplit(" ")[-1]) ** 3 for name in subjects}


def counted(run: Callable[[], object]) -> int:
    """FLOPs of one call."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    return counter.get_total_flops()


def best_rate(times: Times, flops: dict[str, int]) -> list[float]:
    """FLOP/s of the best matrix product in every round."""
    names = [name for name in times.seconds if name.startswith("matrix product")]
    by_round = zip(*(times.seconds[name] for name in names), strict=True)
    return [max(flops[name] / each for name, each in zip(names, row, strict=True)) for row in by_round]


def _report(
    found: Found, name: str, batch: int, precision: str, times: Times, flops: dict[str, int], *, parts: tuple[str, ...]
) -> None:
    best = best_rate(times, flops)
    found.row(subject="matrix product", precision=precision, batch=batch, flops_per_second=Estimate.of(best))
    for part in parts:
        share = [flops[part] / each / top for each, top in zip(times.seconds[part], best, strict=True)]
        found.row(
            subject=f"{name}: {part}", precision=precision, batch=batch, seconds=times.of(part), flops=flops[part],
            flops_per_second=times.rate(part, flops[part]), share=Estimate.of(share),
        )  # fmt: skip
        found.ratio(f"{name}, batch {batch}, {precision}: {part} / matrix product", Estimate.of(share))
