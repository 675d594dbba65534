"""What a baseline does not say, and how the keys of data sets are spelt: params.yaml as written -> as it is meant.

A baseline's `model` inherits from `model` every key that both structures know in the same way, its `train` everything
of `stage1`. A section is merged key by key; a crop, an augmentation, a criterion, options and lists are one statement
and replaced whole. `null` stands for "as there", so that a key can be present, and set by `dvc exp run -S`, without
saying anything. A baseline that lists tasks trains exactly those, each with what `stage1` says of the task where the
baseline does not; one without `tasks` trains those of `stage1`.
"""

import re
from typing import Any

from faceptor.config.model import MODELS, name_of
from faceptor.config.sections import NAMED_AFTER_DATA_SETS, unspelled
from faceptor.errors import ConfigError

WHOLE = {"train", "test", "augment", "criterion", "options"}  # sections of which a part means nothing without the rest


def as_meant(values: dict) -> dict:
    """The tree of params.yaml with data sets by their names and every baseline complete; `values` stays as it is."""
    _check_keys(values)
    values = dict(values)
    for section in NAMED_AFTER_DATA_SETS:
        if isinstance(values.get(section), dict):
            values[section] = {unspelled(key): block for key, block in values[section].items()}
    if isinstance(values.get("baselines"), dict):
        values["baselines"] = {name: _baseline(block, values) for name, block in values["baselines"].items()}
    return values


def _check_keys(values: dict, above: str = "") -> None:
    """Every key must be one that `dvc exp run -S` can set; below `options` stands what others define."""
    for key, value in values.items():
        place = f"{above}{key}"
        if above.startswith("experiments.") and key in ("scale", "overrides"):
            continue  # dotted keys of other sections, which are checked there
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][\w-]*", key, re.ASCII):
            instead = f"write {above}_{key}" if str(key)[:1].isdigit() and above else "choose another name"
            raise ConfigError(f"{place}: DVC sets no such key (letters, digits, _ and -, no digit first); {instead}")
        if isinstance(value, dict) and key not in ("options", "multipliers", "muon"):
            _check_keys(value, f"{place}.")


def says(values: Any, keys: tuple) -> bool:
    """Whether a tree says anything (not only `null`) at or below a place."""
    for key in keys:
        if isinstance(values, list):
            return True  # a list is said as a whole
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    if isinstance(values, dict) and values:
        return any(says(values, (key,)) for key in values)
    return values is not None


def inherited_from(keys: tuple) -> tuple | None:
    """The place whose value a key of a baseline has if it says none itself."""
    match keys:
        case ("baselines", _, "model", *rest):
            return ("model", *rest)
        case ("baselines", _, "train", *rest):
            return ("stage1", *rest)
    return None


def _baseline(block: Any, values: dict) -> Any:
    model, stage1 = values.get("model"), values.get("stage1")
    if not isinstance(block, dict) or not isinstance(model, dict) or not isinstance(stage1, dict):
        return block
    own, train = block.get("model") or {}, block.get("train") or {}
    if isinstance(own, dict):
        own = _merged(_shared(model, own), own)
    if isinstance(train, dict):
        tasks, theirs = train.get("tasks"), stage1.get("tasks")
        train = _merged(stage1, {key: value for key, value in train.items() if key != "tasks"})
        if isinstance(tasks, dict):
            theirs = theirs if isinstance(theirs, dict) else {}
            train["tasks"] = {name: _task(task, theirs.get(name)) for name, task in tasks.items()}
            if isinstance(train.get("select"), list) and not says(block, ("train", "select")):
                train["select"] = [name for name in train["select"] if name in list(tasks)]
        elif tasks is not None:
            train["tasks"] = tasks
    return block | {"model": own, "train": train}


def _task(own: Any, theirs: Any) -> Any:
    theirs = theirs if isinstance(theirs, dict) else {}
    return _merged(theirs, own or {}) if isinstance(own or {}, dict) else own


def _shared(model: dict, own: dict) -> dict:
    """The keys of `model` that mean the same in the structure of a baseline."""
    sections = [MODELS[name].model_fields if (name := name_of(each)) in MODELS else {} for each in (model, own)]
    alike = {key for key, field in sections[0].items() if key in sections[1] and _same(field, sections[1][key])}
    return {key: value for key, value in model.items() if key in alike - {"name"}}


def _same(field, other) -> bool:
    return (field.annotation, field.metadata) == (other.annotation, other.metadata)


def _merged(theirs: dict, own: dict, *, whole: bool = False) -> dict:
    """`own` over `theirs`; whole: only where `own` has the key."""
    result = {} if whole else dict(theirs)
    for key, value in own.items():
        if value is None:
            if key in theirs:
                result[key] = theirs[key]
        elif isinstance(value, dict) and isinstance(theirs.get(key), dict):
            result[key] = _merged(theirs[key], value, whole=whole or key in WHOLE)
        else:
            result[key] = value
    return result
