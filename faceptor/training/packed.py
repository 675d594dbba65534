"""A batch on its way from a loader process to a device: one stretch of memory, which is shared, pinned and copied once
instead of once for every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset, get_worker_info

ALIGNED = 64  # bytes: where every tensor begins at a multiple of


@dataclass(frozen=True)
class Place:
    """Where a tensor of a batch lies."""

    task: str
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    first: int  # byte
    length: int  # bytes


@dataclass(frozen=True)
class Packed:
    """All tensors of a batch, one after the other. data: (bytes,) uint8."""

    data: torch.Tensor
    places: tuple[Place, ...]

    @classmethod
    def of(cls, batch: Mapping[str, Mapping[str, torch.Tensor]]) -> Packed:
        """In memory that other processes can see, where a loader process makes it."""
        places, first = [], 0
        for task, parts in batch.items():
            for name, value in parts.items():
                places.append(Place(task, name, value.dtype, tuple(value.shape), first, value.nbytes))
                first += -(-value.nbytes // ALIGNED) * ALIGNED
        data = torch.empty(first, dtype=torch.uint8)
        packed = cls(data.share_memory_() if get_worker_info() else data, tuple(places))
        for place in places:
            packed._tensor(packed.data, place).copy_(batch[place.task][place.name])
        return packed

    def pin_memory(self) -> Packed:
        """As the loader asks for it."""
        return Packed(self.data.pin_memory(), self.places)

    def unpacked(self, device: torch.device | str = "cpu") -> dict[str, dict[str, torch.Tensor]]:
        """The batch on a device, in the order in which it was packed; the tensors share one stretch of memory there."""
        data, batch = self.data.to(device, non_blocking=True), {}
        for place in self.places:
            batch.setdefault(place.task, {})[place.name] = self._tensor(data, place)
        return batch

    @staticmethod
    def _tensor(data: torch.Tensor, place: Place) -> torch.Tensor:
        return data[place.first : place.first + place.length].view(place.dtype).view(place.shape)


class Packing:
    """Batches, packed where they are made."""

    def __init__(self, steps: Dataset):
        self.steps = steps

    def __getitem__(self, step: int) -> Packed:
        return Packed.of(self.steps[step])
