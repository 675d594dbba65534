"""Checkpoints of parameters that are dealt over processes: each process writes its rows, any number reads them.

`last.pt` is the checkpoint of one process, whatever the number: what all processes hold is in it, and where rows are
dealt (the class centres of recognition, and the optimiser's moments of them) it names the folder beside it that has
them, written by torch.distributed.checkpoint as safetensors. Nothing is unpickled, and no process ever holds them all.
"""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faceptor.tasks.losses.across_processes import processes, rank
from faceptor.training.distributed import rows_here, told_to_all, whole_shape
from faceptor.training.finite import parameters_of

ROWS = "rows"  # key of last.pt: {"folder": name, "tensors": names}


def dealt_tensors(
    state: Mapping[str, Any], criteria: nn.Module, optimiser: torch.optim.Optimizer
) -> Iterator[tuple[dict, Any, str, nn.Parameter]]:
    """(holder, key, name, parameter) of every tensor of a state that has the rows of a parameter: the parameter itself,
    and the moments of its optimiser. holder[key] is the tensor."""
    named = {id(p): name for name, p in criteria.named_parameters() if rows_here(p)}
    for parameter in criteria.parameters():
        if id(parameter) in named:
            yield state["criteria"], named[id(parameter)], f"criteria.{named[id(parameter)]}", parameter
    for place, parameter in enumerate(parameters_of(optimiser)):
        if id(parameter) in named:
            moments = state["optimiser"]["state"].get(place, {})
            for key in [key for key, value in moments.items() if isinstance(value, Tensor) and value.ndim]:
                yield moments, key, f"optimiser.{named[id(parameter)]}.{key}", parameter


def taken_out(state: dict[str, Any], criteria: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Move the dealt rows out of a state: name -> the tensor, as a DTensor that knows its rows."""
    state["criteria"] = dict(state["criteria"])
    state["optimiser"] = state["optimiser"] | {"state": {k: dict(v) for k, v in state["optimiser"]["state"].items()}}
    found = {}
    for holder, key, name, parameter in list(dealt_tensors(state, criteria, optimiser)):
        found[name] = as_part(holder.pop(key).detach(), parameter)
    return found


def as_part(tensor: Tensor, parameter: nn.Parameter) -> Tensor:
    """The rows of this process as a part of the whole, which torch.distributed.checkpoint writes and reads."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard

    shape = torch.Size(whole_shape(parameter))
    mesh = init_device_mesh(tensor.device.type, (processes(),))
    return DTensor.from_local(tensor, mesh, [Shard(0)], run_check=False, shape=shape, stride=(shape[1], 1))


def write_rows(parts: Mapping[str, Tensor], folder: Path) -> dict[str, Any]:
    """Write the rows of all processes, which call this together; what `last.pt` says of them."""
    from torch.distributed import checkpoint as dcp

    if rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    told_to_all(None)
    dcp.save(dict(parts), storage_writer=dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True))
    return {"folder": folder.name, "tensors": list(parts)}


def put_back(saved: dict[str, Any], home: Path, criteria: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Give a loaded checkpoint the rows that this process trains, wherever and by however many they were written."""
    if ROWS in saved:
        _read_rows(saved, home / saved[ROWS]["folder"], criteria, optimiser)
        return
    for holder, key, _, parameter in dealt_tensors(saved, criteria, optimiser):  # one process has written them
        if rows := rows_here(parameter):
            holder[key] = holder[key][rows.first : rows.first + len(parameter)].clone()


def _place_of(name: str, saved: dict[str, Any], criteria: nn.Module, optimiser: torch.optim.Optimizer):
    """The parameter that a written tensor belongs to, and where its state has its place."""
    part, _, rest = name.partition(".")
    if part == "criteria":
        return criteria.get_parameter(rest), saved["criteria"], rest
    of, _, key = rest.rpartition(".")
    parameter = criteria.get_parameter(of)
    place = next(index for index, p in enumerate(parameters_of(optimiser)) if p is parameter)
    return parameter, saved["optimiser"]["state"].setdefault(place, {}), key


def _read_rows(saved: dict[str, Any], folder: Path, criteria: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    from torch.distributed import checkpoint as dcp

    wanted = {}
    for name in saved[ROWS]["tensors"]:
        parameter, holder, key = _place_of(name, saved, criteria, optimiser)
        holder[key] = torch.empty_like(parameter)
        wanted[name] = as_part(holder[key].detach(), parameter) if processes() > 1 else holder[key].detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that one process alone reads: it may
        dcp.load(wanted, storage_reader=dcp.HuggingFaceStorageReader(str(folder)), no_dist=processes() == 1)


def remove_others(home: Path, kept: str | None) -> None:
    """Folders of rows of earlier checkpoints."""
    for folder in home.glob(f"{ROWS}-*"):
        if folder.name != kept:
            shutil.rmtree(folder, ignore_errors=True)
