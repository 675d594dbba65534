"""A training split whose JPEGs are decoded with fewer pixels, where the crop needs far fewer: `data.decode: reduced`.

libjpeg decodes 1/2, 1/4 or 1/8 of the pixels of a side for a part of the time, because it computes that much less. What
comes out is a smaller picture of the same scene, smoothed by another filter than Pillow's or OpenCV's, so pixels of
the crop differ by a few levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faceptor.datasets.subset import Chosen
from faceptor.prepared.reading import Split
from faceptor.transforms.crop import CropSpec


class Reduced(Sequence):
    """`reduced[i]` is the split's sample with as few pixels as `PlacedCrop.spare` allows for its crop; its size and
    labels stay those of the whole picture."""

    def __init__(self, split: Split | Chosen, crop: CropSpec):
        self.split, self.crop = split, crop

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, Any]:
        split, row = self.split, range(len(self))[index]
        while isinstance(split, Chosen):
            split, row = split.samples, split.rows[row]
        sample = split.sample(row, image=False)
        return sample | {"image": split.picture(row, fewer=self.crop.place_sample(sample).spare())}

    def column(self, name: str) -> Any:
        return self.split.column(name)  # type: ignore[union-attr]
