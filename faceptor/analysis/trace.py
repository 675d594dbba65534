"""What one call of a module costs: multiply-accumulates (MACs), bytes kept for backward, bytes alive at the worst.

Works on real tensors and on fake ones, which are shapes and storages without memory (`compute` uses those).

A MAC is one multiplication and its addition, 2 FLOPs. The formulas of `torch.utils.flop_counter` count matrix
products, convolutions and attention; norms, activations, softmax and resizing are left out, as is usual.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

FLOPS_PER_MAC = 2


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, *_, **__) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


# The CPU's fused attention is the one such kernel that the registry does not know.
FORMULAS = flop_registry | {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention}
FUSED_ATTENTION = {operation for operation in FORMULAS if "attention" in str(operation)}


@dataclass(frozen=True)
class Cost:
    """Of one call. macs, saved: MACs and bytes kept for backward, by component (by module in `trace`);
    peak: bytes of activations alive at the worst moment (0 where it was not asked for); attention: MACs of fused
    attention, which are among `macs`, and which many tools do not see."""

    macs: dict[str, int]
    saved: dict[str, int]
    peak: int = 0
    attention: int = 0


class Kept:
    """The storage of a tensor that autograd keeps; it goes when its node of the graph goes.

    Not the tensor itself: it may know the node that keeps it, and neither would ever go.
    """

    def __init__(self, tensor: Tensor):
        self.storage = tensor.untyped_storage()

    def give_back(self) -> Tensor:
        raise NotImplementedError("this graph was made for counting, it has no backward pass")


def trace(model: nn.Module, *inputs, below: str = "", work: bool = True) -> Cost:
    """MACs of one call, and bytes that it keeps for backward, by the innermost module in which they come up; bytes
    alive at the worst, the inputs among them.

    Storages count once and the model's own tensors not at all. Names are relative to the submodule `below`, "" is
    that module itself. Works on real and on fake tensors, not in inference mode; with gradients off, nothing is kept.
    work: without it only what is kept is found, which takes half as long.
    """
    own = {id_of(tensor) for tensor in (*model.parameters(), *model.buffers())}
    kept: weakref.WeakKeyDictionary[Kept, str] = weakref.WeakKeyDictionary()
    running = Running(model.get_submodule(below))
    operations = Operations(at=running)
    operations.note(inputs)

    def pack(tensor: Tensor) -> Kept:
        holder = Kept(tensor)
        kept[holder] = running.innermost
        return holder

    with running, operations if work else nullcontext(), saved_tensors_hooks(pack, Kept.give_back):
        outputs = model(*inputs)  # keeps the graph until the count below is done
    storages: dict[int, tuple[str, int]] = {}
    for holder, module in kept.items():
        if holder.storage._cdata not in own:
            storages.setdefault(holder.storage._cdata, (module, holder.storage.nbytes()))
    del outputs
    macs = {module: count // FLOPS_PER_MAC for module, count in operations.flops.items()}
    attention = operations.attention // FLOPS_PER_MAC
    peak = operations.most if work else 0
    return Cost(macs=macs, saved=totals(storages.values()), peak=peak, attention=attention)


class Running:
    """Which module is at work: its name below `root`, "" for the root itself and for all that is outside of it."""

    def __init__(self, root: nn.Module):
        self.names = {module: name for name, module in root.named_modules()}
        self.open = [""]

    @property
    def innermost(self) -> str:
        return self.open[-1]

    def __enter__(self) -> Running:
        enter = register_module_forward_pre_hook(lambda module, _: self.open.append(self.names.get(module, "")))
        leave = register_module_forward_hook(lambda *_: self._leave(), always_call=True)
        self.hooks = (enter, leave)
        return self

    def _leave(self) -> None:  # a hook that returns something would replace the module's answer
        self.open.pop()

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()


class Operations(TorchDispatchMode):
    """Follows operations: FLOPs by the module `at` work, bytes alive of the storages that they make, and the most
    there have been."""

    def __init__(self, *, at: Running | None = None):
        super().__init__()
        self.at = at
        self.flops: Counter[str] = Counter()
        self.attention = 0
        self.known: weakref.WeakSet = weakref.WeakSet()
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        answer = func(*args, **kwargs)
        if func is torch.ops.prim.device.default:  # fake tensors ask for it at every turn
            return answer
        if (formula := FORMULAS.get(func.overloadpacket)) is not None:
            flops = formula(*args, **kwargs, out_val=answer)
            self.flops[self.at.innermost if self.at else ""] += flops
            self.attention += flops if func.overloadpacket in FUSED_ATTENTION else 0
        given = {id_of(tensor) for tensor in tensors_in((args, kwargs))}
        self.note(tensor for tensor in tensors_in(answer) if id_of(tensor) not in given)  # a view is no new memory
        return answer

    def note(self, tensors: Iterable) -> None:
        """Count the storages of these from now on, for as long as they live."""
        for tensor in tensors_in(tuple(tensors)):
            storage = tensor.untyped_storage()
            if storage not in self.known:
                self.known.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, count: int) -> None:
        self.now -= count


def tensors_in(tree) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def totals(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for name, count in counts:
        totals[name] += count
    return dict(totals)


def id_of(tensor: Tensor) -> int:
    """The same number for all tensors that share a storage."""
    return tensor.untyped_storage()._cdata
