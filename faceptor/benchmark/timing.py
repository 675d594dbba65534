"""Times of several things, taken in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, comb
from statistics import median

from torch.utils.benchmark import timer  # waits for the GPU, where there is one

SHORTEST = 0.02  # seconds that a measurement takes at least: what is faster is called several times
MOST_CALLS = 200  # in one measurement
FEWEST_ROUNDS = 3  # unless they would take twice as long as is allowed
COVERAGE = 0.95  # of an interval, where the number of rounds allows it (six and more)
WARM_UPS = {"cpu": 1, "cuda": 3}


@dataclass(frozen=True)
class Estimate:
    """A median with its interval: 95 % and free of any distribution from six rounds on, before that from the lowest to
    the highest."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        ordered = sorted(values)
        out = dropped(len(ordered))
        return cls(median(ordered), ordered[out], ordered[len(ordered) - 1 - out], len(ordered))

    def to_json(self) -> dict[str, float]:
        return {
            "median": rounded(self.median), "low": rounded(self.low), "high": rounded(self.high), "rounds": self.rounds,
        }  # fmt: skip


def dropped(count: int) -> int:
    """How many of `count` ordered values may be left out at either end of a 95 % interval of their median."""
    tails = accumulate(comb(count, place) / 2**count for place in range(count // 2))
    return max(0, sum(2 * tail <= 1 - COVERAGE for tail in tails) - 1)


def rounded(value: float) -> float:
    """Four significant digits: more are noise, and would change with every run."""
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class Times:
    """Seconds of every subject by round; the same place is the same round."""

    seconds: Mapping[str, Sequence[float]]

    def of(self, name: str) -> Estimate:
        """Seconds of one subject."""
        return Estimate.of(self.seconds[name])

    def rate(self, name: str, amount: float) -> Estimate:
        """`amount` by second."""
        return Estimate.of([amount / each for each in self.seconds[name]])

    def ratio(self, first: str, second: str) -> Estimate:
        """How many times as long the first takes as the second, by rounds."""
        pairs = zip(self.seconds[first], self.seconds[second], strict=True)
        return Estimate.of([one / other for one, other in pairs])


def paired(subjects: Mapping[str, Callable[[], object]], *, rounds: int, seconds: float, device: str = "cpu") -> Times:
    """Call every subject once a round, each round beginning with another one, after calls that are not counted.

    rounds: how many at most; seconds: no round begins that would probably end later, but three are done, or one where
    three would take twice as long as that.
    """
    calls, warm = {}, 0.0
    for name, run in subjects.items():
        calls[name], took = _calls(run, warm_ups=WARM_UPS.get(device, 1))
        warm += max(took, SHORTEST)
    fewest = 1 if seconds and FEWEST_ROUNDS * warm > 2 * seconds else FEWEST_ROUNDS
    found: dict[str, list[float]] = {name: [] for name in subjects}
    names, began = list(subjects), timer()
    for number in range(max(rounds, fewest)):
        started = timer()
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(_timed(subjects[name], calls[name]))
        now = timer()
        if number + 1 >= fewest and now - began + (now - started) > seconds:
            break
    return Times(found)


def _calls(run: Callable[[], object], *, warm_ups: int) -> tuple[int, float]:
    """How often a subject is called in one measurement, from a last call that is not counted, and what that took."""
    for _ in range(warm_ups - 1):
        run()
    took = _timed(run, 1)
    return min(MOST_CALLS, ceil(SHORTEST / max(took, SHORTEST / MOST_CALLS))), took


def _timed(run: Callable[[], object], calls: int) -> float:
    began = timer()
    for _ in range(calls):
        run()
    return (timer() - began) / calls
