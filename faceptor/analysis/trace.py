"""What one call of a module costs: multiply-accumulates (MACs), bytes kept for backward, bytes alive at the worst.

Works on real tensors and on fake ones, which are shapes and storages without memory (`compute` uses those).

A MAC is one multiplication and its addition, 2 FLOPs. `torch.utils.flop_counter` counts matrix products, convolutions
and attention; norms, activations, softmax and resizing are left out, as is usual.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count
from torch.utils.module_tracker import ModuleTracker

FLOPS_PER_MAC = 2


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, *_, **__) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


# The CPU's fused attention is the one such kernel that the counter does not know.
FORMULAS = flop_registry | {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention}


@dataclass(frozen=True)
class Cost:
    """Of one call. macs, saved: MACs and bytes kept for backward, by component (by module in `trace`);
    peak: bytes of activations alive at the worst moment (0 where it was not asked for)."""

    macs: dict[str, int]
    saved: dict[str, int]
    peak: int = 0


class Kept:
    """The storage of a tensor that autograd keeps; it goes when its node of the graph goes.

    Not the tensor itself: it may know the node that keeps it, and neither would ever go.
    """

    def __init__(self, tensor: Tensor):
        self.storage = tensor.untyped_storage()

    def give_back(self) -> Tensor:
        raise NotImplementedError("this graph was made for counting, it has no backward pass")


def trace(model: nn.Module, *inputs, below: str = "", work: bool = True) -> Cost:
    """MACs of one call, and bytes that it keeps for backward, by the innermost module in which they come up.

    Storages count once and the model's own tensors not at all. Names are relative to the submodule `below`, "" is
    that module itself. Works on real and on fake tensors; with gradients off, nothing is kept.
    """
    own = {id_of(tensor) for tensor in (*model.parameters(), *model.buffers())}
    flops: Counter[str] = Counter()
    kept: weakref.WeakKeyDictionary[Kept, str] = weakref.WeakKeyDictionary()
    root = ".".join(filter(None, (type(model).__name__, below)))

    def here() -> str:
        name = max(tracker.parents, key=len)
        return name.removeprefix(root).removeprefix(".") if name.startswith(root) else ""

    def noting(formula: Callable[..., int]) -> Callable[..., int]:
        def count(*args, **kwargs) -> int:
            found = formula(*args, **kwargs)
            flops[here()] += found
            return found

        count._get_raw = True  # tensors, not their shapes: the formulas of the registry take tensors
        return count

    def pack(tensor: Tensor) -> Kept:
        holder = Kept(tensor)
        kept[holder] = here()
        return holder

    counter = FlopCounterMode(display=False, custom_mapping={op: noting(formula) for op, formula in FORMULAS.items()})
    tracker = counter.mod_tracker if work else ModuleTracker()
    with counter if work else tracker, saved_tensors_hooks(pack, Kept.give_back):
        outputs = model(*inputs)  # keeps the graph until the count below is done
    storages: dict[int, tuple[str, int]] = {}
    for holder, module in kept.items():
        if holder.storage._cdata not in own:
            storages.setdefault(holder.storage._cdata, (module, holder.storage.nbytes()))
    del outputs
    macs = {module: count // FLOPS_PER_MAC for module, count in flops.items()}
    return Cost(macs=macs, saved=totals(storages.values()))


def totals(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for name, count in counts:
        totals[name] += count
    return dict(totals)


def id_of(tensor: Tensor) -> int:
    """The same number for all tensors that share a storage."""
    return tensor.untyped_storage()._cdata


class AliveBytes(TorchDispatchMode):
    """Follows the storages that operations make: how many bytes are alive, and the most there have been."""

    def __init__(self):
        super().__init__()
        self.known: weakref.WeakSet = weakref.WeakSet()
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id_of(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        answer = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(answer):
            if isinstance(tensor, Tensor) and id_of(tensor) not in given:  # a view of a weight is no new memory
                self._note(tensor.untyped_storage())
        return answer

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage not in self.known:
            self.known.add(storage)
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, count: int) -> None:
        self.now -= count
