"""The recorded arrays of crops, warps and photometric steps, and the comparison within their recorded tolerance."""

import json
from pathlib import Path

import numpy as np

_FILES = Path(__file__).parents[1] / "golden" / "geometry"
ARRAYS = np.load(_FILES.with_suffix(".npz"))
ENTRIES = json.loads(_FILES.with_suffix(".json").read_text())["outputs"]


def recorded_slice(name, value):
    """The part of the full array `value` that the recording keeps."""
    entry = ENTRIES[name]
    assert list(np.shape(value)) == entry["full_shape"]
    if "slice" not in entry:
        return value
    parts = [part.strip().split(":") for part in entry["slice"].strip("[]").split(",")]
    return value[tuple(slice(*(int(n) if n else None for n in part)) for part in parts)]


def assert_golden(name, value):
    """`value` agrees with the recorded array `name` within its recorded atol and rtol."""
    entry, part = ENTRIES[name], recorded_slice(name, value)
    np.testing.assert_allclose(part, ARRAYS[name], atol=entry["atol"], rtol=entry["rtol"], err_msg=name)
