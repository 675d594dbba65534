"""A subset stands for the whole split: spread over it, of the size that was asked for, and the same every time."""

import numpy as np
import pytest

from faceptor.datasets.subset import Fewer, Spread, spread
from faceptor.errors import ConfigError
from tests.toy import FakeSplit


@pytest.mark.parametrize("run", [1, 2, 8])
@pytest.mark.parametrize(("size", "count"), [(0, 5), (1, 1), (7, 7), (10, 9), (10, 3), (100, 37), (1001, 40)])
def test_as_many_as_asked_from_end_to_end(size, count, run):
    chosen = spread(size, count, run=run)
    assert len(chosen) == min(size, count) == len(set(chosen)) and chosen == sorted(chosen)
    assert all(0 <= index < size for index in chosen)
    if count > 2 * run and size > count:
        assert chosen[0] == 0 and chosen[-1] >= size - run
        assert max(np.diff(chosen)) <= 2 * run * size / count


def test_everything_where_nothing_is_limited():
    assert spread(5, None) == [0, 1, 2, 3, 4] == list(Spread("abcde", None).rows)


def test_runs_start_where_pairs_do():
    chosen = spread(400, 80, run=8)
    assert all(index + 1 in chosen for index in chosen if index % 2 == 0)
    assert {index // 8 * 8 for index in chosen} == {start for start in chosen if start % 8 == 0}


def test_a_split_in_its_owners_order_is_seen_whole():
    """Sorted by class, as many owners sort: the first 70 would be one class."""
    labels = np.repeat(np.arange(7), 100)
    part = Spread(labels, 70)
    assert len(part) == 70 and set(np.bincount(list(part), minlength=7)) <= {9, 10, 11}
    with pytest.raises(IndexError):
        part[70]


class Columns(FakeSplit):
    def column(self, name):
        values = [sample[name] for sample in self.samples]
        return np.array(values) if name == "age" else values


def test_few_faces_keep_their_labels():
    """Image, array column and list column of the same samples, from the first to the last of the split."""
    split = Columns(0, size=40)
    few = Fewer(split, 10, where="stage1.tasks.age_morph2.faces")
    assert len(few) == 10 and few[0] is split[0] and few[9] is split[39]
    assert [few[i]["age"] for i in range(10)] == few.column("age").tolist()
    assert [few[i]["key"] for i in range(10)] == few.column("key")
    with pytest.raises(ConfigError, match=r"age_morph2\.faces: 41, but the training split has 40"):
        Fewer(split, 41, where="stage1.tasks.age_morph2.faces")
