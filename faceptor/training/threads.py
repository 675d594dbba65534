"""A fixed number of threads, so that sums are added up in the same order whichever command starts the work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside, whatever OMP_NUM_THREADS, MKL_NUM_THREADS or the number of cores say.

    A tensor's sum on a CPU depends in its last bits on how many threads share it, and training carries that on.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
