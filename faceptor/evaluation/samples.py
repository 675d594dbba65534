"""What a task is trained, validated and tested on, of a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceptor.errors import DataError
from faceptor.prepared.reading import open_split, open_verification, read_card, verification_sets
from faceptor.tasks import kind_of
from faceptor.tasks.base import TaskSpec


def open_samples(spec: TaskSpec, folder: Path, split: str) -> Sequence:
    """The "train", "val" or "test" split of a prepared data set; of a task whose labels are people, the test split is
    the verification sets, pair by pair, and without any of them its test people, if it has some."""
    pairs = split == "test" and kind_of(spec).identities
    if pairs and (verification_sets(folder) or "test" not in read_card(folder)["counts"]):
        return VerificationSamples(folder)
    return open_split(folder, split)


class VerificationSamples(Sequence):
    """All verification sets of a prepared data set as samples: image, size, pair, same, and the set as subset."""

    def __init__(self, folder: Path):
        self.sets = {name: open_verification(folder, name) for name in verification_sets(folder)}
        if not self.sets:
            raise DataError(
                f"{folder}: no verification sets; put lfw.bin and the others beside train.rec and run "
                f"`faceptor preprocess {folder.name}`"
            )
        self.index = [(name, row) for name, images in self.sets.items() for row in range(len(images))]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, row = self.index[index]
        image = self.sets[name][row]
        return {
            "key": f"{name}/{row}",
            "image": image,
            "size": image.shape[:2],
            "subsets": (name,),
            "pair": row // 2,
            "same": bool(self.sets[name].same[row // 2]),
        }
