"""What one call of a module costs: multiply-accumulates (MACs), bytes kept for backward, bytes alive at the worst.

Works on real tensors and on fake ones, which are shapes and storages without memory (`compute` uses those).

A MAC is one multiplication and its addition, 2 FLOPs. `torch.utils.flop_counter` counts matrix products, convolutions
and attention; norms, activations, softmax and resizing are left out, as is usual. Names are those of the model's
immediate children, "" is what it does outside of them.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, UntypedStorage, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

FLOPS_PER_MAC = 2


@dataclass(frozen=True)
class Cost:
    """Of one call. macs, saved: MACs, and bytes kept for backward, by name; peak: bytes of activations alive at the
    worst moment; attention: MACs of fused attention, which are among `macs`, and which many tools do not see."""

    macs: dict[str, int] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    attention: int = 0


def _attention_flops(query: tuple, key: tuple, value: tuple, *_, **__) -> int:
    """From shapes (B, heads, tokens, dim): the scores, and the mean of the values."""
    batch, heads, queries, dim = query
    return FLOPS_PER_MAC * batch * heads * queries * key[-2] * (dim + value[-1])


# The CPU's fused attention is the one such kernel that torch's counter does not know.
CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


def work(model: nn.Module, *inputs, training: bool = False, call: Callable | None = None) -> Cost:
    """MACs of one call, and the most bytes alive while it runs, the inputs among them; `training`: also what the call
    keeps for backward (`kept`), which then is alive, too. call: a method of the model, None for the model itself."""
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    flops: Counter[str] = Counter()

    def attribute() -> None:
        """What the last operation took, to the child at work: some are called outside of their parents' forward."""
        if new := counter.get_total_flops() - flops.total():
            flops[names[-1]] += new

    saved = {}
    with (
        torch.set_grad_enabled(training),
        running(model) as names,
        counter,
        Alive(inputs, after_each=attribute) as alive,
    ):
        if training:
            saved = kept(model, *inputs, call=call)
        else:
            (call or model)(*inputs)
    macs = {name: count // FLOPS_PER_MAC for name, count in flops.items()}
    counts = counter.get_flop_counts()
    fused = sum(count for operation, count in counts["Global"].items() if "attention" in str(operation))
    return Cost(macs=macs, saved=saved, peak=alive.most, attention=fused // FLOPS_PER_MAC)


def kept(model: nn.Module, *inputs, call: Callable | None = None) -> dict[str, int]:
    """Bytes that one call keeps for backward. Storages count once and the model's own tensors not at all; with
    gradients off, or in inference mode, nothing is kept."""
    own = {tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())}
    holders: weakref.WeakKeyDictionary[Kept, str] = weakref.WeakKeyDictionary()
    with running(model) as names:

        def pack(tensor: Tensor) -> Kept:
            holder = Kept(tensor)
            holders[holder] = names[-1]
            return holder

        with saved_tensors_hooks(pack, Kept.give_back):
            outputs = (call or model)(*inputs)  # keeps the graph until the count below is done
    first: dict[UntypedStorage, str] = {}
    for holder, name in holders.items():
        first.setdefault(holder.storage, name)
    del outputs
    return totals((name, storage.nbytes()) for storage, name in first.items() if storage not in own)


class Kept:
    """The storage of a tensor that autograd keeps; it goes when its node of the graph goes.

    Not the tensor itself: it may know the node that keeps it, and neither would ever go.
    """

    def __init__(self, tensor: Tensor):
        self.storage = tensor.untyped_storage()

    def give_back(self) -> Tensor:
        raise NotImplementedError("this graph was made for counting, it has no backward pass")


@contextmanager
def running(model: nn.Module) -> Iterator[list[str]]:
    """The names of the children at work, the innermost last, "" before all."""
    names = [""]
    hooks = []
    for name, child in model.named_children():
        for module in child.modules():
            hooks.append(module.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
            hooks.append(module.register_forward_hook(lambda *_: names.pop() and None, always_call=True))
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()


class Alive(TorchDispatchMode):
    """Bytes `now` alive of the storages that are given and that operations make, and the `most` there have been."""

    def __init__(self, given: object = (), *, after_each: Callable[[], None] = lambda: None):
        super().__init__()
        self.known: weakref.WeakSet[UntypedStorage] = weakref.WeakSet()
        self.now = self.most = 0
        self.after_each = after_each
        self._note(storages(given))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        answer = func(*args, **(kwargs or {}))
        self.after_each()
        if func is not torch.ops.prim.device.default:  # fake tensors ask for it at every turn
            self._note(storages(answer) - storages((args, kwargs)))  # a view is no new memory
        return answer

    def _note(self, new: set[UntypedStorage]) -> None:
        for storage in [each for each in new if each not in self.known]:
            self.known.add(storage)
            self.now += storage.nbytes()
            weakref.finalize(storage, self._free, storage.nbytes())
        self.most = max(self.most, self.now)

    def _free(self, count: int) -> None:
        self.now -= count


def storages(tree: object) -> set[UntypedStorage]:
    return {leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}


def totals(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for name, count in counts:
        summed[name] += count
    return dict(summed)
