"""Work beside the page: one thing at a time, and of several that wait only the last."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

Wish = TypeVar("Wish")


class Latest(Generic[Wish]):
    """Calls `work` with the latest wish, in a thread that ends when nothing is wanted any more.

    A control that is dragged asks faster than can be answered; what was asked in between is left out.
    """

    def __init__(self, work: Callable[[Wish], None]):
        self._work, self._lock = work, Lock()
        self._waiting: list[Wish] = []
        self._thread: Thread | None = None

    def ask(self, wish: Wish) -> None:
        """Returns at once."""
        with self._lock:
            self._waiting = [wish]
            if self._thread is None:
                self._thread = Thread(target=self._run, daemon=True)
                self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether something newer is wanted than what is being worked on."""
        return bool(self._waiting)

    def finish(self) -> None:
        """Wait until nothing is wanted any more."""
        while (thread := self._thread) is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                wish = self._waiting.pop()
            self._work(wish)
