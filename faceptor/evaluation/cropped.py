"""Samples on their way to a network: decoded and cropped in batches, ahead in loader processes where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils.data import ConcatDataset

from faceptor.datasets.subset import Chosen
from faceptor.prepared.ahead import made_ahead
from faceptor.prepared.reading import Split
from faceptor.transforms.crop import CropSpec, PlacedCrop
from faceptor.transforms.tensors import stacked_images, unit_images


class CroppedBatch(NamedTuple):
    """Samples, their crops, and the images as `stacked_images` makes them."""

    samples: list[Mapping[str, Any]]
    crops: list[PlacedCrop]
    images: dict[str, torch.Tensor]

    def images_on(self, device: torch.device | str) -> torch.Tensor:
        """(B, 3, S, S) float32 in [0, 1]."""
        return unit_images({name: part.to(device, non_blocking=True) for name, part in self.images.items()})["image"]


class Cropped:
    """Item i: batch i of samples, cropped. whole: with the pictures they were cut from, which drawing needs."""

    def __init__(self, samples: Sequence, crop: CropSpec, *, batch: int, whole: bool = True):
        self.samples, self.crop, self.batch, self.whole = samples, crop, batch, whole

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch)

    def __getitem__(self, index: int) -> CroppedBatch:
        first = index * self.batch
        samples = [self.samples[i] for i in range(first, min(first + self.batch, len(self.samples)))]
        crops = [self.crop.place_sample(sample) for sample in samples]
        images = stacked_images([crop.pixels(sample["image"]) for sample, crop in zip(samples, crops, strict=True)])
        if not self.whole:
            samples = [{key: value for key, value in sample.items() if key != "image"} for sample in samples]
        return CroppedBatch(samples, crops, images)


def batches_of(parts: Sequence[Cropped], *, workers: int, device: torch.device | str = "cpu") -> Iterator[CroppedBatch]:
    """The batches of one part after the other; one set of `workers` loader processes makes them all, ahead of their
    use."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return iter(())
    together = ConcatDataset(filled)  # type: ignore[arg-type]
    pin = bool(workers) and torch.device(device).type == "cuda"
    return made_ahead(together, range(len(together)), workers=workers, pin=pin)


def without_image(samples: Sequence, index: int) -> Mapping[str, Any]:
    """One of the samples, without its image where the decoding can be saved."""
    if isinstance(samples, Chosen):
        return without_image(samples.samples, samples.rows[index])
    return samples.sample(index, image=False) if isinstance(samples, Split) else samples[index]


@contextmanager
def threads_of(count: int) -> Iterator[Callable[..., Iterable]]:
    """A `map` that works in `count` threads, each of which computes with as many threads of its own as this one, so
    that sums come out the same; with 0 the built-in one."""
    if not count:
        yield map
        return
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)) as pool:
        yield pool.map
