"""(b) FLOP/s of a model and its parts over those of this machine's own best matrix product, measured in turns.

A multiplication with its addition is two FLOPs; products, convolutions and attention are counted (torch's
`FlopCounterMode`), nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
PRODUCT = "matrix product "  # and the side, as the subjects are called
MULTIPLY_ADD = 2  # FLOPs


def rates(bench: Bench) -> Found:
    """Encoder, decoder and the whole model, about one face (on a GPU also about 128)."""
    found = Found()
    name, experiment = bench.main
    model = model_of(experiment, specs_of(name, experiment), bench.device)
    for batch in (1, 128) if bench.device.type == "cuda" and not bench.quick else (1,):
        asked = Asked.of(model, batch=batch)
        for precision in bench.precisions:
            parts: dict[str, Run] = {"whole": partial(asked.together, precision)}
            parts |= {part: in_turn(calls) for part, calls in part_calls(asked, precision).items()}
            flops = {part: counted(run) for part, run in parts.items()}
            times = bench.compare(f"{name}, batch {batch}, {precision}", products(bench, precision) | parts)
            _report(found, name, batch, precision, times, flops)
    return found


def products(bench: Bench, precision: str) -> dict[str, Run]:
    """Products of square matrices of several sizes."""
    sides = TOY_SIDES if bench.quick else SIDES.get(bench.device.type, SIDES["cpu"])
    subjects: dict[str, Run] = {}
    for side in sides:
        matrices = [torch.rand(side, side, device=bench.device).to(PRECISIONS[precision]) for _ in range(2)]
        subjects[f"{PRODUCT}{side}"] = partial(torch.mm, *matrices)
    return subjects


def counted(run: Callable[[], object]) -> int:
    """FLOPs of one call."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        run()
    return counter.get_total_flops()


def best_rate(times: Times) -> list[float]:
    """FLOP/s of the best of `products` in every round."""
    sides = {name: int(name.removeprefix(PRODUCT)) for name in times.seconds if name.startswith(PRODUCT)}
    rates = [[MULTIPLY_ADD * side**3 / each for each in times.seconds[name]] for name, side in sides.items()]
    return [max(row) for row in zip(*rates, strict=True)]


def share_of_best(times: Times, subject: str, flops: int) -> Estimate:
    """FLOP/s of a subject over those of the best of `products`, by rounds."""
    rounds = zip(times.seconds[subject], best_rate(times), strict=True)
    return Estimate.of([flops / each / top for each, top in rounds])


def _report(found: Found, name: str, batch: int, precision: str, times: Times, flops: Mapping[str, int]) -> None:
    best = Estimate.of(best_rate(times))
    found.row(subject="matrix product", precision=precision, batch=batch, flops_per_second=best)
    for part, count in flops.items():
        share = share_of_best(times, part, count)
        found.row(
            subject=f"{name}: {part}", precision=precision, batch=batch, seconds=times.of(part), flops=count,
            flops_per_second=times.rate(part, count), share=share,
        )  # fmt: skip
        found.ratio(f"{name}, batch {batch}, {precision}: {part} / matrix product", share)
