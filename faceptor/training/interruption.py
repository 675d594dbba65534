"""How a training stops when it is asked to: after the step that it is in, with a checkpoint on disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from faceptor.errors import FaceptorError
from faceptor.io.processes import stop_signals


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
    with stop_signals(lambda number, _: asked.append(number)):
        yield asked
