"""A copy of a small data set that may be damaged: files are replaced, never written into, and every touch is noted."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Touch(NamedTuple):
    """One thing that was changed below the root. `before` and `after` are file contents; None for what is no file."""

    path: str  # relative, "/" between parts
    before: bytes | None
    after: bytes | None
    leaves: bool = False  # a link there leads out of the set
    few: int = 0  # how many samples it can concern at most; 0 where that is not known


@dataclass
class Tree:
    """`root` holds hard links to the pristine set; `outside` lies beside it and must never be read."""

    root: Path
    outside: Path
    canary: Path  # appears when code from the data runs
    touches: list[Touch] = field(default_factory=list)

    @classmethod
    def copy(cls, pristine: Path, home: Path) -> Tree:
        shutil.rmtree(home, ignore_errors=True)
        (home / "outside").mkdir(parents=True)
        shutil.copytree(pristine, home / "set", copy_function=os.link)
        return cls(home / "set", home / "outside", home / "canary")

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if _plain(path))

    def folders(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if _folder(path))

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def write(self, path: str | bytes, content: bytes) -> None:
        """Replace or add a file."""
        name = os.fsdecode(path)
        target = self.root / name
        before = _content(target)
        self._drop(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.touches.append(Touch(name, before, content))

    def remove(self, path: str) -> Path:
        """Take a file or folder away; the empty place is returned for something else to be put there."""
        target = self.root / path
        self.touches.append(Touch(path, _content(target), None))
        self._drop(target)
        return target

    def move_out(self, path: str) -> Path:
        """A file or folder goes outside; a link to it remains."""
        away = self.outside / f"away{len(self.touches)}"
        target = self.root / path
        self.touches.append(Touch(path, _content(target), None, leaves=True))
        target.rename(away)
        target.symlink_to(away)
        return target

    @staticmethod
    def _drop(target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _content(path: Path) -> bytes | None:
    """What a file of sensible size holds."""
    return path.read_bytes() if _plain(path) and path.stat().st_size < 64 << 20 else None
