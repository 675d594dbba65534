"""Fifty damaged copies of every reader's set; `python -m tests.hostile.run --inputs 1000` makes a thousand."""

import warnings

import pytest

from tests.hostile.bases import BASES
from tests.hostile.run import Attack

INPUTS = 50


@pytest.mark.parametrize("reader", BASES)
def test_damage_ends_in_samples_rejects_or_one_refusal(reader, tmp_path):
    attack = Attack(reader, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damaged EXIF data
        found = [attack(number) for number in range(INPUTS)]
    failed = [verdict for verdict in found if verdict.outcome == "failed"]
    assert not failed, "\n".join(map(str, failed))
    assert all(judge.untouched for judge in attack.judges.values())
    assert {verdict.outcome for verdict in found} >= {"kept", "rejected"}


def test_inputs_are_the_same_every_time(tmp_path):
    first, second = (Attack("rafdb", tmp_path / name) for name in "ab")
    again = [(second(number).damage, second(number).outcome) for number in (3, 1, 2)]
    assert [(first(number).damage, first(number).outcome) for number in (3, 1, 2)] == again
