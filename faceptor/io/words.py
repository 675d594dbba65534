"""Many names in one line."""

from collections.abc import Iterable


def few(names: Iterable[str], most: int = 4, *, between: str = ", ") -> str:
    """The first `most` names, and how many more there are: "a, b, and 3 more"."""
    names = list(names)
    return between.join([*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])])
