"""Ways to damage a data set: each takes a tree and a generator, and says what it did, or None where it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from tests.hostile import binary, bombs, targets
from tests.hostile.targets import any_file, any_image, any_text, split_lines
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
        *(b"../outside/face.jpg", outside + b"/face.jpg", b"a/../../outside/face.jpg", b"..", b".", b"/", b"~/face.jpg"),
        *(b"\xff\xfe.jpg", b"\xed\xa0\x80.jpg", b"a\0b.jpg", b"a" * 300 + b".jpg", b"d/" * 3000 + b"a.jpg", b"-rf"),
        *(b"..\\..\\face.jpg", b"C:\\face.jpg", b"//etc/passwd", b"/dev/zero", b"/proc/self/environ", b"%s%n", b"{0}"),
        *("é.jpg".encode(), "e\u0301.jpg".encode(), "\u202egpj.a".encode(), b"nul", b"*", b"$(touch x).jpg", b""),
        *(os.fsencode(path) for path in tree.files()[:3]),
    ]
    return choices[rng.integers(len(choices))]


# --- lines ------------------------------------------------------------------------------------------------------------


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
        *(b"._" + stem, b"Thumbs.db", b".DS_Store", b"\xff" + stem, b"a\nb" + stem, b"x" * 200 + stem[-8:], b" " + stem),
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
        "GIF": (rgb.convert("P"), "GIF"), "BMP": (rgb, "BMP"), "TIFF": (rgb, "TIFF"), "CMYK": (rgb.convert("CMYK"), "JPEG"),
        "16 bits": (deep, "PNG"), "float": (Image.fromarray(np.full((48, 48), np.nan, np.float32)), "TIFF"),
        "1 x 1": (rgb.resize((1, 1)), "PNG"), "2 x 9000": (rgb.resize((2, 9000)), "PNG"), "alpha": (rgb.convert("RGBA"), "PNG"),
        "1 bit": (rgb.convert("1"), "PNG"),
    }  # fmt: skip
    kind = list(kinds)[rng.integers(len(kinds))]
    tree.write(path, bombs.encoded(*kinds[kind]))
    return f"{path}: an image of kind {kind}"


MUTATIONS: dict[str, Mutation] = {
    **{name.strip("_"): _edit_lines(edit) for name, edit in {
        "line dropped": _drop, "line doubled": _double, "lines swapped": _swap, "column dropped": _drop_field,
        "column added": _add_field, "bad number": _bad_number, "wrong count": _wrong_count, "text flipped": _text_bytes,
        "long line": _long_line, "open quote": _quotes, "many lines": _many,
    }.items()},
    "bad name": _bad_name, "recoded": _recode, "bytes flipped": _flip, "bytes cut": _cut, "empty": _empty, "gone": _gone,
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
