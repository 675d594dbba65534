"""What a damaged set may come to: samples as they were, rejects with reasons, or one clear refusal. Nothing else.

A surviving sample may differ from the original only where the damage can explain it. What a file or a line explains is
found by experiment: the samples that change when it is blanked out.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from faceptor.data import prepare as stage
from faceptor.data.prepared import open_split, open_verification, verification_sets
from faceptor.errors import DataError, FaceptorError
from tests.hostile.bases import Base
from tests.hostile.targets import split_lines
from tests.hostile.tree import Touch, Tree

MEMORY = 384 << 20  # bytes that preparing a set of a dozen small faces may take beyond what was taken before
SHARE = 0.999  # of rejects, so that a set is refused only for what is wrong with all of it
NO_ROOM = re.compile(r"allocat|MemoryError|bad_alloc|out of memory|\(\)", re.IGNORECASE)
FAIR = ("a line longer than",)  # reasons to refuse a whole list for the sake of one line
LONGEST = 4000  # characters of a message


@dataclass
class Outcome:
    """What `prepare` made of a set: rows by key, rejects, or why it refused."""

    rows: dict[str, dict] = field(default_factory=dict)
    pairs: list[tuple] = field(default_factory=list)
    rejects: list[dict] = field(default_factory=list)
    dropped: int = 0
    refusal: str = ""
    problem: str = ""  # what must never happen


def memory_peak() -> int:
    """Most memory this process has held since `forget_peak`, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) << 10


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _quiet(items, **_):
    return items


def prepared(base: Base, root: Path, out: Path, *, share: float = SHARE) -> Outcome:
    """Run the stage in this process and gather what it wrote."""
    for old in (out, out.with_name(f".{out.name}.partial")):
        shutil.rmtree(old, ignore_errors=True)
    forget_peak()
    before = memory_peak()
    bar, stage.tqdm = stage.tqdm, _quiet
    try:
        passport = stage.prepare(
            base.reader, root, out, validation=0.0, seed=0, max_rejects=share, options=dict(base.options)
        )
    except FaceptorError as error:
        outcome = Outcome(refusal=str(error) or "no message")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return Outcome(problem=f"{type(error).__name__}: {error}"[:300])
    else:
        rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
        rows = {key: row for part in ("train", "test") for key, row in _rows(out, part).items()}
        pairs = [pair for name in verification_sets(out) for pair in _pairs(out, name)]
        outcome = Outcome(rows, pairs, rejects, sum(passport["dropped"].values()))
    finally:
        stage.tqdm = bar
    outcome.problem = _wrong_words(outcome)
    if (took := memory_peak() - before) > MEMORY:
        outcome.problem = f"took {took >> 20} MiB"
    return outcome


def _wrong_words(outcome: Outcome) -> str:
    """Messages are one line of text of a sensible length, and never about memory that was asked for."""
    texts = [outcome.refusal, *(reject["reason"] for reject in outcome.rejects)]
    for text in texts:
        if "\n" in text or len(text) > LONGEST:
            return f"message of {len(text)} characters or several lines: {text[:200]!r}"
        if NO_ROOM.search(text):
            return f"memory was asked for: {text[:300]}"
    if any(not (reject["reason"] and reject["where"]) for reject in outcome.rejects):
        return "a reject without place or reason"
    return ""


def _rows(out: Path, part: str) -> dict[str, dict]:
    """Everything that was stored of each sample of one part, images as their digests."""
    if not (out / part).exists():
        return {}
    shards = open_split(out, part)._shards
    columns = {name: shards.column(name).to_pylist() for name in shards.columns}
    columns["image"] = [hashlib.sha256(data).hexdigest() for data in columns["image"]]
    return {
        key: {name: values[row] for name, values in columns.items()} | {"split": part}
        for row, key in enumerate(columns["key"])
    }


def _pairs(out: Path, name: str) -> list[tuple]:
    found = open_verification(out, name)
    images = [hashlib.sha256(found[row]).hexdigest() for row in range(len(found))]
    return [(name, images[2 * pair], images[2 * pair + 1], bool(same)) for pair, same in enumerate(found.same)]


EVERYTHING = None  # in place of a set of keys


