"""What the comparison in blocks finds, and what it lets pass."""

import numpy as np
import pytest

from tests.goldens import BLOCK, compare_digest, digest

VALUES = np.random.default_rng(0).normal(size=(3, 9, 47)).astype(np.float32)  # fills no whole number of blocks
KEPT, WITHIN = digest(VALUES).astype(np.float32), {"atol": 1e-4, "rtol": 1e-5}


def tolerance(values):
    return WITHIN["atol"] + WITHIN["rtol"] * np.abs(values)


@pytest.mark.parametrize("change", [6 * tolerance(5.0), -6 * tolerance(5.0), np.nan, np.inf])
def test_one_changed_value_is_found_wherever_it_is(change):
    for index in range(VALUES.size):
        found = VALUES.copy()
        found.flat[index] += change
        with pytest.raises(AssertionError, match=f"1 of .* blocks, first from flat index {index // BLOCK * BLOCK},"):
            compare_digest(found, KEPT, **WITHIN)


@pytest.mark.parametrize("seed", range(20))
def test_errors_of_a_sixth_of_the_tolerance_pass(seed):
    signs = np.random.default_rng(seed).choice([-1, 1], VALUES.shape)
    compare_digest(VALUES + signs * tolerance(VALUES) / 6, KEPT, **WITHIN)


@pytest.mark.parametrize(
    "mixed",
    [VALUES[[1, 0, 2]], VALUES[..., ::-1], np.roll(VALUES, 1, axis=1), np.roll(VALUES, 1, axis=2), -VALUES],
    ids=["two channels swapped", "flipped", "a row lower", "a column on", "negative"],
)
def test_values_in_another_place_are_found(mixed):
    with pytest.raises(AssertionError):
        compare_digest(mixed, KEPT, **WITHIN)
