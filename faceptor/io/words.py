"""Many names, and errors of libraries, in one line."""

from collections.abc import Callable, Iterable
from typing import Any


def few(names: Iterable[Any], most: int = 4, *, between: str = ", ", said: Callable[[Any], str] = str) -> str:
    """The first `most` names, each as `said` words it, and how many more there are: "a, b, and 3 more"."""
    names = list(names)
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return between.join([*map(said, names[:most]), *more])


def one_line(error: Exception) -> str:
    """An error of a library in one line that is not empty."""
    return " ".join(str(error).split())[:200] or type(error).__name__
