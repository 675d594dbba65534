"""Where a preset departs from its paper, and where the paper is silent: the facts in `protocols.yaml` beside the values
that the preset has.

What is said of a preset is read from it; `protocols.yaml` holds the papers' numbers and the reasons. So a row cannot
state a value that is not there, and a printed number that a preset does not hold is a row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from faceptor.config import Params, load_preset, preset_names
from faceptor.config.inheritance import inherited_from
from faceptor.config.preset_files import preset_departures
from faceptor.config.sections import NAMED_AFTER_DATA_SETS, spelled
from faceptor.config.yaml12 import parse_yaml
from faceptor.errors import ConfigError

SMALL_COPY_SECTIONS = ("model.", "stage1.", "stage2.", "transfer.")  # where a small copy is compared with its original
BOOKKEEPING = ("*.validate_every", "*.validate_samples", "*.checkpoint_every", "*.log_every")  # shapes no weights
ABSENT = "-"


@dataclass(frozen=True)
class Printed:
    """A number or name that a paper prints: the key of params.yaml that holds it, and where it is printed."""

    key: str
    value: Any
    where: str


@dataclass(frozen=True)
class Row:
    """One departure. kind: "departs", "silent" or "reading"; ours: key -> the preset's value, or {"": what is done}."""

    topic: str
    kind: str
    paper: str
    ours: dict[str, Any]
    why: str

    def as_dict(self) -> dict:
        return asdict(self)


@cache
def shipped(name: str) -> Params:
    """A preset as it is shipped; it does not change while a program runs."""
    return load_preset(name)


@cache
def facts() -> dict:
    """The whole of `protocols.yaml`."""
    return parse_yaml((files("faceptor.analysis") / "protocols.yaml").read_text(encoding="utf-8"))


