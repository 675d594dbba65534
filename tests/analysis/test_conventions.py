"""Ways of counting GFLOPs: what they are made of, and what was found with them."""

import pytest

from faceptor.analysis import conventions, paper
from faceptor.pipeline.experiment import preset


@pytest.fixture(scope="module")
def counts():
    return list(conventions.facexformer_counts("facexformer, paper", preset("facexformer"), None))


def pick(counts, **wanted):
    (found,) = [c for c in counts if all(getattr(c, key) == value for key, value in wanted.items())]
    return found.giga


def test_calls_attention_and_units_are_factors_of_one_count(counts):
    one = pick(counts, calls="one call", attention=True, unit="MAC")
    assert pick(counts, calls="one call", attention=True, unit="FLOP") == pytest.approx(2 * one, abs=2e-3)
    six = pick(counts, calls="six calls, as its script", attention=True, unit="MAC")
    assert six == pytest.approx(6 * one, abs=1e-2)
    assert 0 < one - pick(counts, calls="one call", attention=False, unit="MAC") < 0.05 * one


def test_other_tools_see_what_is_counted_without_fused_attention(counts):
    ours = pick(counts, calls="one call", attention=False, unit="MAC")
    for giga in paper.GIGA_BY_TOOL["facexformer, paper, one call at 224 px"].values():
        assert giga == pytest.approx(ours, rel=0.03)


def test_six_calls_in_multiply_accumulates_reproduce_114(counts):
    found = [count for count in counts if count.reproduces]
    assert [(count.calls, count.attention, count.unit) for count in found] == [
        ("six calls, as its script", False, "MAC")
    ]
