"""`model.json` of a model folder: read with bounds, and checked by the rules that params.yaml follows.

A folder may come from anywhere. What it says is compared with what the package knows (the model section, kinds of task,
crops) and with the weights beside it before anything is built.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.config import ModelConfig, model_config
from faceptor.errors import ConfigError, FaceptorError, WeightsError
from faceptor.io.regular import MIB, read_regular, sha256_of
from faceptor.tasks import TaskSpec, kind_of
from faceptor.transforms.crop import CropSpec
from faceptor.weights.starting import BACKBONE_WEIGHTS, ENCODER_WEIGHTS, LARGEST_WEIGHTS_BYTES

FORMAT = 2  # as written
READABLE_FORMATS = (1, 2)  # as read; 1 has other names of tensors, see `folder.NAMES_IN_FORMAT_1`
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"
LARGEST_DESCRIPTION_BYTES = 16 * MIB  # with many tasks it has some tens of thousands
MAX_NESTING = 32  # levels of lists and sections within each other
MAX_FRAMING_EDGE = 100.0  # in face boxes, from the centre of the face
FIELDS = {"model": dict, "tasks": list, "structure": dict, "crops": dict, "weights": str, "provenance": dict}
TASK_FIELDS = {"name": str, "kind": str, "dataset": str, "labels": list, "options": dict}
TASK_NAME = re.compile(r"[\w-]{1,128}", re.ASCII)  # files are named after it
WORDS_FOR_TYPES = {dict: "a section", list: "a list", str: "a text"}


def read_description(folder: Path | str) -> dict[str, Any]:
    """model.json of a model folder: plain values of the right types. Raises WeightsError, in a line, for any other."""
    path = Path(folder) / DESCRIPTION
    if not path.exists() and not path.is_symlink():
        raise _no_model(Path(folder))
    text = read_regular(path, largest=LARGEST_DESCRIPTION_BYTES, error=WeightsError, remedy="restore it")
    try:
        description = json.loads(text, parse_constant=_refuse, parse_int=_whole)
    except (ValueError, RecursionError) as error:  # JSON and text encoding; levels beyond what Python follows
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise WeightsError(f"{path}: not valid JSON ({reason}); restore it") from None
    if not isinstance(description, dict):
        raise WeightsError(f"{path}: expected a section, found {type(description).__name__}; restore it")
    if description.get("format") not in READABLE_FORMATS or not isinstance(description["format"], int):
        expected, found = " or ".join(map(str, READABLE_FORMATS)), _short(description.get("format"))
        raise WeightsError(f"{path}: format expected {expected}, found {found}; save it anew")
    missing = FIELDS.keys() - description.keys()
    if missing:
        raise WeightsError(f"{path}: {', '.join(sorted(missing))} missing; restore the file")
    if _depth(description) > MAX_NESTING:
        raise WeightsError(f"{path}: nested more than {MAX_NESTING} deep; restore the file")
    for key, kind in FIELDS.items():
        _expect(path, key, description[key], kind)
    _check_data(path, description["provenance"].get("data"))
    return description


def config_in(path: Path, section: Mapping[str, Any]) -> ModelConfig:
    """The model section of a file. Raises WeightsError naming every key that params.yaml would not take."""
    try:
        return model_config(section, origin=f"{path}: model")
    except ConfigError as error:
        raise WeightsError(f"{error}; saved by another version?") from None


def tasks_in(path: Path, entries: list) -> list[TaskSpec]:
    """The tasks of a file that describes them. Raises WeightsError where an entry is no task that exists here."""
    specs = []
    for index, entry in enumerate(entries):
        where = f"tasks[{index}]"
        _expect(path, where, entry, dict)
        if odd := sorted(entry.keys() ^ TASK_FIELDS.keys()):
            raise WeightsError(f"{path}: {where}: {odd[0]}: missing or unknown; expected {', '.join(TASK_FIELDS)}")
        for key, kind in TASK_FIELDS.items():
            _expect(path, f"{where}.{key}", entry[key], kind)
        for number, label in enumerate(entry["labels"]):
            _expect(path, f"{where}.labels[{number}]", label, str)
        try:
            spec = TaskSpec.from_dict(entry)
            kind_of(spec).check(spec)
        except FaceptorError as error:
            raise WeightsError(f"{path}: {where}: {error}") from None
        if not TASK_NAME.fullmatch(spec.name):
            raise WeightsError(f"{path}: {where}.name: expected letters, digits and _, found {_short(spec.name)}")
        specs.append(spec)
    return specs


def crops_in(path: Path, crops: dict) -> dict[str, dict]:
    """Task -> its crop, plain values, of a file that describes them. Raises WeightsError for crops and framings that
    cannot be."""
    for task, crop in crops.items():
        where = f"crops.{task}"
        _expect(path, where, crop, dict)
        try:
            CropSpec.from_dict({key: value for key, value in crop.items() if key != "framing"})
        except (FaceptorError, TypeError) as error:
            raise WeightsError(f"{path}: {where}: {error}") from None
        if crop.get("framing") is not None:
            _check_framing(path, f"{where}.framing", crop["framing"])
    return crops


def model_hash(folder: Path | str) -> str:
    """Content hash (hex) of the weights as they are on disk and of all that shapes the model; not of its provenance."""
    folder = Path(folder)
    facts = {key: value for key, value in read_description(folder).items() if key != "provenance"}
    facts["weights"] = weights_hash(folder / WEIGHTS)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def weights_hash(path: Path) -> str:
    """SHA-256 (hex) of a weights file."""
    remedy = "`dvc pull` fetches the weights of model folders"
    return sha256_of(path, largest=LARGEST_WEIGHTS_BYTES, error=WeightsError, remedy=remedy)


def plain(value: Any) -> Any:
    """Values as JSON keeps them; numbers that it does not have (nan, inf) become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _no_model(folder: Path) -> WeightsError:
    parts = {"encoder": folder / ENCODER_WEIGHTS, "backbone": folder / BACKBONE_WEIGHTS}
    for part, file in parts.items():
        if file.exists():
            return WeightsError(
                f"{folder}: holds a pre-trained {part} without tasks, expected a model; train from it with "
                f"model.{part}.pretrained: {file}"
            )
    return WeightsError(f"{folder / DESCRIPTION}: not found; `dvc pull` or `dvc repro` makes model folders")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _depth(value: Any) -> int:
    """Levels of lists and sections, counted no further than one beyond the deepest allowed."""
    levels, current = 0, [value]
    while current and levels <= MAX_NESTING:
        sections = [each for each in current if isinstance(each, dict | list)]
        current = [item for each in sections for item in (each.values() if isinstance(each, dict) else each)]
        levels += 1
    return levels


def _expect(path: Path, key: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise WeightsError(f"{path}: {key}: expected {WORDS_FOR_TYPES[kind]}, found {_short(value)}; restore the file")


def _check_framing(path: Path, key: str, value: Any) -> None:
    right = isinstance(value, list) and len(value) == 4 and all(type(edge) in (int, float) for edge in value)
    if not right or not (value[0] < value[2] and value[1] < value[3]) or max(map(abs, value)) > MAX_FRAMING_EDGE:
        raise WeightsError(
            f"{path}: {key}: expected left, top, right, bottom in face boxes, within {MAX_FRAMING_EDGE:g}, found "
            f"{_short(value)}; restore the file"
        )


def _check_data(path: Path, data: Any) -> None:
    """What taught each task: sections, because every verb looks into them."""
    if data is None:
        return
    _expect(path, "provenance.data", data, dict)
    for task, facts in data.items():
        _expect(path, f"provenance.data.{task}", facts, dict)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
