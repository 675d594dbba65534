"""Ways to damage a data set, with those of `text` and `binary`.

Each takes a tree and a generator, and says what it did, or None where it cannot.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from tests.hostile import binary, bombs, text
from tests.hostile.targets import any_file, any_image
from tests.hostile.text import Mutation
from tests.hostile.tree import Tree

# --- files and folders ------------------------------------------------------------------------------------------------


def _flip(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_file(tree, rng)) is None or not (data := bytearray(tree.read(path))):
        return None
    count = int(rng.integers(1, 9))
    reach = len(data) if rng.random() < 0.5 else min(len(data), 512)  # headers are near the start
    for at in rng.integers(reach, size=count):
        data[at] = int(rng.integers(256))
    tree.write(path, bytes(data))
    return f"{path}: {count} bytes flipped"


def _cut(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_file(tree, rng)) is None:
        return None
    data = tree.read(path)
    start, stop = np.sort(rng.integers(0, len(data) + 1, 2))
    how = int(rng.integers(3))
    tree.write(path, (data[:start], data[:start] + data[stop:], data[:stop] + data[start:])[how])
    return f"{path}: {('ends at', 'lacks bytes from', 'repeats bytes from')[how]} {start}"


def _empty(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_file(tree, rng)) is None:
        return None
    tree.write(path, b"")
    return f"{path}: empty"


def _gone(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_file(tree, rng)) is None:
        return None
    tree.remove(path)
    return f"{path}: removed"


def _special(tree: Tree, rng: np.random.Generator) -> str | None:
    """Something that is no file stands where a file is expected."""
    if (path := any_file(tree, rng)) is None:
        return None
    how = ("folder", "fifo", "dangling link", "link to itself", "link to /dev/zero")[rng.integers(5)]
    place = tree.remove(path)
    {
        "folder": place.mkdir,
        "fifo": lambda: os.mkfifo(place),
        "dangling link": lambda: place.symlink_to("nowhere"),
        "link to itself": lambda: place.symlink_to(place.name),
        "link to /dev/zero": lambda: place.symlink_to("/dev/zero"),
    }[how]()
    return f"{path}: a {how}"


def _outside(tree: Tree, rng: np.random.Generator) -> str | None:
    """A file or folder moves out of the set; a link leads to it."""
    folders = tree.folders()
    path = folders[rng.integers(len(folders))] if folders and rng.random() < 0.3 else any_file(tree, rng)
    if path is None:
        return None
    tree.move_out(path)
    return f"{path}: a link to the outside"


def _folder(tree: Tree, rng: np.random.Generator) -> str | None:
    if not (folders := tree.folders()):
        return None
    path = folders[rng.integers(len(folders))]
    how = ("removed", "a file", "empty", "a link to the set itself", "an endless link")[rng.integers(5)]
    place = tree.remove(path)
    {
        "removed": lambda: None,
        "a file": lambda: place.write_bytes(b"x"),
        "empty": place.mkdir,
        "a link to the set itself": lambda: place.symlink_to(tree.root),
        "an endless link": lambda: place.symlink_to(place.name),
    }[how]()
    return f"{path}/: {how}"


def _stray(tree: Tree, rng: np.random.Generator) -> str | None:
    """Files that nobody asked for lie among the others."""
    if (path := any_file(tree, rng)) is None:
        return None
    parent, stem = os.fsencode(str(PurePosixPath(path).parent)), os.fsencode(PurePosixPath(path).name)
    names = (
        *(b"._" + stem, b"Thumbs.db", b".DS_Store", b"\xff" + stem, b"a\nb" + stem, b"x" * 200 + stem[-8:]),
        b" " + stem,
        *(stem.upper(), b"copy of " + stem, "\u00e9".encode() + stem, b"GENERATED", b"desktop.ini", stem + b".bak"),
    )
    name = parent + b"/" + names[rng.integers(len(names))]
    if (tree.root / os.fsdecode(name)).exists():
        return None
    tree.write(name, tree.read(path) if rng.random() < 0.5 else rng.bytes(64))
    return f"{name!r}: a file that does not belong"


def _sparse(tree: Tree, rng: np.random.Generator) -> str | None:
    """A file that says it has eight gigabytes, all holes."""
    if (path := any_file(tree, rng)) is None:
        return None
    place = tree.remove(path)
    with open(place, "wb") as handle:
        handle.truncate(8 << 30)
    return f"{path}: eight gigabytes of nothing"


def _marker(tree: Tree, rng: np.random.Generator) -> str | None:
    if not (tree.root / "GENERATED").exists():
        return None
    content = (b"", b"\xff\xfe", b"counts: {'train': 99}\n", b"counts: {'train': " + b"9" * 5000 + b"}\n")
    tree.write("GENERATED", content[rng.integers(len(content))])
    return "GENERATED: rewritten"


# --- images -----------------------------------------------------------------------------------------------------------


def _image_bomb(tree: Tree, rng: np.random.Generator) -> str | None:
    if (path := any_image(tree, rng)) is None:
        return None
    makers: dict[str, Callable[[], bytes]] = {
        "png": lambda: bombs.png(bombs.SIDE, bombs.SIDE),
        "png of one row": lambda: bombs.png((1 << 31) - 1, 1),
        "png with a text": bombs.png_text_bomb,
        "png with too much data": bombs.png_data_bomb,
        "bmp": bombs.bmp_giant,
        "eps": bombs.eps,
        "zip": bombs.zip_bomb,
    }
    data = tree.read(path)
    if data[:2] == b"\xff\xd8":
        makers["jpeg"] = lambda: bombs.jpeg_giant(data)
    kind = list(makers)[rng.integers(len(makers))]
    tree.write(path, makers[kind]())
    return f"{path}: hostile {kind}"


def _other_image(tree: Tree, rng: np.random.Generator) -> str | None:
    """An image of an unusual kind under the old name."""
    if (path := any_image(tree, rng)) is None:
        return None
    rgb = Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 1 << 16, (48, 48), dtype=np.uint16))
    kinds = {
        "GIF": (rgb.convert("P"), "GIF"), "BMP": (rgb, "BMP"), "TIFF": (rgb, "TIFF"),
        "CMYK": (rgb.convert("CMYK"), "JPEG"), "16 bits": (deep, "PNG"),
        "float": (Image.fromarray(np.full((48, 48), np.nan, np.float32)), "TIFF"), "1 x 1": (rgb.resize((1, 1)), "PNG"),
        "2 x 9000": (rgb.resize((2, 9000)), "PNG"), "alpha": (rgb.convert("RGBA"), "PNG"),
        "1 bit": (rgb.convert("1"), "PNG"),
    }  # fmt: skip
    kind = list(kinds)[rng.integers(len(kinds))]
    tree.write(path, bombs.encoded(*kinds[kind]))
    return f"{path}: an image of kind {kind}"


MUTATIONS: dict[str, Mutation] = {
    **text.MUTATIONS, "bytes flipped": _flip, "bytes cut": _cut, "empty": _empty, "gone": _gone,
    "no file": _special, "outside": _outside, "folder": _folder, "stray": _stray, "sparse": _sparse, "marker": _marker,
    "image bomb": _image_bomb, "other image": _other_image, **binary.MUTATIONS,
}  # fmt: skip
WEIGHTS = {"bad number": 4, "bad name": 4, "text flipped": 2, "bytes flipped": 3, "bytes cut": 2, "label array": 5,
           "label file": 4, "many lines": 0.5, "long line": 0.5, "marker": 0.3, "sparse": 0.5}  # fmt: skip


def mutate(tree: Tree, rng: np.random.Generator) -> str:
    """Apply one mutation, sometimes two, and say what they did."""
    names = list(MUTATIONS)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    done: list[str] = []
    wanted = 1 if rng.random() < 0.85 else 2
    for _ in range(100):
        if len(done) == wanted:
            break
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        if (what := MUTATIONS[name](tree, rng)) is not None:
            done.append(f"{name}: {what}")
    return "; ".join(done)
