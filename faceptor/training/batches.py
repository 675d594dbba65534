"""The multi-task batch: n_t samples of every task, in an order that depends on (seed, step) alone.

A run that is resumed, or split over more processes, sees the same samples with the same augmentation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import torch
from torch.utils.data import Dataset

from faceptor.errors import ConfigError, DataError
from faceptor.prepared.ahead import made_ahead
from faceptor.tasks import KINDS
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.limits import Limits, check_targets
from faceptor.training.packed import Packed, Packing
from faceptor.transforms.augment import Policy
from faceptor.transforms.crop import CropSpec
from faceptor.transforms.photometric import eight_bits, flip
from faceptor.transforms.tensors import stacked_images, unit_images

Batch = Mapping[str, Mapping[str, torch.Tensor]]
"""Task -> {"image": (n, 3, S, S), target name: (n, ...)}."""


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

    def example(self, position: int) -> tuple[np.ndarray, dict]:
        """The image (S, S, 3), uint8 where 8 bits hold it, else float32 in [0, 1], and its target."""
        rng = generator(self.seed, self.spec.name, "augment", position)
        sample = self.cache.get(self.split, self.index(position))
        crop = self.crop.place_sample(sample, jitter=self.policy.jitter(rng))
        mirrored, image = self.policy.mirror(rng), sample["image"]
        image = crop.on(image.shape[:2]).pixels(image)  # a reduced picture has another size than its labels
        image = eight_bits(image) if self.policy.rounds else image
        image = self.policy.photometric(flip(image) if mirrored else image, rng)
        kind = KINDS[self.spec.kind]
        target = kind.target(self.spec, sample, crop)
        return image, kind.mirrored(self.spec, target) if mirrored else target


class Steps(Dataset):
    """Item i is the whole multi-task `Batch` of step i, images as they travel (`ready` makes all of them floats); of
    several processes, each gets its share."""

    def __init__(self, streams: Mapping[str, TaskStream], *, steps: int, rank: int = 0, world: int = 1):
        self.streams, self.steps, self.rank, self.world = streams, steps, rank, world
        self.shares = dealt({name: (s.crop.size, s.samples) for name, s in streams.items()}, rank=rank, world=world)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        if not 0 <= step < self.steps:
            raise IndexError(step)
        return {name: self._batch(name, step) for name in self.streams}

    def _batch(self, name: str, step: int) -> dict[str, torch.Tensor]:
        stream, share = self.streams[name], self.shares[name]
        first = step * stream.samples
        own = range(first + share.start, first + share.stop)
        images, targets = zip(*(stream.example(position) for position in own or [first]), strict=True)
        batch = {key: torch.as_tensor(np.stack([t[key] for t in targets])) for key in targets[0]}
        # without a sample of its own, a process has the tensors of one, with no rows
        return {key: value[: len(own)] for key, value in (stacked_images(images) | batch).items()}


def dealt(samples: Mapping[str, tuple[int, int]], *, rank: int, world: int) -> dict[str, range]:
    """Task -> (side of its images, n_t) -> which of the n_t samples of a step a process takes, in the order of ranks.

    What is left over when n_t is divided goes to one process more each, beginning where the last task of that image
    size ended, so that all processes have equally many of a size, but for one.
    """
    shares, begin = {}, {}
    for name, (size, count) in samples.items():
        least, left = divmod(count, world)
        more = [(place - begin.get(size, 0)) % world < left for place in range(world)]
        first = rank * least + sum(more[:rank])
        shares[name] = range(first, first + least + more[rank])
        begin[size] = (begin.get(size, 0) + left) % world
    return shares


@dataclass
class CheckedSteps(Dataset):
    """Steps whose labels are looked at where they are made, in a loader process: a step that meets one on a GPU would
    have to wait for it, and an index out of range would end the process. limits: task -> target name -> `Limits`."""

    steps: Steps
    limits: Mapping[str, Mapping[str, Limits]]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> Batch:
        batch = self.steps[step]
        for name, targets in batch.items():
            check_targets(self.limits.get(name, {}), targets, where=f"step {step}: {name}")
        return batch


def stream_batches(
    steps: Steps | CheckedSteps, *, start: int, workers: int, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Yield the batches of steps start, start + 1, ... on a device, images as float32 in [0, 1].

    With workers they are made ahead in other processes, and travel as one stretch of memory each; see `made_ahead` for
    what is raised.
    """
    on_gpu = torch.device(device).type == "cuda"
    items = Packing(steps) if workers or on_gpu else steps
    for batch in made_ahead(items, range(start, len(steps)), workers=workers, pin=on_gpu):
        yield ready(batch.unpacked(device) if isinstance(batch, Packed) else batch)


def ready(batch: Batch) -> Batch:
    """A batch as a step takes it: every image float32 in [0, 1], whatever it travelled as."""
    return {name: unit_images(parts) for name, parts in batch.items()}
