"""torch's containers of modules, which also say what they hold."""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Held = TypeVar("Held", bound=nn.Module)


class ModuleDictOf(nn.ModuleDict, Generic[Held]):
    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> Held: ...
        def items(self) -> ItemsView[str, Held]: ...
        def values(self) -> ValuesView[Held]: ...
        def pop(self, key: str) -> Held: ...


class ModuleListOf(nn.ModuleList, Generic[Held]):
    if TYPE_CHECKING:

        def __getitem__(self, idx: int) -> Held: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        def __iter__(self) -> Iterator[Held]: ...
