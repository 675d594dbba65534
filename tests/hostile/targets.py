"""Which file of a tree to damage, and how its text divides into lines and fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from tests.hostile.tree import Tree

FIELD = re.compile(rb"[^\s,;]+")
NUMBER = re.compile(rb"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


def suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def is_image(path: str) -> bool:
    return suffix(path) in IMAGES


def is_text(tree: Tree, path: str) -> bool:
    """Text by content: UTF-8 without control characters."""
    if is_image(path) or suffix(path) in (".mat", ".rec", ".bin", ".npy", ".avi"):
        return False
    data = tree.read(path)
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return bool(data.strip()) and b"\0" not in data


def pick(tree: Tree, rng: np.random.Generator, wanted: Callable[[Tree, str], bool]) -> str | None:
    """A file that is wanted: first a kind of files (folder and suffix), then one of them, so that lists come often."""
    kinds: dict[tuple[str, str], list[str]] = {}
    touched = {touch.path for touch in tree.touches}  # damaged once is enough
    for path in tree.files():
        if path != "GENERATED" and path not in touched and wanted(tree, path):
            kinds.setdefault((str(PurePosixPath(path).parent), suffix(path)), []).append(path)
    if not kinds:
        return None
    chosen = list(kinds.values())[rng.integers(len(kinds))]
    return chosen[rng.integers(len(chosen))]


def any_text(tree: Tree, rng: np.random.Generator) -> str | None:
    return pick(tree, rng, is_text)


def any_image(tree: Tree, rng: np.random.Generator) -> str | None:
    return pick(tree, rng, lambda _, path: is_image(path))


def with_suffix(*suffixes: str) -> Callable[[Tree, np.random.Generator], str | None]:
    return lambda tree, rng: pick(tree, rng, lambda _, path: suffix(path) in suffixes)


def any_file(tree: Tree, rng: np.random.Generator) -> str | None:
    return pick(tree, rng, lambda *_: True)


def split_lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def numbers(line: bytes) -> list[tuple[int, int]]:
    """Where the numbers of a line stand."""
    return [field.span() for field in FIELD.finditer(line) if NUMBER.match(field.group())]


def names(line: bytes) -> list[tuple[int, int]]:
    """Where the fields that may be names of files or people stand."""
    return [field.span() for field in FIELD.finditer(line) if re.search(rb"[A-Za-z_]", field.group())]
