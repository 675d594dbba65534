"""Work beside the page: one thing at a time, and of several that wait only the last."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Wish = TypeVar("Wish")


class Latest(Generic[Wish]):
    """Calls `work` with the latest wish, in a thread of its own.

    A control that is dragged asks faster than can be answered; what was asked in between is left out.
    """

    def __init__(self, work: Callable[[Wish], None]):
        self._work, self._thread = work, ThreadPoolExecutor(1)
        self._last: Future | None = None

    def ask(self, wish: Wish) -> None:
        """Returns at once."""
        if self._last is not None:
            self._last.cancel()  # unless it is being worked on, or done
        self._last = self._thread.submit(self._work, wish)

    @property
    def waiting(self) -> bool:
        """Whether something newer is wanted than what is being worked on."""
        return self._last is not None and not (self._last.running() or self._last.done())

    def finish(self) -> None:
        """Wait until nothing is wanted any more."""
        while self._last is not None and not self._last.done():
            wait([self._last])
