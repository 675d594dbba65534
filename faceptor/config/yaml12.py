"""Reading the YAML files that people write: YAML 1.2 as DVC reads it, of which nothing can be taken as something else.

A key given twice, an anchor, an alias, a merge key, a tag, a number that other readers take as another and a file in
another encoding are errors with the line, so that what is read is what is written. Size and depth are bounded.
"""

from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from faceptor.errors import ConfigError
from faceptor.io.regular import MIB, read_regular

LARGEST = MIB  # bytes; a whole params.yaml has less than a twentieth of it
DEEPEST = 32  # sections and lists within each other
LONGEST_NUMBER = 40  # characters
BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
NUMBERS = {"tag:yaml.org,2002:int": int, "tag:yaml.org,2002:float": float}
WITHOUT_ANCHORS = "write the values out (what a baseline shares with `model` and `stage1` it inherits)"


def read_yaml(path: Path | str, *, largest: int = LARGEST, remedy: str = "correct it") -> Any:
    """The values of a YAML file: sections as dicts, lists, texts, numbers, booleans, None.

    ConfigError, in one line with the file, for what is no regular file of at most `largest` bytes, no UTF-8, no YAML,
    or ambiguous (see above). remedy: what to do where the file is missing.
    """
    data = read_regular(path, largest=largest, error=ConfigError, remedy=remedy)
    try:
        return parse_yaml(decoded(data))
    except ValueError as reason:
        raise ConfigError(f"{path}: {reason}") from None


def decoded(data: bytes) -> str:
    """UTF-8 as text, with or without a byte order mark; ValueError that names what it is instead."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        encoding = BYTE_ORDER_MARKS.get(data[:2], "another encoding, e.g. Latin-1")
        line = data[: reason.start].count(b"\n") + 1
        raise ValueError(f"line {line}: expected text in UTF-8, found {encoding}; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("expected text in UTF-8, found zero bytes (UTF-16?); save it as UTF-8")
    return text


def parse_yaml(text: str) -> Any:
    """The values of one YAML document; ValueError with the line for anything that is not plain and plainly said."""
    try:
        return _Document(text).read()
    except YAMLError as reason:
        said = str(reason).replace('in "<unicode string>", ', "in ")
        raise ValueError(f"not valid YAML: {' '.join(said.split())}") from None


class _Document:
    """Builds values from the events of a parser, which come as they are asked for."""

    def __init__(self, text: str):
        reader = YAML(typ="safe")
        self.resolver, self.events = reader.resolver, reader.parse(text)

    def read(self) -> Any:
        result, begun = None, False
        for event in self.events:
            if isinstance(event, events.DocumentStartEvent):
                if event.version or event.tags:
                    raise _wrong(event, "directives (%) are not read here; remove it")
                if begun:
                    raise _wrong(event, "expected one document, found a second; remove what follows ---")
                begun = True
            elif isinstance(event, events.NodeEvent):
                result = self._value(event, 0)
        return result

    def _value(self, event: Any, depth: int, *, is_key: bool = False) -> Any:
        """What begins with an event, inside so many sections and lists."""
        _check_plain(event)
        if isinstance(event, events.ScalarEvent):
            return self._scalar(event, is_key)
        if is_key:
            raise _wrong(event, "expected a word as key, found a section or a list")
        if depth >= DEEPEST:
            raise _wrong(event, f"sections and lists within each other, more than {DEEPEST} deep")
        if isinstance(event, events.MappingStartEvent):
            return self._section(depth + 1)
        return [self._value(item, depth + 1) for item in self._inside()]

    def _section(self, depth: int) -> dict:
        section, lines = {}, {}
        for event in self._inside():
            key = self._value(event, depth, is_key=True)
            if key in lines:
                raise _wrong(event, f"key {key} stands here a second time, first in line {lines[key]}")
            lines[key] = event.start_mark.line + 1
            section[key] = self._value(next(self.events), depth)
        return section

    def _inside(self) -> Iterator[Any]:
        """The events with which the parts of the open section or list begin."""
        while not isinstance(event := next(self.events), events.CollectionEndEvent):
            yield event

    def _scalar(self, event: Any, is_key: bool) -> Any:
        text = event.value
        if event.style in ("'", '"', "|", ">"):
            return text
        if text == "<<" and is_key:
            raise _wrong(event, f"merge key << is not read here; {WITHOUT_ANCHORS}")
        tag = str(self.resolver.resolve(ScalarNode, text, (True, False)))
        if tag == "tag:yaml.org,2002:null":
            return None
        if tag == "tag:yaml.org,2002:bool":
            return text.lower() == "true"
        return _number(event, NUMBERS[tag]) if tag in NUMBERS else text


def _wrong(event: Any, said: str) -> ValueError:
    return ValueError(f"line {event.start_mark.line + 1}: {said}")


def _check_plain(event: Any) -> None:
    if isinstance(event, events.AliasEvent):
        raise _wrong(event, f"alias *{event.anchor} is not read here; {WITHOUT_ANCHORS}")
    if event.anchor:
        raise _wrong(event, f"anchor &{event.anchor} is not read here; {WITHOUT_ANCHORS}")
    if event.tag is not None and str(event.tag) not in ("", "!"):
        raise _wrong(event, f"tag {event.tag} is not read here; remove it")


def _number(event: Any, kind: type) -> int | float:
    text = event.value
    digits = text.lstrip("+-").replace("_", "")
    if len(text) > LONGEST_NUMBER:
        raise _wrong(event, f"a number of {len(text)} characters, expected at most {LONGEST_NUMBER}")
    if len(digits) > 1 and digits.isdigit() and digits[0] == "0":
        raise _wrong(event, f"{text} is another number to other readers; write {int(text)}, or '{text}'")
    if kind is float:
        word = text.lower().removeprefix("+")
        return {".inf": inf, "-.inf": -inf, ".nan": nan}.get(word) or float(word.replace("_", ""))
    return int(text.replace("_", ""), 0)
