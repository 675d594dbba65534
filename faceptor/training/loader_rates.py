"""What a training's batches cost: images a second from one core, core-seconds and bytes of a step."""

from __future__ import annotations

import time
from dataclasses import dataclass

from faceptor.prepared.ahead import made_ahead
from faceptor.training.batches import Steps
from faceptor.training.packed import Packed

FLOAT_BYTES = 4  # of a pixel's value on the device


@dataclass(frozen=True)
class LoaderRates:
    """images_per_second: task -> images that one core makes; core_seconds: of a step, packing included; bytes: that a
    step's batch takes on its way; float_bytes: that its images take as float32."""

    images_per_second: dict[str, float]
    core_seconds: float
    bytes: int
    float_bytes: int

    def cores_for(self, step_seconds: float) -> float:
        """Cores that keep up with a step of so many seconds."""
        return self.core_seconds / step_seconds


def loader_rates(steps: Steps, *, images: int = 32) -> LoaderRates:
    """Measured on the first `images` samples of every task, in one loader process as a training has them, in seconds
    that its core computed: what else the machine does counts little. Imports and opened files do not count."""
    (rates,) = made_ahead(_Measured(steps, images), [0], workers=1)
    return rates


@dataclass(frozen=True)
class _Measured:
    """The one item is what was measured where it was made."""

    steps: Steps
    images: int

    def __getitem__(self, index: int) -> LoaderRates:
        streams = self.steps.streams
        seconds = {name: self._image(name) for name in streams}
        batch = self.steps[0]
        began = time.process_time()
        packed = Packed.of(batch)
        packing = time.process_time() - began
        return LoaderRates(
            images_per_second={name: 1 / each for name, each in seconds.items()},
            core_seconds=sum(streams[name].samples * each for name, each in seconds.items()) + packing,
            bytes=packed.data.nbytes,
            float_bytes=FLOAT_BYTES * sum(parts["image"].numel() for parts in batch.values()),
        )

    def _image(self, name: str) -> float:
        """Seconds that an image of a task takes."""
        stream = self.steps.streams[name]
        stream.example(0)  # what is imported or opened once
        began = time.process_time()
        for position in range(1, self.images + 1):
            stream.example(position)
        return max(time.process_time() - began, 1e-9) / self.images
