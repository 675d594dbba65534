"""The section `experiments` of params.yaml: variants of the experiment, each trained over several seeds.

A variant says in `overrides` what it does otherwise, as dotted keys (`stage1.steps: 60`) or nested ones
(`stage1: {steps: 60}`, as `dvc exp run -S` writes them; of a key said in both ways the nested one holds).
`experiments.scale` is laid over params.yaml in the same way before. What that means is in `faceptor.pipeline.variants`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from faceptor.config.sections import Section, Seed, each_once
from faceptor.errors import ConfigError

BEGIN_ANEW = ("name", "kind", "policy", "loss")  # keys that say what the others beside them mean
NEED_A_START = ("stage2", "transfer", "nothing")


class Variant(Section):
    """One variant; its runs differ in the seed alone."""

    start: Literal["none", "stage1"] = "none"  # from nothing, or from stage 1 of the same seed, trained under `scale`
    trains: str = "stage1"  # stage1, stage2, transfer, one of `baselines`; nothing = the start itself is judged
    tasks: tuple[str, ...] = ()  # those of the stage that are trained and judged; none named: all
    overrides: dict[str, Any] = Field(default_factory=dict)
    about: str = ""  # one line, for tables


class Experiments(Section):
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), each_once("seed")] = (1, 2, 3)
    scale: dict[str, Any] = Field(default_factory=dict)  # overrides that hold for every variant
    variants: dict[str, Variant] = Field(default_factory=dict)


def check_variants(variants: Mapping[str, Variant], baselines: Iterable[str]) -> None:
    """ValueError, with the key, for a variant that trains what there is not, or not from its start."""
    known = ("stage1", *NEED_A_START, *baselines)
    for name, variant in variants.items():
        where, trains = f"experiments.variants.{name}", variant.trains
        if trains not in known:
            raise ValueError(f"{where}.trains: expected one of {', '.join(known)}, found {trains!r}")
        if trains in NEED_A_START and variant.start == "none":
            raise ValueError(f"{where}.start: expected stage1, because trains is {trains!r}; found none")
        if trains not in ("stage1", *NEED_A_START) and variant.start != "none":
            raise ValueError(f"{where}.start: expected none, because trains is {trains!r}; found {variant.start}")


def dotted(section: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Overrides as dotted key -> value; a list, and an empty section, is a value."""
    found: dict[str, Any] = {}
    for key in sorted(section, key=lambda key: "." not in key):  # the nested ones last, so that they hold
        value, place = section[key], f"{above}{key}"
        found |= dotted(value, f"{place}.") if isinstance(value, dict) and value else {place: value}
    return found


def overridden(values: dict, overrides: Mapping[str, Any]) -> dict:
    """The tree of params.yaml, as written, with other values at dotted keys; `values` stays as it is.

    A section whose name, kind, policy or loss becomes another one begins anew: the keys beside it had another meaning.
    ConfigError, beginning with the key, for a place in a list that is not there.
    """

    def order(key: str) -> tuple[bool, int]:
        return key.rpartition(".")[2] not in BEGIN_ANEW, key.count(".")

    for key in sorted(overrides, key=order):
        values = _replaced(values, key.split("."), overrides[key], key)
    return values


def _replaced(node: Any, keys: list[str], value: Any, whole: str) -> Any:
    first, *rest = keys
    if isinstance(node, list):
        if not (first.isdecimal() and int(first) < len(node)):
            raise ConfigError(f"{whole}: expected a place in a list, 0 to {len(node) - 1}, found {first!r}")
        place = int(first)
        return [*node[:place], _replaced(node[place], rest, value, whole) if rest else value, *node[place + 1 :]]
    node = node if isinstance(node, dict) else {}
    if rest:
        return node | {first: _replaced(node.get(first), rest, value, whole)}
    return {first: value} if first in BEGIN_ANEW and node.get(first) != value else node | {first: value}
