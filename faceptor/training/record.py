"""What shapes a training run, fact by fact, under the names that the facts have in params.yaml.

A checkpoint holds the record of its run. The same command goes on from it only where no fact differs, and says which
one does where it starts anew.
"""

from collections.abc import Mapping
from typing import Any

from faceptor.config import Sampling, Stage
from faceptor.io.words import few

Record = dict[str, Any]
"""Dotted key -> plain value (number, text, list or None)."""

# on the weights; what precision "auto" means is recorded
WITHOUT_EFFECT = {"log_every", "checkpoint_every", "precision", "checkpoint_activations", "cuda_graph"}
OF_OTHER_RUNS = {"tasks", "matrix", "modes", "merged", "start"}  # tasks of this run come with its sampling
LEFT_OUT = {"compile": "none", "accumulate": 1}  # facts where they are not this, so that older runs go on
FORMAT_KEY = "checkpoint format"
FACTS_NAMED = 4  # in a message
LONGEST_VALUE = 60  # characters, in a message
ABSENT = "absent"


def stage_facts(stage: Stage, sampling: Mapping[str, Sampling], *, section: str) -> Record:
    """The numbers of a stage and of the tasks it trains. section: where it is written, e.g. "stage1"."""
    values = stage.model_dump(mode="json", exclude=WITHOUT_EFFECT | OF_OTHER_RUNS)
    values = {key: value for key, value in values.items() if key not in LEFT_OUT or value != LEFT_OUT[key]}
    tasks = {name: each.model_dump(mode="json") for name, each in sampling.items()}
    return flatten(values, section) | flatten(tasks, f"{section}.tasks")


def flatten(values: Mapping[str, Any], prefix: str) -> Record:
    """{"a": {"b": 1}, "c": [{"d": 2}]} under "s" -> {"s.a.b": 1, "s.c[0].d": 2}; what is empty stays as it is."""
    flat: Record = {}
    for key, value in values.items():
        name = f"{prefix}.{key}"
        parts = {name: value}
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            parts = {f"{name}[{place}]": item for place, item in enumerate(value)}
        for part, item in parts.items():
            flat |= flatten(item, part) if isinstance(item, Mapping) and item else {part: item}
    return flat


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The facts that differ as "key old -> new; ..."; at most a few are named. Empty if none does."""
    if old.get(FORMAT_KEY) != new.get(FORMAT_KEY):  # facts of another format are not comparable
        old, new = ({FORMAT_KEY: record.get(FORMAT_KEY)} for record in (old, new))
    keys = [key for key in {**new, **old} if old.get(key, ABSENT) != new.get(key, ABSENT)]

    def said(key: str) -> str:
        return f"{key} {_text(old.get(key, ABSENT))} -> {_text(new.get(key, ABSENT))}"

    return few(keys, FACTS_NAMED, between="; ", said=said)


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
