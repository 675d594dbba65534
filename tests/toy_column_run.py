"""Run by tests/test_one_home.py with a copy of the package that has one row, one file and one line more: pictures of
two data sets from their files to shards, card and batches. Arguments: the folder to work in."""

import json
import sys
from pathlib import Path

import numpy as np

from faceptor.datasets.readers.generic import Generic
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.tasks import KINDS, TaskSpec
from faceptor.tasks.gender import Gender
from faceptor.training.batches import ImageCache, Steps, TaskStream
from faceptor.transforms.augment import make_policy
from faceptor.transforms.crop import CropSpec


class Freckled(Gender):
    """Whether there are any."""

    name, columns = "freckled", ("freckles",)

    def target(self, spec, sample, crop):
        return {"class": np.int64(sample["freckles"] > 0)}


def gone_through(name: str, root: Path, **arguments) -> dict:
    card = prepare(name, root, root / "out", validation=0.0, seed=1, max_rejects=0.5, **arguments)
    split = open_split(root / "out", "train")
    stream = TaskStream(
        spec=TaskSpec(f"freckled_{name}", "freckled", name, ("none", "some")), split=split,
        crop=CropSpec(kind="whole", size=32), policy=make_policy("flip"), samples=len(split), seed=1,
        cache=ImageCache(2**20),
    )  # fmt: skip
    (batch,) = Steps({"freckled": stream}, steps=1)[0].values()
    stored = split.column("freckles")
    return {
        "card": card["labels"]["train"],
        "reasons": card["rejects"]["reasons"],
        "sample": split[1]["freckles"],
        "stored": [str(stored.dtype), stored.tolist()],
        "batch": sorted(batch["class"].tolist()),
    }


if __name__ == "__main__":
    KINDS["freckled"] = Freckled()
    home = Path(sys.argv[1])
    described = {"labels": "labels.csv", "image": "file", "split": "part", "freckles": "spots"}
    found = {
        "published": gone_through("spots", home / "spots"),
        "own": gone_through("mine", home / "mine", reader=Generic.name, options={"description": described}),
    }
    print(json.dumps(found))
