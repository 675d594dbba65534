"""What was recorded from the released code (tests/golden), and the one comparison with it.

A large array is kept in blocks of 31 values of the flattened array: of each block its first value, and two sums of its
values with random signs over sqrt(31). First values have the recorded tolerance, the sums that of a value as large as
the block's root mean square. Wherever it is, one value off by six times this is found; errors of a sixth of it in all
values always pass, and float32 noise was a tenth or less.

`python -m tests.goldens FOLDER` makes tests/golden from the complete recordings in FOLDER; arrays that are in blocks
already stay as they are.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "golden"
BLOCK = 31  # prime: first values walk through all rows, columns and channels
SMALL = 1024  # arrays of up to so many values are kept whole
WHOLE = {"pipe.lapa_test.image@cv5"}  # its tests count how many values leave the tolerance


def seeded(key: str) -> np.random.Generator:
    """The random stream of what has this name in the recordings."""
    return np.random.default_rng(zlib.crc32(f"public:{key}".encode()))


def blocks_of(values) -> np.ndarray:
    """(blocks, 31) float64: the flattened array, filled up with zeros."""
    values = np.asarray(values, np.float64).ravel()
    return np.pad(values, (0, -len(values) % BLOCK)).reshape(-1, BLOCK)


def digest(values) -> np.ndarray:
    """(blocks, 3) float64: first value and two signed sums of each block."""
    blocks = blocks_of(values)
    # The raw stream of PCG64 is the same in every NumPy; those of Generator's methods may change.
    raw = np.random.PCG64(0).random_raw(-(-2 * blocks.size // 64)).astype("<u8")
    signs = 1.0 - 2.0 * np.unpackbits(raw.view(np.uint8), count=2 * blocks.size).reshape(2, *blocks.shape)
    return np.column_stack([blocks[:, 0], *(signs * blocks).sum(axis=2) / np.sqrt(BLOCK)])


def compare_digest(found, expected: np.ndarray, *, atol: float, rtol: float, name: str = "") -> None:
    """The digest of the array `found` agrees with `expected`, a digest, where the values have atol and rtol."""
    rms = np.sqrt((blocks_of(found) ** 2).mean(axis=1))
    limit = atol + rtol * np.column_stack([np.abs(expected[:, 0]), rms, rms])
    with np.errstate(invalid="ignore"):  # what is not finite fails as nan
        excess = np.abs(digest(found) - expected) / limit
    wrong = ~(excess <= 1).all(axis=1)
    where = f"{wrong.sum()} of {len(wrong)} blocks, first from flat index {BLOCK * wrong.argmax()}"
    assert not wrong.any(), f"{name}: {where}, up to {excess.max():.3g} times the tolerance"


class Golden:
    """The recorded arrays of one case, each with its own tolerance; remembers which outputs were compared."""

    def __init__(self, case: str):
        self.case = case
        self.about = json.loads((FOLDER / f"{case}.json").read_text())
        self.arrays = np.load(FOLDER / f"{case}.npz")
        self.compared: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def normal(self, name: str, scale: float = 1.0) -> np.ndarray:
        """The seeded standard normal input of that name."""
        shape = self.about["inputs"][name]["shape"]
        return seeded(f"input:{name}").standard_normal(shape, dtype=np.float32) * np.float32(scale)

    def part(self, name: str, found: np.ndarray) -> np.ndarray:
        """What the recording keeps of a full array."""
        about = self.about["outputs"][name]
        assert list(found.shape) == about["full_shape"], (name, found.shape, about["full_shape"])
        if "slice" not in about:
            return found
        axes = [axis.strip().split(":") for axis in about["slice"].strip("[]").split(",")]
        return found[tuple(slice(*(int(n) if n else None for n in axis)) for axis in axes)]

    def check(self, name: str, found, *, atol: float | None = None, differing: float = 0.0) -> None:
        """`found` agrees with the recorded output within its tolerance, or `atol` instead.

        Of an output without a tolerance, a share of at most `differing` values may be others.
        """
        about, expected, found = self.about["outputs"][name], self.arrays[name], np.asarray(found)
        part = self.part(name, found)
        self.compared.add(name)
        if "atol" not in about:
            assert (part != expected).mean() <= differing, name
            return
        atol, rtol = (about["atol"], about["rtol"]) if atol is None else (atol, 0.0)
        if "slice" in about and "full_absmax" in about:
            ends = np.abs(found).max(), found.mean(dtype=np.float64)
            recorded, reach = (about["full_absmax"], about["full_mean"]), atol + rtol * about["full_absmax"]
            np.testing.assert_allclose(ends, recorded, rtol=0, atol=reach, err_msg=f"{name}: largest and mean")
        if "block" in about:
            compare_digest(part, expected, atol=atol, rtol=rtol, name=name)
        else:
            np.testing.assert_allclose(part, expected, atol=atol, rtol=rtol, err_msg=name)


def shrink(complete: Path) -> None:
    """Write the arrays and descriptions of tests/golden anew from those in the folder `complete`."""
    for path in sorted(FOLDER.glob("*.npz")):
        arrays = dict(np.load(complete / path.name))
        about = json.loads((complete / f"{path.stem}.json").read_text())
        for name, entry in about["outputs"].items():
            if name.endswith("@cv5"):  # recorded with them were statistics of the array made with OpenCV 4
                for key in ("full_mean", "full_std", "full_absmax"):
                    entry.pop(key, None)
            if "atol" in entry and "block" not in entry and arrays[name].size > SMALL and name not in WHOLE:
                arrays[name] = digest(arrays[name]).astype(np.float32)
                entry |= {"block": BLOCK, "stored_shape": list(arrays[name].shape)}
        np.savez_compressed(path, **arrays)
        path.with_suffix(".json").write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    shrink(Path(sys.argv[1]))
