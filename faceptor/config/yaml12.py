"""Reading the YAML files that people write: YAML 1.2 as DVC reads it, of which nothing can be taken as something else.

A key given twice, an anchor, an alias, a merge key, a tag, a number that other readers take as another and a file in
another encoding are errors with the line, so that what is read is what is written. Size and depth are bounded.
"""

from math import inf, nan
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from faceptor.errors import ConfigError
from faceptor.io.regular import MIB, read_regular

LARGEST = MIB  # bytes; the longest preset has 12,000
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
    reader = YAML(typ="safe")
    try:
        return _Values(reader).of(reader.parse(text))
    except YAMLError as reason:
        said = str(reason).replace('in "<unicode string>", ', "in ")
        raise ValueError(f"not valid YAML: {' '.join(said.split())}") from None


class _Values:
    """Builds values from the events of a parser, without recursion."""

    def __init__(self, reader: YAML):
        self.resolver = reader.resolver
        self.open: list[tuple[Any, dict]] = []  # the sections and lists around the next value; keys -> their lines
        self.keys: list[Any] = []  # of each open section: the key that waits for its value
        self.result: Any = None
        self.documents = 0

    def of(self, parsed) -> Any:
        for event in parsed:
            self._take(event, event.start_mark.line + 1)
        return self.result

    def _take(self, event, line: int) -> None:
        if isinstance(event, events.DocumentStartEvent):
            self.documents += 1
            if event.version or event.tags:
                raise ValueError(f"line {line}: directives (%) are not read here; remove it")
            if self.documents > 1:
                raise ValueError(f"line {line}: expected one document, found a second; remove what follows ---")
        elif isinstance(event, events.AliasEvent):
            raise ValueError(f"line {line}: alias *{event.anchor} is not read here; {WITHOUT_ANCHORS}")
        elif isinstance(event, events.NodeEvent):
            self._check(event, line)
            if isinstance(event, events.ScalarEvent):
                self._put(self._scalar(event, line), line)
            else:
                self._begin({} if isinstance(event, events.MappingStartEvent) else [], line)
        elif isinstance(event, events.CollectionEndEvent):
            self.open.pop()
            self.keys.pop()

    def _check(self, event, line: int) -> None:
        if event.anchor:
            raise ValueError(f"line {line}: anchor &{event.anchor} is not read here; {WITHOUT_ANCHORS}")
        tag = "" if event.tag is None else str(event.tag)
        if tag not in ("", "!"):
            raise ValueError(f"line {line}: tag {tag} is not read here; remove it")

    def _begin(self, container: dict | list, line: int) -> None:
        if self._waits_for_key():
            raise ValueError(f"line {line}: expected a word as key, found a section or a list")
        if len(self.open) >= DEEPEST:
            raise ValueError(f"line {line}: sections and lists within each other, more than {DEEPEST} deep")
        self._put(container, line)
        self.open.append((container, {}))
        self.keys.append(None)

    def _waits_for_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0], dict) and self.keys[-1] is None

    def _put(self, value: Any, line: int) -> None:
        if not self.open:
            self.result = value
            return
        container, lines = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        elif self.keys[-1] is None:
            if value in lines:
                raise ValueError(f"line {line}: key {value} stands here a second time, first in line {lines[value]}")
            lines[value] = line
            self.keys[-1] = (value,)
        else:
            container[self.keys[-1][0]] = value
            self.keys[-1] = None

    def _scalar(self, event, line: int) -> Any:
        if event.style in ("'", '"', "|", ">"):
            return event.value
        text = event.value
        if text == "<<" and self._waits_for_key():
            raise ValueError(f"line {line}: merge key << is not read here; {WITHOUT_ANCHORS}")
        tag = str(self.resolver.resolve(ScalarNode, text, (True, False)))
        if tag == "tag:yaml.org,2002:null":
            return None
        if tag == "tag:yaml.org,2002:bool":
            return text.lower() == "true"
        return self._number(text, NUMBERS[tag], line) if tag in NUMBERS else text

    @staticmethod
    def _number(text: str, kind: type, line: int) -> int | float:
        digits = text.lstrip("+-")
        if len(text) > LONGEST_NUMBER:
            raise ValueError(f"line {line}: a number of {len(text)} characters, expected at most {LONGEST_NUMBER}")
        if len(digits) > 1 and digits.isdigit() and digits[0] == "0":
            raise ValueError(f"line {line}: {text} is another number to other readers; write {int(text)}, or '{text}'")
        if kind is float:
            word = text.lower().removeprefix("+")
            return {".inf": inf, "-.inf": -inf, ".nan": nan}.get(word) or float(word.replace("_", ""))
        return int(text.replace("_", ""), 0)
