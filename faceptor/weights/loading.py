"""Tensors into a model: only if they are exactly the model's, by name, shape and type of number."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from faceptor.errors import WeightsError
from faceptor.io.words import few

Model = TypeVar("Model", bound=nn.Module)


class Facts(NamedTuple):
    """What two tensors of a name must have in common; a type that is not known is ""."""

    shape: tuple[int, ...]
    type: str = ""


def facts_of(tensors: Mapping[str, Tensor]) -> dict[str, Facts]:
    return {name: Facts(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}


def misfits(own: Mapping[str, Facts], found: Mapping[str, Facts]) -> str:
    """In which tensors two models differ, in a line; "" if in none."""
    common = [(name, own[name], found[name]) for name in sorted(own.keys() & found.keys())]
    names = {
        "missing": sorted(own.keys() - found.keys()),
        "extra": sorted(found.keys() - own.keys()),
        "misshapen": [f"{name} expected {a.shape}, found {b.shape}" for name, a, b in common if a.shape != b.shape],
        "of another type": [f"{name} expected {a.type}, found {b.type}" for name, a, b in common if a.type != b.type],
    }
    return "; ".join(f"{len(those)} {what}: {few(those)}" for what, those in names.items() if those)


def check_fit(own: Mapping[str, Facts], found: Mapping[str, Facts], *, origin: str) -> None:
    """Raise WeightsError, in a line, unless a model has exactly the tensors found in a file."""
    if differ := misfits(own, found):
        raise WeightsError(f"{origin}: tensors do not fit the model; {differ}; the weights need their own config")


def check_finite(tensors: Mapping[str, Tensor], *, origin: str, remedy: str) -> None:
    """Raise WeightsError, in a line, where a tensor has numbers that are none."""
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{origin}: {few(broken)}: expected finite numbers, found nan or inf; {remedy}")


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """load_state_dict whose complaint fits a line: names of missing, extra and misshapen tensors, of other types."""
    check_fit(facts_of(model.state_dict()), facts_of(tensors), origin=origin)
    model.load_state_dict(tensors)


def plan(make: Callable[[], Model]) -> Model:
    """The model that `make` builds, with shapes and without numbers: what does not fit fails before it takes memory."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return make()


def built_with(make: Callable[[], Model], tensors: Mapping[str, Tensor], *, origin: str) -> Model:
    """The model that `make` builds with these weights, in evaluation mode; the random generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        model = make()
    load_strictly(model, tensors, origin=origin)
    return model.eval()