@dataclass
class Judge:
    """Compares damaged copies of one base with the original. `home` is a scratch folder."""

    base: Base
    home: Path

    def __post_init__(self) -> None:
        self.pristine = self.home / "pristine"
        self.base.build(self.pristine)
        self.original = prepared(self.base, self.pristine, self.home / "out")
        if not self.original.rows or self.original.problem:
            raise DataError(f"{self.base.name}: the sound set is not prepared: {self.original}")
        self._owners: dict[tuple[str, int | None], set[str] | None] = {}
        self.seals = self.sealed()

    def sealed(self) -> dict[str, bytes]:
        """Digest of every file of the sound set, to see that nothing wrote into it."""
        files = sorted(path for path in self.pristine.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).digest() for path in files}

    def tree(self) -> Tree:
        return Tree.copy(self.pristine, self.home / "damaged")

    # --- what a file or line explains -----------------------------------------------------------------------------

    def owners(self, path: str, line: int | None = None) -> set[str] | None:
        """Keys that change when a file, folder or line of the sound set is blanked out; EVERYTHING if none is left."""
        if (path, line) not in self._owners:
            self._owners[path, line] = self._found(path, line)
        return self._owners[path, line]

    def _found(self, path: str, line: int | None) -> set[str] | None:
        tree = Tree.copy(self.pristine, self.home / "blank")
        if line is None:
            tree.remove(path) if (tree.root / path).is_dir() else tree.write(path, b"")
        else:
            lines = split_lines(tree.read(path))
            lines[line] = b"?\n"
            tree.write(path, b"".join(lines))
        now = prepared(self.base, tree.root, self.home / "out")
        return EVERYTHING if now.refusal or now.problem else self._changed(now) | (set(self.original.rows) - now.rows.keys())

    def _changed(self, now: Outcome) -> set[str]:
        return {key for key in now.rows.keys() & self.original.rows.keys() if self._differs(key, now.rows[key])}

    def _differs(self, key: str, row: dict) -> bool:
        was = self.original.rows[key]
        return any(not _equal(row.get(name), was.get(name)) for name in was if name != "split" or not self.base.drawn)

    def explained(self, touches: list[Touch]) -> set[str] | None:
        """Keys whose fate the touches explain."""
        found: set[str] = set()
        for touch in touches:
            if not (self.pristine / touch.path).exists():
                more = self._mentioned(os.fsencode(touch.path))
            elif touch.before is None or touch.after is None or not _texts(touch.before, touch.after):
                more = self.owners(touch.path)
            else:
                more = self._lines(touch)
            if more is EVERYTHING:
                return EVERYTHING
            found |= more
        return found

    def _lines(self, touch: Touch) -> set[str] | None:
        old, new = split_lines((self.pristine / touch.path).read_bytes()), split_lines(touch.after)
        matcher = difflib.SequenceMatcher(None, old, new[:5000], autojunk=False)
        found: set[str] = set()
        for kind, first, last, start, stop in matcher.get_opcodes():
            if kind == "equal":
                continue
            lines = set(range(first, last))
            fresh = b"".join(new[start:stop])
            fields = set(re.split(rb"[\s,;]+", fresh)) - set(re.split(rb"[\s,;]+", b"".join(old[first:last])))
            lines |= {row for row, text in enumerate(old) if text in new[start:stop] or _shares(fields, text)}
            for row in lines:
                if (more := self.owners(touch.path, row)) is EVERYTHING:
                    return EVERYTHING
                found |= more
            found |= self._mentioned(fresh)
        return found

    def _mentioned(self, text: bytes) -> set[str]:
        """Keys that a text names."""
        return {key for key in self.original.rows if os.fsencode(Path(key.partition("@")[0]).stem) in text}

    # --- the verdict ----------------------------------------------------------------------------------------------

    def verdict(self, tree: Tree, now: Outcome) -> str:
        """Empty, or what is wrong with the outcome."""
        if now.problem:
            return now.problem
        if tree.canary.exists():
            return "code from the data was run"
        explained = self.explained(tree.touches)
        if now.refusal:
            return self._unfair(now, explained)
        gone = self.original.rows.keys() - now.rows.keys()
        changed = self._changed(now)
        if explained is not EVERYTHING:
            if wrong := (gone | changed) - explained:
                return f"samples that were not touched are {'lost' if wrong & gone else 'changed'}: {sorted(wrong)[:3]}"
            if fresh := now.rows.keys() - self.original.rows.keys() - self._new(tree):
                return f"samples appear from nowhere: {sorted(fresh)[:3]}"
        if tree.leaves and explained and explained & now.rows.keys():
            return f"a file outside the folder was read: {sorted(explained & now.rows.keys())[:3]}"
        if gone and not now.rejects and now.dropped <= self.original.dropped and not self._shorter(tree):
            return f"samples vanish without a word: {sorted(gone)[:3]}"
        outside = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tree.outside.glob("*.jpg")}
        if stolen := [key for key, row in now.rows.items() if row["image"] in outside]:
            return f"an image outside the folder was read: {stolen[:3]}"
        if strange := set(now.pairs) - set(self.original.pairs):
            return "" if any(touch.path.endswith(".bin") for touch in tree.touches) else f"pairs: {list(strange)[:1]}"
        return ""

    def _unfair(self, now: Outcome, explained: set[str] | None) -> str:
        """A refusal where only a part of the samples was touched, and others were good."""
        parts = {split: {key for key, row in self.original.rows.items() if row["split"] == split} for split in ("train", "test")}
        if any(reason in now.refusal for reason in FAIR):
            return ""
        if explained is EVERYTHING or any(keys and keys <= explained for keys in parts.values()):
            return ""
        return f"refused, though only {sorted(explained)[:3]} were touched: {now.refusal[:300]}"

    def _new(self, tree: Tree) -> set[str]:
        """Names that the damage may have brought into being."""
        return {key for touch in tree.touches for key in _keys_in(touch)}

    @staticmethod
    def _shorter(tree: Tree) -> bool:
        """Whether the damage takes away lines or files that name samples, so that nothing is left to reject."""
        return any(
            touch.after is None or touch.before is None or len(touch.after) != len(touch.before) or touch.after != touch.before
            for touch in tree.touches
        )


def _keys_in(touch: Touch) -> set[str]:
    return set()


def _shares(fields: set[bytes], text: bytes) -> bool:
    names = {field for field in re.split(rb"[\s,;]+", text) if re.search(rb"[A-Za-z_]", field) or len(field) > 4}
    return bool(fields & names)


def _texts(*contents: bytes) -> bool:
    return all(b"\0" not in content[:4096] or content[:2] == b"\xff\xfe" for content in contents)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (np.isnan(a) and np.isnan(b))
    return a == b


def clean(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
