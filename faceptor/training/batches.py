"""The multi-task batch: n_t samples of every task, in an order that depends on (seed, step) alone.

A run that is resumed, or split over more processes, sees the same samples with the same augmentation.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from zlib import crc32

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from faceptor.errors import ConfigError, DataError, FaceptorError
from faceptor.io.processes import end_with_parent
from faceptor.tasks import KINDS
from faceptor.tasks.base import TaskSpec
from faceptor.transforms.augment import Policy
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.photometric import flip
from faceptor.transforms.tensors import to_tensor

Batch = Mapping[str, Mapping[str, torch.Tensor]]
"""Task -> {"image": (n, 3, S, S), target name: (n, ...)}."""

LOADER_ENDED = (
    "a loader process ended before it had handed over its batch, mostly killed for memory: lower data.workers in "
    "params.yaml, then run the same command again; it goes on from its last checkpoint"
)


def generator(*key: int | str) -> np.random.Generator:
    """A random stream of its own for every key: nothing depends on what was drawn before."""
    return np.random.default_rng([crc32(part.encode()) if isinstance(part, str) else part for part in key])


@lru_cache(maxsize=64)
def _order(name: str, size: int, seed: int, epoch: int) -> np.ndarray:
    return generator(seed, name, "order", epoch).permutation(size)


class ImageCache:
    """Decoded samples, kept up to a number of bytes; what no longer fits is decoded again each time."""

    def __init__(self, limit: int):
        self.left = limit  # bytes
        self.samples: dict[int, dict] = {}

    def get(self, split: Sequence[dict], index: int) -> dict:
        if index in self.samples:
            return self.samples[index]
        sample = split[index]
        if sample["image"].nbytes <= self.left:
            self.left -= sample["image"].nbytes
            self.samples[index] = sample
        return sample


@dataclass
class TaskStream:
    """An endless, shuffled, augmented stream of one task's training samples, addressed by position."""

    spec: TaskSpec
    split: Sequence[dict]  # prepared samples, see faceptor.prepared.reading
    crop: CropSpec
    policy: Policy
    samples: int  # n_t, in all processes together
    seed: int
    cache: ImageCache

    def __post_init__(self):
        if KINDS[self.spec.kind].labels_move and self.policy.displaces:
            raise ConfigError(
                f"{self.spec.name}: augment: RandAugment turns and shifts the image, which labels of "
                f'{self.spec.kind} do not follow; set options.randaugment: "" or policy landmarks or parsing'
            )
        if len(self.split) == 0:
            raise DataError(f"{self.spec.name}: no training samples in {self.spec.dataset}; see its rejects.jsonl")

    def index(self, position: int) -> int:
        epoch, offset = divmod(position, len(self.split))
        return int(_order(self.spec.name, len(self.split), self.seed, epoch)[offset])

    def __getitem__(self, position: int) -> tuple[torch.Tensor, dict]:
        rng = generator(self.seed, self.spec.name, "augment", position)
        sample = self.cache.get(self.split, self.index(position))
        crop = self.crop.place_sample(sample, jitter=self.policy.jitter(rng))
        mirrored, image = self.policy.mirror(rng), crop.image(sample["image"])
        image = self.policy.photometric(flip(image) if mirrored else image, rng)
        kind = KINDS[self.spec.kind]
        target = kind.target(self.spec, sample, crop)
        return to_tensor(image), kind.mirrored(self.spec, target) if mirrored else target


class Steps(Dataset):
    """Item i is the whole multi-task `Batch` of step i; of several processes, each gets its share."""

    def __init__(self, streams: Mapping[str, TaskStream], *, steps: int, rank: int = 0, world: int = 1):
        self.streams, self.steps, self.rank, self.world = streams, steps, rank, world
        for name, stream in streams.items():
            if stream.samples % world:
                raise DataError(f"{name}: {stream.samples} samples per step do not divide over {world} processes")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        if not 0 <= step < self.steps:
            raise IndexError(step)
        return {name: self._batch(stream, step) for name, stream in self.streams.items()}

    def _batch(self, stream: TaskStream, step: int) -> dict[str, torch.Tensor]:
        share = stream.samples // self.world
        first = step * stream.samples + self.rank * share
        images, targets = zip(*(stream[position] for position in range(first, first + share)), strict=True)
        batch = {key: torch.as_tensor(np.stack([t[key] for t in targets])) for key in targets[0]}
        return {"image": torch.stack(images), **batch}


def _end_with(parent: int, worker: int) -> None:
    end_with_parent(parent=parent)


def stream_batches(steps: Steps, *, start: int, workers: int) -> Iterator[Batch]:
    """Yield the batches of steps start, start + 1, ...; with workers they are made ahead in other processes.

    A FaceptorError in one of those arrives here as it was raised.
    """
    loader = DataLoader(
        _ErrorsHandedOver(steps),
        batch_size=None,
        sampler=range(start, len(steps)),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        worker_init_fn=partial(_end_with, os.getpid()),
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # starting the loader must not draw from the model's random stream
    )
    for batch in _received(loader):
        if isinstance(batch, FaceptorError):
            raise batch
        yield batch


def _received(loader: DataLoader) -> Iterator[Batch | FaceptorError]:
    """What the loader processes send. One that is killed while it hands a tensor over leaves one of these errors."""
    try:
        yield from loader
    except (EOFError, ConnectionError, FileNotFoundError, RuntimeError) as error:
        raised_by_a_step = str(error).startswith("Caught ")  # in a loader process, and sent here as it should be
        if raised_by_a_step or (isinstance(error, RuntimeError) and "ancdata" not in str(error)):
            raise
        raise DataError(f"{LOADER_ENDED} ({type(error).__name__})") from error


@dataclass
class _ErrorsHandedOver(Dataset):
    """Steps that hand their errors over; raised in a loader process, they would come back with its traceback."""

    steps: Steps

    def __getitem__(self, step: int) -> Batch | FaceptorError:
        try:
            return self.steps[step]
        except FaceptorError as error:
            return error
