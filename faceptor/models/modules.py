"""torch's containers, which here say what they hold: type checkers follow, and so do readers."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Sequence, ValuesView
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


class SharedModules(ModuleDict[M]):
    """Modules under the names of the tasks that share them, "task" or "task+task"."""

    def key(self, task: str) -> str:
        """The name of a task's module, empty where it has none."""
        return next((key for key in self if task in key.split("+")), "")

    def join(self, task: str, others: Sequence[str], make: Callable[[], M]) -> None:
        """Let a task share the module that these others share, or make one for it where there are none."""
        if others:
            key = self.key(others[0])
            self[f"{key}+{task}"] = self.pop(key)
        else:
            self[task] = make()

    def leave(self, task: str) -> None:
        """Take a task out, if it has a module; one without tasks goes."""
        if key := self.key(task):
            module = self.pop(key)
            if others := [other for other in key.split("+") if other != task]:
                self["+".join(others)] = module


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
