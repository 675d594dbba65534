"""How a training stops when it is asked to: after the step that it is in, with a checkpoint on disk."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from faceptor.errors import FaceptorError


class Interrupted(FaceptorError):
    """The run was asked to stop; its checkpoint is on disk."""

    def __init__(self, step: int, steps: int):
        outputs = ", or `git restore dvc.lock results && dvc checkout` for the outputs from before, which DVC removed"
        super().__init__(
            f"stopped at step {step} of {steps}; run the same command to go on"
            + (outputs if "DVC_STAGE" in os.environ else "")
        )


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C let the current step finish and its checkpoint be written; the list is filled once asked."""
    asked: list[int] = []
    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, lambda n, _: asked.append(n))
    except ValueError:
        pass  # not the main thread: whoever runs us there handles signals
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
