"""What is to be looked at: photographs, folders with all that lies below them, videos; in one order, one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PHOTO_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A file to look at, or `trouble`: why there is none."""

    path: Path
    video: bool = False
    trouble: str = ""


def is_video(path: Path) -> bool:
    """By the ending of its name."""
    return path.suffix.lower() in VIDEO_ENDINGS


def sources(given: Sequence[Path], patterns: Sequence[str] = (), *, but: Path | None = None) -> Iterator[Source]:
    """Files as they were given; of a folder everything below it that is a photograph or a video by its ending.

    Within a folder names are sorted, folders among files; hidden names, links to folders and the folder `but` (where
    results are written) are left out. patterns, as `*.jpg` or `holiday/*.png`, replace the endings: a file is taken
    where one of them fits its name or its path below the folder.
    """
    avoided = os.path.realpath(but) if but else None
    for path in given:
        if not os.path.isdir(path):  # which, unlike Path.is_dir, raises nothing
            yield Source(path, is_video(path))
            continue
        wanted = f"a file that fits {' or '.join(patterns)}" if patterns else "a photograph or a video"
        nothing = Source(path, trouble=f"{path}: expected {wanted} below this folder, found none; check the name")
        below = _below(path, path, patterns, avoided)
        yield next(below, nothing)
        yield from below


def _below(folder: Path, top: Path, patterns: Sequence[str], avoided: str | None) -> Iterator[Source]:
    """What lies below a folder, its names in memory one folder at a time."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed)
    except OSError as error:
        yield Source(folder, trouble=f"{folder}: cannot be listed ({error.strerror}); change its permissions")
        return
    for name, is_folder in entries:
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            if os.path.realpath(path) != avoided:
                yield from _below(path, top, patterns, avoided)
        elif _wanted(path, top, patterns):
            yield Source(path, is_video(path))


def _wanted(path: Path, top: Path, patterns: Sequence[str]) -> bool:
    if not patterns:
        return path.suffix.lower() in PHOTO_ENDINGS or is_video(path)
    names = path.name, path.relative_to(top).as_posix()
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns) and path.is_file()
