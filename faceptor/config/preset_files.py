"""The presets: files of `presets/`, of which `base` is complete and each other one says only what it does otherwise.

    extends: base            # the preset that holds where this one is silent
    departures: [...]        # from the paper, each with its reason; `faceptor params diff --paper` prints them
    datasets:
      without: [lapa]        # inherited keys that go; patterns such as '*' too
      aflw19: {role: joint}  # a section is merged key by key, a new key stands after the one it follows here

A list, and a crop, augmentation, criterion or options, is one statement and replaced whole. `null` is a value like any
other, as in params.yaml. `preset_text` is the complete file, in the form that DVC's writer gives it. A comment above or
beside a key is inherited with the key, unless the preset has a comment of its own there or a value of its own beside.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from faceptor.config.inheritance import WHOLE
from faceptor.config.yaml12 import read_yaml
from faceptor.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"
LINE_LENGTH = 80  # characters after which DVC's writer breaks a line
COMMENT = re.compile(r"(?<!\S)# .*")
OF_PRESETS = ("extends", "departures")  # keys that params.yaml does not have


def preset_names() -> list[str]:
    return sorted(file.stem for file in PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """The file of a preset, which may extend another one; see `preset_text`."""
    if name not in preset_names():
        raise ConfigError(f"preset {name!r}: unknown, expected one of {', '.join(preset_names())}")
    return PRESETS / f"{name}.yaml"


@cache
def preset_text(name: str) -> str:
    """The complete params.yaml of a preset, as `faceptor params use` writes it."""
    entries = _complete(name, lambda path: _commented(path.read_text(encoding="utf-8")))
    return "".join(f"{line}\n" for line in _written(entries))


def preset_values(name: str) -> dict:
    """The values of a preset, as `read_yaml` gives those of params.yaml."""
    return _values(_complete(name, lambda path: _bare(read_yaml(path))))


def preset_departures(name: str) -> list[dict]:
    """What the file of a preset says about its departures from the paper: dicts with topic, kind, keys or ours, why."""
    return read_yaml(preset_path(name)).get("departures", [])


@dataclass(frozen=True)
class Entry:
    """A key of a file: its value, or the entries below it, and the comments above and beside it."""

    value: Any = None
    below: dict[str, "Entry"] | None = None  # None: `value` is a number, a text, a list, or a section to replace whole
    above: list[str] = field(default_factory=list)
    beside: str = ""
    flow: bool = False  # {written: so}


def _complete(name: str, read: Callable[[Path], dict[str, Entry]]) -> dict[str, Entry]:
    path = preset_path(name)
    own = read(path)
    if "extends" not in own:
        return own
    inherited = _complete(own["extends"].value, read)
    header, own = own["extends"].above, {key: entry for key, entry in own.items() if key not in OF_PRESETS}
    result = _merged(inherited, own, (path.name,))
    first = next(iter(result))
    return result | {first: replace(result[first], above=header)}


def _bare(section: dict) -> dict[str, Entry]:
    """The entries of a section, without what only a text needs."""
    return {key: Entry(value, _bare(value) if isinstance(value, dict) else None) for key, value in section.items()}


def _values(entries: dict[str, Entry]) -> dict:
    return {key: entry.value if entry.below is None else _values(entry.below) for key, entry in entries.items()}


@cache
def _commented(text: str) -> dict[str, Entry]:
    """The entries of a whole file, with its comments."""
    lines = text.splitlines()
    return _entries(YAML().load("\n".join(COMMENT.sub("", line) for line in lines)), lines)


def _entries(section: Any, lines: list[str]) -> dict[str, Entry]:
    """The entries of a section as ruamel.yaml reads it, which knows the line of each key."""
    found = {}
    for key, value in section.items():
        at = above = section.lc.key(key)[0]
        while above and re.match(r"\s*(#|$)", lines[above - 1]):
            above -= 1
        comment = COMMENT.search(lines[at])
        below = _entries(value, lines) if isinstance(value, dict) else None
        flow = below is not None and bool(section[key].fa.flow_style())
        remarks = {} if section.fa.flow_style() else {"above": lines[above:at], "beside": comment[0] if comment else ""}
        found[str(key)] = Entry(value, below, flow=flow, **remarks)
    return found


def _merged(inherited: dict[str, Entry], own: dict[str, Entry], place: tuple[str, ...]) -> dict[str, Entry]:
    """`own` over `inherited`: see the module."""
    result = dict(inherited)
    for pattern in own["without"].value if "without" in own else ():
        gone = [key for key in result if fnmatchcase(key, pattern)]
        if not gone:
            where, known = ".".join((*place[1:], "without")), ", ".join(result)
            raise ConfigError(f"{place[0]}: {where}: {pattern!r} is no inherited key, expected some of {known}")
        result = {key: entry for key, entry in result.items() if key not in gone}
    keys, before = list(result), None
    for key, entry in own.items():
        if key == "without":
            continue
        if key not in result:
            keys.insert(keys.index(before) + 1 if before else len(keys), key)
        result[key] = _over(result.get(key, Entry()), entry, (*place, key))
        before = key
    return {key: result[key] for key in keys}


def _over(inherited: Entry, own: Entry, place: tuple[str, ...]) -> Entry:
    above = own.above if any(map(str.strip, own.above)) else inherited.above or own.above
    one_statement = place[-1] == "options" or (place[-1] in WHOLE and place[-3:-2] == ("tasks",))
    if own.below is None or inherited.below is None or one_statement:
        return replace(own, above=above)
    beside = own.beside or (inherited.beside if inherited.below and "without" not in own.below else "")
    flow = own.flow and (inherited.flow or own.below.keys() >= inherited.below.keys())
    return Entry(None, _merged(inherited.below, own.below, place), above, beside, flow)


def _written(entries: dict[str, Entry], depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    for key, entry in entries.items():
        yield from entry.above
        blocks = {} if entry.flow else entry.below or {}
        first, *rest = [f"{key}:"] if blocks else _dumped({key: _plain(entry)}, LINE_LENGTH - len(indent))
        yield f"{indent}{first} {entry.beside}" if entry.beside else indent + first
        yield from (indent + line for line in rest)
        if blocks:
            yield from _written(blocks, depth + 1)


def _plain(entry: Entry) -> Any:
    if entry.below is None:
        return _without_style(entry.value)
    section = CommentedMap({key: _plain(each) for key, each in entry.below.items()})
    section.fa.set_flow_style()
    return section


def _without_style(value: Any) -> Any:
    """A list as DVC writes it, one line an item unless a section around it is {written: so}."""
    if isinstance(value, dict):
        return {key: _without_style(each) for key, each in value.items()}
    return [_without_style(each) for each in value] if isinstance(value, list) else value


def _dumped(values: dict, width: int) -> list[str]:
    """The lines that DVC's writer makes of it."""
    writer = YAML()
    writer.default_flow_style, writer.width = False, width
    writer.dump(values, text := StringIO())
    return text.getvalue().splitlines()
