"""Items made ahead of their use: in loader processes, batches of a training and faces of a test; in threads, samples
that are checked and photographs that are answered."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Protocol, TypeVar

from faceptor.errors import DataError, FaceptorError
from faceptor.io.processes import end_with_parent, keep_freed_memory

PREFETCHED = 2  # items that every process makes ahead
LOADER_ENDED = (
    "a loader process ended before it had handed over its batch, mostly killed for memory: lower data.workers in "
    "params.yaml, then run the same command again; it goes on from its last checkpoint"
)

Item, Result = TypeVar("Item"), TypeVar("Result")


class Items(Protocol):
    """What can be asked for its items by number, in any process."""

    def __getitem__(self, index: int, /) -> Any: ...


def made_ahead(items: Items, indices: Sequence[int], *, workers: int, pin: bool = False) -> Iterator[Any]:
    """Yield items[i] for every index, in order; with `workers` they are made ahead in as many processes.

    pin: what has tensors, or a method `pin_memory`, is put into memory from which a GPU copies on its own. A
    FaceptorError in a process arrives here as it was raised; that a process has ended comes as a
    DataError, or as the loader's own RuntimeError.
    """
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(
        _ErrorsHandedOver(items),  # type: ignore[arg-type]
        batch_size=None,
        sampler=indices,
        collate_fn=_as_it_is,
        num_workers=min(workers, len(indices)),
        prefetch_factor=PREFETCHED if workers and indices else None,
        worker_init_fn=partial(_prepare, os.getpid()),
        pin_memory=pin,
        generator=torch.Generator(),  # starting the loader must not draw from the model's random stream
    )
    for item in _received(loader):
        if isinstance(item, FaceptorError):
            raise item
        yield item


def computed_ahead(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """function(item) in order, computed for up to `ahead` items beyond the one that is asked for."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _prepare(parent: int, worker: int) -> None:
    """A loader process is one of many: it computes with one thread, and keeps the memory of the last image."""
    import cv2

    end_with_parent(parent=parent)
    cv2.setNumThreads(0)  # none beside this one; PyTorch's loader sets its own to one
    keep_freed_memory()


def _as_it_is(item: Any) -> Any:
    return item


def _received(loader) -> Iterator[Any]:
    """What the loader processes send. One that is killed while it hands a tensor over leaves one of these errors."""
    try:
        yield from loader
    except (EOFError, ConnectionError, FileNotFoundError, RuntimeError) as error:
        raised_by_an_item = str(error).startswith("Caught ")  # in a loader process, and sent here as it should be
        if raised_by_an_item or (isinstance(error, RuntimeError) and "ancdata" not in str(error)):
            raise
        raise DataError(f"{LOADER_ENDED} ({type(error).__name__})") from error


class _ErrorsHandedOver:
    """Items that hand their errors over; raised in a loader process, they would come back with its traceback."""

    def __init__(self, items: Items):
        self.items = items

    def __getitem__(self, index: int) -> Any:
        try:
            return self.items[index]
        except FaceptorError as error:
            return error
