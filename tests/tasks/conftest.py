"""Goldens of losses and metrics, and small stand-ins for crops and splits."""

from dataclasses import dataclass

import numpy as np
import pytest

from tests.goldens import Golden


@pytest.fixture(scope="session")
def losses() -> Golden:
    return Golden("losses")


@pytest.fixture(scope="session")
def metrics() -> Golden:
    return Golden("metrics")


@dataclass
class FakeCrop:
    """A crop that magnifies by `zoom` after moving `origin` to the corner; pixel centres at integers."""

    size: int
    image_size: tuple[int, int]
    origin: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0

    @property
    def matrix(self):
        x, y = self.origin
        return np.array([[self.zoom, 0, -self.zoom * x], [0, self.zoom, -self.zoom * y], [0, 0, 1]])

    def points(self, points):
        return ((np.asarray(points) - self.origin) * self.zoom).astype(np.float32)

    def points_back(self, points):
        return np.asarray(points) / self.zoom + self.origin

    def _source(self, count):
        return [np.rint(np.arange(count) / self.zoom + start).astype(int) for start in self.origin]

    def mask(self, label):
        columns, rows = self._source(self.size)
        out = np.zeros((self.size, self.size), np.uint8)
        inside = np.ix_((rows >= 0) & (rows < label.shape[0]), (columns >= 0) & (columns < label.shape[1]))
        kept = [axis[(axis >= 0) & (axis < n)] for axis, n in zip((rows, columns), label.shape, strict=True)]
        out[inside] = label[np.ix_(*kept)]
        return out

    def labels_back(self, logits, size=None):
        height, width = size or self.image_size
        step = self.size / logits.shape[-1]
        index = [
            np.clip((((np.arange(n) - start) * self.zoom + 0.5) / step).astype(int), 0, logits.shape[-1] - 1)
            for n, start in zip((height, width), self.origin[::-1], strict=True)
        ]
        return logits[:, index[0][:, None], index[1]].argmax(0).astype(np.uint8)


class FakeSplit:
    """A prepared split held in memory: samples with labels, and their columns."""

    def __init__(self, samples):
        self.samples = [dict(sample) for sample in samples]

    @property
    def columns(self):
        return tuple(self.samples[0])

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def sample(self, index, *, labels=None, image=True):
        always = ("key", "size", *(("image",) if image else ()))
        return {name: value for name, value in self.samples[index].items() if name in (*always, *(labels or ()))}

    def column(self, name):
        return np.array([sample[name] for sample in self.samples])


@pytest.fixture
def fake_crop():
    return FakeCrop


@pytest.fixture
def fake_split():
    return FakeSplit
