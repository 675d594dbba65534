"""MS1MV3: `train.rec` (RecordIO) with its index and list, `property`, and five verification sets as `.bin`."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import VERIFICATION
from faceptor.errors import ConfigError
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, jpeg, lines, put, shares
from faceptor.synthesis.writers.write_recordio import dump_bin, record_writer

_SIDE_PIXELS = 112
_FOLDS = 10


class MS1MV3Layout(Layout):
    name = "ms1mv3"
    title = "MS1MV3: identities, and pairs of the verification sets (green: same person)"
    default_size = _SIDE_PIXELS
    needs = ("identities", "pairs")
    frame = "arcface"

    def check(self, order: Order) -> None:
        super().check(order)
        if order.identities > order.train:
            raise ConfigError(
                f"synthesis.ms1mv3.identities: expected at most train = {order.train}, found {order.identities}"
            )
        if order.test:
            raise ConfigError("synthesis.ms1mv3.test: remove it, the tests are the `pairs` of the verification sets")

    def shots(self, order: Order) -> Iterator[Shot]:
        per_person = order.rng("albums").permutation(shares(order.train, np.ones(order.identities)))
        for n, count in enumerate(per_person):
            # Within a person the ages spread, as they do in pictures of well-known people.
            for sample, age in enumerate(_ages(order.rng("ages", n), count)):
                key, fixed = f"{n}/{sample}.jpg", sitting(order.rng("pose", n, sample)) | {"age": age}
                yield self.shot(order, "train", n, key=key, sample=sample, fixed=fixed, note={"label": n})
        for name in VERIFICATION:
            yield from self._pairs(order, name)

    def _pairs(self, order: Order, name: str) -> Iterator[Shot]:
        """Pair after pair: ten folds of neighbouring pairs, in each first the same people, then different ones."""
        rng, (_, sides) = order.rng("pairs", name), _SETS[name]
        for fold in np.array_split(np.arange(order.pairs), _FOLDS):
            for place, pair in enumerate(fold):
                same = place < (len(fold) + pair % 2) // 2
                # The owners of the last two sets chose strangers of one sex, which makes them hard.
                alike = {"male": bool(rng.random() < 0.5)} if not same and name in ("calfw", "cplfw") else {}
                for side, own in enumerate(sides(rng)):
                    yield self.shot(
                        order,
                        name,
                        2 * pair + (0 if same else side),
                        split=name,
                        key=f"{name}/{pair}/{side}",
                        sample=side,
                        counted=1 - side,  # a pair counts once
                        fixed=sitting(rng) | own | alike,
                        note={"same": bool(same)},
                    )

    def draw(self, shot: Shot, portrait, root: Path) -> bytes:
        return jpeg(portrait.image)

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator[bytes], root: Path) -> None:
        trained = [shot for shot in shots if shot.split == "train"]
        labels = [shot.note["label"] for shot in trained]
        with record_writer(root / "train") as add:
            for key, label in enumerate(labels, start=1):
                add(key, next(rows), float(label))
            first = len(labels) + 1  # identity records follow the pictures: the range of keys of each person
            bounds = 1 + np.searchsorted(labels, np.arange(order.identities + 1))
            for label, (start, end) in enumerate(pairwise(bounds)):
                add(first + label, b"", (float(start), float(end)))
            # Record 0 tells the range of the identity records.
            add(0, b"", (float(first), float(first + order.identities)))
        put(root / "train.lst", lines(f"1\t{shot.key}\t{shot.note['label']}" for shot in trained))
        side = self.size(order)[0]
        put(root / "property", lines([f"{order.identities},{side},{side}"]))
        for name in VERIFICATION:
            same = [shot.note["same"] for shot in shots if shot.split == name][::2]
            dump_bin(root / f"{name}.bin", list(islice(rows, 2 * len(same))), same)

    def tile(self, shot: Shot, portrait) -> Tile:
        same = shot.note.get("same")
        group = f"train.rec, identity {shot.note['label']}" if shot.split == "train" else _SETS[shot.split][0]
        return Tile(
            image=portrait.image, group=group, good=same, caption={True: "same", False: "different"}.get(same, "")
        )

    def shown(self, shots: Sequence[Shot], count: int) -> list[int]:
        """Eight pictures of each of four people, then two pairs of one person and two of different ones per set."""
        groups: dict[tuple, list[int]] = {}
        for i, shot in enumerate(shots):
            groups.setdefault((shot.split, shot.note.get("label"), shot.note.get("same")), []).append(i)
        people = [group for (split, *_), group in groups.items() if split == "train"][:4]
        pairs = [group for (split, *_), group in groups.items() if split != "train"]
        return [i for group in people for i in group[:8]] + [i for group in pairs for i in group[:4]]


def _ages(rng: np.random.Generator, count: int) -> list[float]:
    return np.clip(rng.uniform(22, 70) + rng.normal(0, 15, size=count), 16, 77).tolist()


def _free(rng: np.random.Generator) -> tuple[dict, dict]:
    return {}, {}


def _frontal_profile(rng: np.random.Generator) -> tuple[dict, dict]:
    return {"yaw": float(rng.uniform(-8, 8))}, {"yaw": float(rng.choice([-1, 1]) * rng.uniform(42, 58))}


def _across_age(rng: np.random.Generator) -> tuple[dict, dict]:
    young = float(rng.uniform(16, 40))
    return {"age": young}, {"age": young + float(rng.uniform(27, 33))}


def _across_pose(rng: np.random.Generator) -> tuple[dict, dict]:
    turn = float(rng.choice([-1, 1]))
    return {"yaw": turn * float(rng.uniform(15, 40))}, {"yaw": -turn * float(rng.uniform(15, 40))}


# Of every verification set: its title on the contact sheet, and what its two sides show.
_SETS = {
    "lfw": ("lfw.bin", _free),
    "cfp_fp": ("cfp_fp.bin: frontal and profile", _frontal_profile),
    "agedb_30": ("agedb_30.bin: thirty years apart", _across_age),
    "calfw": ("calfw.bin: across age, strangers of one sex", _across_age),
    "cplfw": ("cplfw.bin: across pose, strangers of one sex", _across_pose),
}
