"""The fewest pictures that may be asked for make a data set that its own reader accepts; fewer are refused by name."""

import pytest

from faceptor.errors import ConfigError
from faceptor.prepared.prepare import prepare
from faceptor.synthesis import LAYOUTS, synthesize
from faceptor.synthesis.writers import layout as layouts
from tests.synthesis.fake import fake_render


def fewest(name):
    """The smallest counts of a layout: nothing where it says nothing, but one picture in all."""
    layout = LAYOUTS[name]
    counts = {split: layout.min_pictures.get(split, 0) if split in layout.splits else 0 for split in ("train", "test")}
    if not any(counts.values()):
        counts[layout.splits[-1]] = 1
    return counts


def make(name, root, **counts):
    size = {} if name == "ferplus" else {"image_size": 48}
    synthesize(name, root, seed=1, workers=1, **size, **dict.fromkeys(LAYOUTS[name].needs, 1), **counts)


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_reader_accepts_the_fewest_and_a_few_more(name, more, tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "render", fake_render)
    counts = {split: count + more * (split in LAYOUTS[name].splits) for split, count in fewest(name).items()}
    if name == "ms1mv3":
        counts["test"] = 0
    make(name, tmp_path / name, **counts)
    card = prepare(name, tmp_path / name, tmp_path / "out", validation=0.0, seed=1)
    assert card["generated"] and sum(card["counts"].values()) == sum(counts.values()) - dropped(card)
    assert card["rejects"]["count"] == 0
    assert not [c for c in card["checks"] if "as many as generated" in c["name"] and c["status"] == "fail"]


def dropped(card):
    return sum(card["dropped"].values())


@pytest.mark.parametrize("name", [name for name in LAYOUTS if LAYOUTS[name].min_pictures])
def test_fewer_are_refused_by_their_key(name, tmp_path):
    for split, count in LAYOUTS[name].min_pictures.items():
        if split in LAYOUTS[name].splits:
            with pytest.raises(ConfigError, match=rf"synthesis.*{name}.{split}: .*{count}") as caught:
                make(name, tmp_path / name, **fewest(name) | {split: count - 1})
            assert not (tmp_path / name).exists() and "\n" not in str(caught.value)
