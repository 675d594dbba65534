"""What a training tells while it runs: lines on stderr, and every logged number to DVCLive."""

import sys
import time
from collections.abc import Mapping
from typing import Protocol

from faceptor.tasks.losses.across_processes import rank


class Live(Protocol):
    """The part of dvclive.Live that a training uses."""

    step: int

    def log_metric(self, name: str, val: float, /, *, timestamp: bool) -> None: ...

    def make_summary(self) -> None: ...


class Progress:
    """Of a run that begins at step `begin` of `steps`; made when its first step is about to be computed."""

    def __init__(self, *, begin: int, steps: int, live: Live | None):
        self.begin, self.steps, self.live, self.started = begin, steps, live, time.monotonic()

    def losses(self, step: int, row: Mapping[str, float]) -> None:
        """A line with the losses of the step that was just done, the pace and the time that is left."""
        pace = (time.monotonic() - self.started) / (step - self.begin)
        minutes, seconds = divmod(int(pace * (self.steps - step)), 60)
        terms = "  ".join(f"{k.removeprefix('loss/')} {v:.3f}" for k, v in row.items() if k.startswith("loss/"))
        say(f"step {step}/{self.steps}  {terms}  {pace:.2f} s/step  ETA {minutes}:{seconds:02d}")

    def report(self, *rows: Mapping[str, float]) -> None:
        """Hand rows of the history, {"step": ..., name: value}, to DVCLive."""
        if self.live is None:
            return
        for row in rows:
            self.live.step = int(row["step"])
            for name, value in row.items():
                if name != "step":
                    self.live.log_metric(name, value, timestamp=False)
            self.live.make_summary()


def say(line: str) -> None:
    """A line on stderr; of several processes, the first one speaks."""
    if rank() == 0:
        print(line, file=sys.stderr, flush=True)
