"""What lies in a folder, without what operating systems leave there, and which links may be followed out of it.

Every reader lists folders through `Reader.listing`, which is built on this module.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

Links = bool | Sequence[Path]  # followed everywhere (True), nowhere (False), or into these folders only

# In any case of letters. macOS writes a twin ._name beside every file on a disk or in an archive of another system.
LITTER = frozenset((
    ".DS_Store", "__MACOSX", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems",
    "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information",
    "@eaDir", ".ipynb_checkpoints", ".directory",
))  # fmt: skip
LITTER_STARTS = ("._", ".nfs")
_LOWER = {name.lower(): name for name in LITTER}


def litter(name: str) -> str | None:
    """The kind of litter that a file or folder name is ("._*", "Thumbs.db"); None for what somebody made on purpose."""
    if name.startswith(LITTER_STARTS):
        return next(f"{start}*" for start in LITTER_STARTS if name.startswith(start))
    return _LOWER.get(name.lower())


def entries(
    folder: Path, *, recursive: bool, links: bool, seen: set[str] | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Paths in a folder, sorted by name, each with the pattern of litter it matches; what lies in litter is left out.

    recursive: those in its folders, too, depth first; in linked ones only with `links`, in each once (`seen`).
    """
    seen = set() if seen is None else seen
    for path in sorted(folder.iterdir()):
        pattern = litter(path.name)
        yield path, pattern
        if not recursive or pattern or not path.is_dir() or (path.is_symlink() and not links):
            continue
        if (real := os.path.realpath(path)) not in seen:
            seen.add(real)
            yield from entries(path, recursive=recursive, links=links, seen=seen)


def may_follow(real: str, links: Links) -> bool:
    """Whether a path outside the data set's folder, all its links resolved, may be read."""
    if isinstance(links, bool):
        return links
    roots = (os.path.realpath(root) for root in links)
    return any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
