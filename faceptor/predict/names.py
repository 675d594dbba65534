"""What the files about a photograph are called, such that none replaces another, and how their JSON is written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faceptor.errors import FaceptorError
from faceptor.io.regular import read_regular, sha256_of

LARGEST_JSON = 64 << 20  # bytes of an earlier answer
LARGEST_HASHED = 1 << 30  # bytes of a photograph that is compared with an earlier answer's
SHEET = "sheet"  # in the names of further pictures of one photograph's faces


class Names:
    """Stems in a folder, one after another, such that no file of one replaces a file of another, or a photograph.

    A photograph keeps its stem; "_2", "_3", ... is added where another one, of this run or an earlier, has it. (Not
    "-2": so end the maps of a second face.) Stems too long for the files' names are cut and end in a hash of the whole.
    photos: of this run, as far as they are named, which nothing may replace. picture: ending of the overlays.
    """

    def __init__(self, out: Path, tasks: Iterable[str], photos: Iterable[Path] = (), picture: str = "png"):
        self.out, self.tasks, self.picture = out, [*tasks, SHEET], picture
        self.room = _longest_name(out) - max(len(os.fsencode(f"_99999-{task}-9999.json")) for task in ("", *self.tasks))
        self.originals = {real(photo) for photo in photos}
        self.stems: dict[str, set[Path]] = {}  # in lower case, because case does not tell files apart everywhere
        self.reached: dict[str, set[Path]] = {}  # stems of which one that was given could be a map
        self.maps = [re.compile(rf"(.*)-{re.escape(task)}(-\d+)?", re.IGNORECASE) for task in self.tasks]

    def stem(self, photo: Path, frame: int | None = None) -> str:
        """For a photograph, or a frame of a video."""
        tail = "" if frame is None else f"-{frame:06d}"
        base = shortened(f"{photo.stem}{tail}", self.room) or "photo"
        about, number, stem = real(photo), 1, base
        owner = about if frame is None else about / str(frame)
        while self._clash(stem, owner, about, frame):
            number += 1
            stem = f"{base}_{number}"
        self.stems.setdefault(stem.lower(), set()).add(owner)
        for root in self._roots(stem):
            self.reached.setdefault(root, set()).add(owner)
        return stem

    def _clash(self, stem: str, owner: Path, photo: Path, frame: int | None) -> bool:
        low = stem.lower()
        met = [self.stems.get(low), self.reached.get(low), *(self.stems.get(root) for root in self._roots(stem))]
        if any(owners - {owner} for owners in met if owners):
            return True
        files = [self.out / f"{stem}-{task}.png" for task in self.tasks]
        files += [self.out / f"{stem}.{self.picture}", self.out / f"{stem}.json"]
        if any(real(file) in self.originals for file in files):
            return True
        return any(file.exists() for file in files) and not _about(files[-1], photo, frame)

    def _roots(self, stem: str) -> list[str]:
        """Stems, in lower case, of which a map or sheet could have this one."""
        found = (each.fullmatch(stem) for each in self.maps)
        return [match[1].lower() for match in found if match]


def shortened(stem: str, room: int) -> str:
    """A stem of at most `room` bytes; what is cut has a mark of its own for each whole stem."""
    whole = os.fsencode(stem)
    if len(whole) <= room:
        return stem
    mark = "~" + hashlib.sha256(whole).hexdigest()[:12]
    return whole[: max(room - len(mark), 0)].decode(errors="ignore") + mark


def _longest_name(folder: Path) -> int:
    """Bytes that a file name may have there."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, AttributeError, ValueError):
        return 255


def _about(file: Path, photo: Path, frame: int | None) -> bool:
    """Whether a JSON file in the output folder is an earlier answer about the same photograph or frame."""
    try:
        report = json.loads(read_regular(file, largest=LARGEST_JSON))
        if report.get("frame") != frame:
            return False
        if real(Path(report["photo"])) == photo:
            return True
        return report["sha256"] == sha256_of(photo, largest=LARGEST_HASHED)
    except (FaceptorError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False  # not ours: leave it alone


def real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def json_text(value: Any, pad: str = "\n") -> str:
    """Indented JSON that keeps lists of numbers and words on one line."""
    inner = pad + "  "
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(key)}: {json_text(item, inner)}" for key, item in value.items()]
        return "{" + ",".join(inner + item for item in items) + pad + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + ",".join(inner + json_text(item, inner) for item in value) + pad + "]"
    return json.dumps(value, allow_nan=False)