def flat(params: Params) -> dict[str, Any]:
    """Dotted key, as written in params.yaml, -> value. Lists are values; so are sections that are empty."""

    def leaves(tree: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if isinstance(tree, dict) and tree:
            for key, value in tree.items():
                yield from leaves(value, (*keys, spelled(key) if keys and keys[0] in NAMED_AFTER_DATA_SETS else key))
        else:
            yield ".".join(keys), tree

    return dict(leaves(params.model_dump(mode="json"), ()))


def differences(ours: Params, other: Params) -> dict[str, tuple[Any, Any]]:
    """Key -> (value in `ours`, value in `other`) where the two differ; "-" where a key is absent. What a baseline
    inherits is told once, where it comes from."""
    here, there = flat(ours), flat(other)
    keys = [*here, *(key for key in there if key not in here)]
    pairs = {key: (here.get(key, ABSENT), there.get(key, ABSENT)) for key in keys}
    found = {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and {*map(str, pair)} != {ABSENT, "{}"}}
    return {key: pair for key, pair in found.items() if found.get(_inherited(key)) != pair}


def _inherited(key: str) -> str:
    """The key that gives a baseline this value, if it does not say its own; "" for other keys."""
    source = inherited_from(tuple(key.split(".")))
    return ".".join(source) if source else ""


def nearest(params: Params) -> str:
    """The preset from which a configuration differs in the fewest keys."""
    return min(preset_names(), key=lambda name: len(differences(params, shipped(name))))


# --- what the papers print ------------------------------------------------------------------------------------------


def printed(preset: str) -> list[Printed]:
    """What the paper prints about a preset's training, key by key; patterns of keys as they stand in the facts."""
    about = _about(preset)
    found = [
        Printed(key, value, group["where"])
        for name in about["printed"]
        for group in [facts()["printed"][name]]
        for key, value in group["values"].items()
    ]
    if "table_2" in about:
        return [*_table_2(about["table_2"], weights="naive_weights" not in about["printed"]), *found]
    return found


def _table_2(column: str, *, weights: bool) -> Iterator[Printed]:
    where = "Faceptor, Table 2"
    for task, (_, *numbers) in facts()["table_2"].items():
        samples, weight = numbers[:2] if column == "base" else numbers[2:]
        if samples is not None:
            yield Printed(f"stage1.tasks.{task}.samples", samples, where)
            if weights:
                yield Printed(f"stage1.tasks.{task}.weight", weight, where)


def not_as_printed(preset: str, params: Params | None = None) -> dict[str, Printed]:
    """Key -> what is printed, of every printed value that the preset (or `params` in its place) does not hold."""
    values = flat(params or shipped(preset))
    wrong = {}
    for item in printed(preset):
        for key in matching(item.key, values) or [item.key]:
            if values.get(key, ABSENT) != item.value:
                wrong[key] = item
    return wrong


# --- the table ------------------------------------------------------------------------------------------------------


def recorded(preset: str) -> list[dict]:
    """What is recorded about a preset's departures: in the facts, and in its own file."""
    own = [{"kind": "departs", **entry} for entry in preset_departures(preset)]
    return [entry for entry in facts()["departures"] if preset in entry["presets"]] + own


def departures(preset: str, params: Params | None = None) -> list[Row]:
    """The table of a preset, or of `params` by that preset's paper and reasons."""
    values = flat(params or shipped(preset))
    wrong = not_as_printed(preset, params)
    copied = copied_differences(preset, params)
    rows, told = [], set()
    for entry in recorded(preset):
        keys = [key for pattern in entry.get("keys", ()) for key in matching(pattern, {**values, **wrong, **copied})]
        if entry["kind"] == "departs" and keys:
            keys = [key for key in keys if key in wrong or key in copied or "paper" in entry]
        told.update(keys)
        if keys or "ours" in entry:
            ours = {key: values.get(key, ABSENT) for key in keys} or {"": entry["ours"]}
            paper = entry.get("paper") or _paper_says(keys, wrong, copied)
            rows.append(Row(entry["topic"], entry["kind"], paper, ours, entry["why"]))
    rest = {key: item for key, item in (wrong | copied).items() if key not in told}
    return rows + [
        Row(key, "departs", _paper_says([key], wrong, copied), {key: values.get(key, ABSENT)}, "no reason is recorded")
        for key in rest
    ]


def copied_differences(preset: str, params: Params | None = None) -> dict[str, Any]:
    """Key -> the original's value, where a preset is a small copy of another one and differs in what shapes weights."""
    original = _about(preset).get("small_copy_of")
    if original is None:
        return {}
    differing = differences(params or shipped(preset), shipped(original))
    return {
        key: theirs
        for key, (_, theirs) in differing.items()
        if key.startswith(SMALL_COPY_SECTIONS) and not any(fnmatchcase(key, pattern) for pattern in BOOKKEEPING)
    }


def matching(pattern: str, keys: Mapping[str, Any]) -> list[str]:
    """Keys that a pattern matches, or that lie below it."""
    return [key for key in keys if fnmatchcase(key, pattern) or key.startswith(f"{pattern}.")]


def _paper_says(keys: list[str], wrong: Mapping[str, Printed], copied: Mapping[str, Any]) -> str:
    """What the paper prints about keys; for a small copy, else what its original has."""
    said = compact({key: wrong[key].value for key in keys if key in wrong})
    where = ", ".join(dict.fromkeys(wrong[key].where for key in keys if key in wrong))
    return "; ".join([*said, f"({where})"]) if said else "; ".join(compact({k: copied[k] for k in keys if k in copied}))


def compact(values: Mapping[str, Any], *, most: int = 4) -> list[str]:
    """Lines "key: value". Where there are more than `most`, tasks and modes become "*" with all their values."""
    if len(values) <= most:
        return [f"{key}: {shown(value)}" for key, value in values.items()]
    groups: dict[str, list[str]] = {}
    for key, value in values.items():
        if value != ABSENT:
            group = groups.setdefault(re.sub(r"\.(tasks|modes)\.[^.]+", r".\1.*", key), [])
            group.extend([shown(value)] if shown(value) not in group else [])
    return [f"{key}: {', '.join(found)}" for key, found in groups.items()]


def shown(value: Any) -> str:
    """A value as in params.yaml, on one line."""
    return "null" if value is None else yaml.safe_dump(value, default_flow_style=True, width=10_000).split("\n")[0]


def _about(preset: str) -> dict:
    if preset not in facts()["presets"]:
        raise ConfigError(f"preset {preset!r}: unknown, expected one of {', '.join(facts()['presets'])}")
    return facts()["presets"][preset]
