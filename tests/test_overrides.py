"""`dvc exp run -S key=value`: every key of every preset can be set, is one line of the file, and means something."""

import difflib
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from faceptor.config import parse, preset_names, preset_text
from faceptor.errors import ConfigError


def leaves(node, keys=()):
    """(keys, value) of everything that is no section and no list; an empty one is a leaf."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def dotted(keys) -> str:
    return ".".join(map(str, keys))


def other(value, number: int):
    """Another value of the same type; numbers and words are like no other in the file."""
    if isinstance(value, bool):
        return not value
    if value is None or isinstance(value, int):
        return 1000 + number
    if isinstance(value, float):
        return round(value / 2 + number * 1e-6, 9)
    return f"word{number}" if isinstance(value, str) else [f"word{number}"]


def replaced(node, keys, value):
    """The tree with another value in one place; everything beside the way to it is shared."""
    if not keys:
        return value
    first, *rest = keys
    if isinstance(node, list):
        return [replaced(item, rest, value) if i == first else item for i, item in enumerate(node)]
    return node | {first: replaced(node[first], rest, value)}


def texts(path: Path, *overrides: str) -> tuple[list[str], list[str]]:
    before = path.read_text().splitlines()
    apply_overrides(path, list(overrides))
    return before, path.read_text().splitlines()


@pytest.fixture(params=preset_names())
def preset(request, tmp_path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(preset_text(request.param))
    return path


def test_every_key_can_be_set_and_changes_no_other(preset):
    places = list(leaves(load_yaml(preset)))
    # An empty section or list has nothing below it that could be set by its own key.
    chosen = {keys: other(value, i) for i, (keys, value) in enumerate(places) if value not in ({}, [])}
    before, after = texts(preset, *(f"{dotted(keys)}={str(value).lower()}" for keys, value in chosen.items()))
    assert dict(leaves(load_yaml(preset))) == dict(places) | chosen
    assert comments(before) == comments(after)


def comments(lines: list[str]) -> list[str]:
    return [line.partition("#")[2] for line in lines if "#" in line]


@pytest.mark.parametrize(
    "override",
    ["stage1.steps=123", "stage1.trainable.0=queries", "stage1.optimiser.multipliers.0.rate=5", "data.root=x"],
)
def test_one_key_is_one_line(preset, override):
    before, after = texts(preset, override)
    lines = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[0] in "+-"][2:]
    assert len(lines) == 2, lines


def test_every_key_means_something(preset):
    """A value that nobody reads would be a key that does nothing."""
    values = load_yaml(preset)
    unchanged = parse(values)
    for number, (keys, value) in enumerate(leaves(values)):
        if keys[0] == "experiments" and keys[1] != "seeds":
            continue  # of variants, `Variants.check` refuses what changes nothing
        try:
            assert parse(replaced(values, keys, other(value, number))) != unchanged, dotted(keys)
        except ConfigError as error:
            named = [key for key in keys if isinstance(key, str)][-1]
            assert named in str(error), f"{dotted(keys)}: {error}"
