"""What constant baselines are worth on validation samples, kept from one training to the next.

A file for each number, named after all that it depends on: the task, the crop, the content of the split that the
baseline was taken from and of the one that it was measured on, and which samples of that. As with a training's record,
the code is not among it: whoever changes a baseline or a metric deletes `runs/`.
"""

from __future__ import annotations

import hashlib
import json
from collections import UserDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from faceptor.datasets.subset import Chosen
from faceptor.errors import FaceptorError
from faceptor.io.files import read_json, write_json
from faceptor.tasks.base import TaskSpec
from faceptor.transforms.crop import CropSpec

HASH_CHARACTERS = 32


class KeptConstants(UserDict[str, float]):
    """Task -> headline of its constant baseline, in files below `folder`.

    facts: task -> all that shapes its number, plain data. A file that cannot be read is as good as none.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]):
        digests = {task: hashlib.sha256(json.dumps(each, sort_keys=True).encode()) for task, each in facts.items()}
        self.files = {task: folder / f"{digest.hexdigest()[:HASH_CHARACTERS]}.json" for task, digest in digests.items()}
        super().__init__()
        for task, file in self.files.items():
            with suppress(FaceptorError, OSError, TypeError, ValueError, KeyError):
                self.data[task] = float(read_json(file)["constant"])

    def __setitem__(self, task: str, value: float) -> None:
        super().__setitem__(task, value)
        write_json(self.files[task], {"task": task, "constant": value})


def facts_of(spec: TaskSpec, crop: CropSpec, samples: Sequence, hashes: Mapping[str, str]) -> dict[str, Any]:
    """All that shapes the worth of a task's constant baseline on `samples` of its validation split. hashes: split -> of
    its content."""
    return {
        "task": spec.to_dict(),
        "crop": crop.to_dict(),
        "train": hashes["train"],
        "val": hashes["val"],
        "samples": positions(samples),
    }


def positions(samples: Sequence) -> list[int]:
    """Where the samples stand in the split they were chosen from."""
    if not isinstance(samples, Chosen):
        return list(range(len(samples)))
    places = positions(samples.samples)
    return [places[row] for row in samples.rows]
