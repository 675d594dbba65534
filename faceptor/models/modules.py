"""torch's containers, which here say what they hold: type checkers follow, and so do readers."""

from collections.abc import ItemsView, Iterable, Iterator, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class ModuleDict(nn.ModuleDict, Generic[M]):
    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> M: ...
        def __setitem__(self, key: str, module: M) -> None: ...
        def pop(self, key: str) -> M: ...
        def items(self) -> ItemsView[str, M]: ...
        def values(self) -> ValuesView[M]: ...


class ModuleList(nn.ModuleList, Generic[M]):
    if TYPE_CHECKING:

        def __init__(self, modules: Iterable[M]) -> None: ...
        def __getitem__(self, index: int) -> M: ...
        def __iter__(self) -> Iterator[M]: ...


def freeze(module: nn.Module) -> None:
    """Parameters that nothing reads: no `trainable` pattern of a training makes them learn."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.frozen = True  # pyright: ignore[reportAttributeAccessIssue]
