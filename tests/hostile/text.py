"""Damage to the lines, fields, numbers and names of text files."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.hostile import targets
from tests.hostile.targets import any_text, split_lines
from tests.hostile.tree import Tree

Mutation = Callable[[Tree, np.random.Generator], str | None]

BAD_NUMBERS = (
    *(b"nan", b"NaN", b"inf", b"-inf", b"1e308", b"-1e308", b"1e400", b"-1", b"-99999", b"99999999999999999999"),
    *(b"9" * 5000, b"0.5", b"1_0", b"0x10", b"--1", b"None", b"", b'""', b"1e5", b"5000", b"16777217", b"2147483648"),
    *("٣".encode(), "²".encode(), "１".encode(), b"1\0", b"\xff1", b"True", b"3,4", b"1 2"),
)  # fmt: skip


def bad_names(tree: Tree, rng: np.random.Generator) -> bytes:
    """A name that leaves the folder, cannot be a name, or is one of something else."""
    outside = os.fsencode(tree.outside)
    Image.new("RGB", (48, 48), (1, 2, 3)).save(tree.outside / "face.jpg")
    choices = [
        *(b"../outside/face.jpg", outside + b"/face.jpg", b"a/../../outside/face.jpg", b"..", b".", b"/"),
        b"~/face.jpg",
        *(b"\xff\xfe.jpg", b"\xed\xa0\x80.jpg", b"a\0b.jpg", b"a" * 300 + b".jpg", b"d/" * 3000 + b"a.jpg", b"-rf"),
        *(b"..\\..\\face.jpg", b"C:\\face.jpg", b"//etc/passwd", b"/dev/zero", b"/proc/self/environ", b"%s%n", b"{0}"),
        *("é.jpg".encode(), "e\u0301.jpg".encode(), "\u202egpj.a".encode(), b"nul", b"*", b"$(touch x).jpg", b""),
        *(os.fsencode(path) for path in tree.files()[:3]),
    ]
    return choices[rng.integers(len(choices))]


def _edit_lines(edit: Callable[[list[bytes], np.random.Generator], str | None]) -> Mutation:
    def mutate(tree: Tree, rng: np.random.Generator) -> str | None:
        if (path := any_text(tree, rng)) is None:
            return None
        lines = split_lines(tree.read(path))
        if (done := edit(lines, rng)) is None:
            return None
        tree.write(path, b"".join(lines))
        return f"{path}: {done}"

    return mutate


def _drop(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    del lines[at]
    return f"line {at + 1} dropped"


def _double(lines: list[bytes], rng: np.random.Generator) -> str:
    at, to = int(rng.integers(len(lines))), int(rng.integers(len(lines) + 1))
    lines.insert(to, lines[at])
    return f"line {at + 1} again at {to + 1}"


def _swap(lines: list[bytes], rng: np.random.Generator) -> str:
    a, b = (int(n) for n in rng.integers(len(lines), size=2))
    lines[a], lines[b] = lines[b], lines[a]
    return f"lines {a + 1} and {b + 1} swapped"


def _field(line: bytes, span: tuple[int, int], text: bytes) -> bytes:
    return line[: span[0]] + text + line[span[1] :]


def _drop_field(lines: list[bytes], rng: np.random.Generator) -> str | None:
    """A column goes, in one line or in all."""
    at = int(rng.integers(len(lines)))
    spans = [field.span() for field in targets.FIELD.finditer(lines[at])]
    if not spans:
        return None
    column = int(rng.integers(len(spans)))
    everywhere = rng.random() < 0.3
    for row in range(len(lines)) if everywhere else (at,):
        spans = [field.span() for field in targets.FIELD.finditer(lines[row])]
        if column < len(spans):
            start, end = spans[column]
            lines[row] = lines[row][:start] + lines[row][end:].removeprefix(b",").lstrip(b" \t")
    return f"column {column + 1} dropped in {'every line' if everywhere else f'line {at + 1}'}"


def _add_field(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    lines[at] = lines[at].rstrip(b"\r\n") + (b",1" if b"," in lines[at] else b" 1") + b"\n"
    return f"one more column in line {at + 1}"


def _bad_number(lines: list[bytes], rng: np.random.Generator) -> str | None:
    at = int(rng.integers(len(lines)))
    if not (spans := targets.numbers(lines[at])):
        return None
    text = BAD_NUMBERS[rng.integers(len(BAD_NUMBERS))]
    lines[at] = _field(lines[at], spans[rng.integers(len(spans))], text)
    return f"number in line {at + 1} becomes {text[:30]!r}"


def _wrong_count(lines: list[bytes], rng: np.random.Generator) -> str | None:
    """The first whole number of the first lines is one that counts something, in most formats."""
    for at, line in enumerate(lines[:3]):
        if spans := targets.numbers(line):
            text = (b"0", b"1", b"-1", b"999999999", b"67", b"69")[rng.integers(6)]
            lines[at] = _field(line, spans[-1], text)
            return f"count in line {at + 1} becomes {text!r}"
    return None


def _text_bytes(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    line = bytearray(lines[at])
    for _ in range(int(rng.integers(1, 4))):
        line[rng.integers(len(line))] = int(rng.integers(256))
    lines[at] = bytes(line)
    return f"bytes flipped in line {at + 1}"


def _long_line(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    lines[at] = lines[at].rstrip(b"\n") + b"7" * (3 << 20) + b"\n"
    return f"line {at + 1} of three million characters"


def _quotes(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    lines[at] = b'"' + lines[at]
    return f"open quote in line {at + 1}"


def _many(lines: list[bytes], rng: np.random.Generator) -> str:
    at = int(rng.integers(len(lines)))
    lines[at:at] = [lines[at]] * 400
    return f"line {at + 1} four hundred times"


def _recode(tree: Tree, rng: np.random.Generator) -> str | None:
    """The same text by another editor: line ends, byte order mark, another encoding."""
    if (path := any_text(tree, rng)) is None:
        return None
    data = tree.read(path)
    how = ("crlf", "cr", "bom", "utf-16", "nul", "latin-1")[rng.integers(6)]
    tree.write(path, {
        "crlf": lambda: data.replace(b"\n", b"\r\n"),
        "cr": lambda: data.replace(b"\n", b"\r"),
        "bom": lambda: b"\xef\xbb\xbf" + data,
        "utf-16": lambda: data.decode().encode("utf-16"),
        "nul": lambda: data + bytes(64),
        "latin-1": lambda: data + b"\xe9\n",
    }[how]())  # fmt: skip
    return f"{path}: written as {how}"


def _bad_name(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_text(tree, rng)) is None:
        return None
    lines = split_lines(tree.read(path))
    at = int(rng.integers(len(lines)))
    if not (spans := targets.names(lines[at])):
        return None
    name = bad_names(tree, rng)
    lines[at] = _field(lines[at], spans[rng.integers(len(spans))], name)
    tree.write(path, b"".join(lines))
    return f"{path}: name in line {at + 1} becomes {name[:40]!r}"


MUTATIONS: dict[str, Mutation] = {
    **{name: _edit_lines(edit) for name, edit in {
        "line dropped": _drop, "line doubled": _double, "lines swapped": _swap, "column dropped": _drop_field,
        "column added": _add_field, "bad number": _bad_number, "wrong count": _wrong_count, "text flipped": _text_bytes,
        "long line": _long_line, "open quote": _quotes, "many lines": _many,
    }.items()},
    "bad name": _bad_name,
    "recoded": _recode,
}  # fmt: skip
