"""`--all`: every registered layout and reader, small where params.yaml has no line."""

import pytest

from faceptor.config import Synthesis, load_preset
from faceptor.datasets import READERS
from faceptor.pipeline.all_datasets import SMALL, with_every_data_set
from faceptor.synthesis import LAYOUTS
from faceptor.synthesis.writers.layout import Order


def test_every_data_set_has_a_line_and_own_lines_stay():
    params = load_preset("embedded")
    every = with_every_data_set(params)
    assert set(every.datasets) == set(READERS) | set(params.datasets) and set(every.synthesis) == set(LAYOUTS)
    for name, line in params.synthesis.items():
        assert every.synthesis[name] == line
    for name, block in params.datasets.items():
        assert every.datasets[name] == block
    assert every.prepared("wflw").parts[-2:] == ("transfer", "wflw")


@pytest.mark.parametrize("name", SMALL)
def test_the_small_sizes_can_be_made(name):
    order = Order(name=name, seed=1, **Synthesis(**SMALL[name]).model_dump(exclude_none=True))
    LAYOUTS[name].check(order)
    assert LAYOUTS[name].plan(order)


def test_real_data_elsewhere_are_not_generated():
    params = load_preset("embedded")
    moved = params.datasets["300w"].model_copy(update={"path": params.data.root / "archive"})
    values = params.model_copy(update={"datasets": params.datasets | {"300w": moved}, "synthesis": {}})
    assert "300w" not in with_every_data_set(values).synthesis
