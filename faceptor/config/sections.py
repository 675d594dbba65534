"""What the sections of params.yaml are made of, and how a value that does not fit is explained."""

import difflib
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Tag,
    ValidationError,
    WrapValidator,
)


def _real(value: Any) -> Any:
    if isinstance(value, (bool, str)):  # pydantic would take true for 1 and text for a number
        raise ValueError("expected a number")
    return value


def _expanded(value: Any) -> Any:
    """A path with `~`, `~name`, `$VAR` and `${VAR}` filled in; one that cannot be filled in is an error."""
    if not isinstance(value, (str, Path)):
        return value
    text = os.path.expanduser(os.path.expandvars(str(value)))
    if missing := re.search(r"\$(\w+|\{\w*\})", text):
        raise ValueError(f"the environment has no variable {missing[0]}; set it, or write the path in full")
    if text.startswith("~"):
        raise ValueError(f"no home folder is known for {text.split(os.sep)[0]}; write the path in full")
    return Path(text)


Place = Annotated[Path, BeforeValidator(_expanded)]  # every path of params.yaml
Real = Annotated[float, BeforeValidator(_real), Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Share = Annotated[Real, Field(ge=0, lt=1)]
Whole = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Count = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Flag = Annotated[bool, Field(strict=True)]

Value = TypeVar("Value")
# null, or the word `none` where null means "as elsewhere" (in a baseline).
OrNone = Annotated[Value | None, BeforeValidator(lambda value: None if value == "none" else value)]


NAMED_AFTER_DATA_SETS = ("synthesis", "datasets")  # sections whose keys are data sets


def spelled(dataset: str) -> str:
    """A data set as a key of params.yaml and as a folder below `data`: DVC can set no key that starts with a digit, so
    such a name has an underscore before it ("300w" -> "_300w")."""
    return f"_{dataset}" if dataset[:1].isdigit() else dataset


def unspelled(key: str) -> str:
    """The data set that a key stands for; both spellings are understood ("_300w", "300w" -> "300w")."""
    return re.sub(r"^_(?=\d)", "", key)


DataSet = Annotated[str, AfterValidator(unspelled)]


def each_once(what: str) -> AfterValidator:
    """A list in which nothing may stand twice."""

    def check(values: tuple) -> tuple:
        if len(set(values)) < len(values):
            raise ValueError(f"expected every {what} once")
        return values

    return AfterValidator(check)


def either(expected: str) -> WrapValidator:
    """A union that says in words what it takes; pydantic would tell each member's reasons, by names of its own."""

    def check(value: Any, members: Callable[[Any], Any]) -> Any:
        try:
            return members(value)
        except ValidationError:
            raise ValueError(f"expected {expected}") from None

    return WrapValidator(check)


class Section(BaseModel):
    """A block of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AtKey(ValueError):
    """A value that does not fit, at a key below the section whose validator found it."""

    def __init__(self, key: str, message: str):
        super().__init__(message)
        self.key = key


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """The nearest of the known keys, or all of them."""
    near = difflib.get_close_matches(key, known := list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known) or 'none'}"


def all_explained(error: ValidationError, *, root: Any, origin: str) -> str:
    """Everything that a validation found, as `explain` says it."""
    return "; ".join(explain(each, root=root, origin=origin) for each in error.errors())


def explain(item: Mapping[str, Any], *, root: Any, origin: str) -> str:
    """One validation error of pydantic in words: origin, dotted key, what was expected, what was found.

    root: the section or type that was validated.
    """
    keys, _ = _walk(item["loc"], root)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        _, section = _walk(item["loc"][:-1], root)
        message = f"unknown key; {did_you_mean(str(item['loc'][-1]), sorted(getattr(section, 'model_fields', {})))}"
    elif item["type"] == "missing":
        message = "missing"
    elif item["type"] == "union_tag_invalid":  # a section whose `name` chooses what the other keys mean
        keys, known = [*keys, "name"], item["ctx"]["expected_tags"].replace("'", "")
        message = f"unknown, expected one of {known}, found {item['ctx']['tag']!r}"
    elif isinstance(reason := item.get("ctx", {}).get("error"), AtKey):
        keys = [*keys, reason.key]
    elif item["loc"] and not isinstance(item["input"], dict):
        message = f"{message}, found {reprlib.repr(item['input'])}"
    if len(keys) > 1 and keys[0] in NAMED_AFTER_DATA_SETS:
        keys[1] = spelled(str(keys[1]))
    location = ".".join(map(str, keys))
    return f"{origin}: {location}: {message}" if location else f"{origin}: {message}"


def written_keys(location: tuple, root: Any) -> tuple:
    """A location of pydantic as the keys of the file."""
    return tuple(_walk(location, root)[0])


def _walk(location: tuple, root: Any) -> tuple[list, Any]:
    """The keys as they are written in the file, and the section they lead to.

    pydantic's locations also name the chosen member of a tagged union, which is no key of the file.
    """
    keys, section = [], root
    for part in location:
        members = _tagged(section)
        if part in members:
            section = members[part]
            continue
        keys.append(part)
        fields = getattr(section, "model_fields", {})
        annotation = fields[part].annotation if part in fields else section
        inner = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, Section)]
        section = inner[-1] if inner else annotation
    return keys, section


def _tagged(annotation: Any) -> dict[str, Any]:
    """tag -> member of a union of Annotated[section, Tag(tag)]."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    members = [(get_args(a)[0], get_args(a)[1:]) for a in get_args(annotation) if get_origin(a) is Annotated]
    return {mark.tag: member for member, marks in members for mark in marks if isinstance(mark, Tag)}
