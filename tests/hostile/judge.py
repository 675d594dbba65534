"""What a damaged set may come to: samples as they were, rejects with reasons, or one clear refusal. Nothing else.

A surviving sample may differ from the original only where the damage can explain it. What a file or a line explains is
found by experiment: the samples that change when it is blanked out.
"""

from __future__ import annotations

import difflib
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from faceptor.datasets.reader import MARKER
from faceptor.errors import DataError
from tests.hostile.bases import Base
from tests.hostile.outcome import Outcome, digest, prepared
from tests.hostile.targets import is_image, split_lines, suffix
from tests.hostile.tree import Touch, Tree

EVERYTHING = None  # in place of a set of keys
# Reasons to refuse a whole set for the sake of one line: rows are paired by their number, or it is no text.
FAIR = ("a line longer than", "a row for every row", "do not belong together")
SHARED = (".cal", ".idx", ".yaml")  # what all samples need
HEAD = 2  # lines of a list in which counts and names of columns may stand
FACES = 3  # on one photograph, at most
SEPARATORS = re.compile(rb"[\s,;]+")


class Complaint(Exception):
    """A part of the data has more power over the rest than it should."""


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
        self._seal = self.seal()

    def seal(self) -> dict[str, str]:
        """Digest of every file of the sound set, to see that nothing wrote into it."""
        files = sorted(path for path in self.pristine.rglob("*") if path.is_file())
        return {str(path): digest(path.read_bytes()) for path in files}

    @property
    def untouched(self) -> bool:
        return self._seal == self.seal()

    def tree(self) -> Tree:
        return Tree.copy(self.pristine, self.home / "damaged")

    # --- the verdict ----------------------------------------------------------------------------------------------

    def verdict(self, tree: Tree, now: Outcome) -> str:
        """Empty, or what is wrong with the outcome."""
        if now.problem:
            return now.problem
        if tree.canary.exists():
            return "code from the data was run"
        try:
            if now.refusal:
                return self._unfair(now, self.explained(tree.touches), tree)
            return self._escape(tree, now) or self._silent(tree, now) or self._wrong_pairs(tree, now)
        except Complaint as complaint:
            return str(complaint)

    def _unfair(self, now: Outcome, explained: set[str] | None, tree: Tree) -> str:
        """A refusal where only a part of the samples was touched, and others were good."""
        if explained is EVERYTHING or any(reason in now.refusal for reason in FAIR):
            return ""
        if self.base.drawn and re.search(r": (\d+) of \1 samples cannot be used", now.refusal):
            return ""  # a part for which none but damaged samples were drawn
        if any(touch.leaves or _heads(touch) or self._no_list(touch) for touch in tree.touches):
            return ""
        if any(suffix(touch.path) in SHARED and touch.path in now.refusal for touch in tree.touches):
            return ""  # and the message names it
        rows = self.original.rows
        parts = [{key for key in rows if rows[key]["split"] == split} for split in ("train", "test")]
        if any(part and part <= explained for part in parts):
            return ""
        return f"refused, though only {sorted(explained)[:3]} were touched: {now.refusal[:300]}"

    def _no_list(self, touch: Touch) -> bool:
        """Whether a file that speaks of many samples is none any more."""
        return touch.after is None and not self._of_one_sample(touch.path, None)

    def _escape(self, tree: Tree, now: Outcome) -> str:
        """Samples whose files lie outside the folder."""
        for touch in tree.touches:
            if touch.leaves and (left := (self.owners(touch.path) or set()) & now.rows.keys()):
                return f"{touch.path}, which leads outside, was read: {sorted(left)[:3]}"
        outside = {digest(path.read_bytes()) for path in tree.outside.glob("*.jpg")}
        stolen = [key for key, row in now.rows.items() if row["image"] in outside]
        return f"an image outside the folder was read: {stolen[:3]}" if stolen else ""

    def _silent(self, tree: Tree, now: Outcome) -> str:
        """Samples that changed or went without the damage, or without a word."""
        gone = self.original.rows.keys() - now.rows.keys()
        fresh = now.rows.keys() - self.original.rows.keys()
        changed = self._changed(now)
        few = sum(touch.few or len(self.original.rows) for touch in tree.touches)
        if len(gone | changed) > few:
            return f"one value was touched, and {len(gone | changed)} samples are others: {sorted(gone | changed)[:3]}"
        if not (gone or changed or fresh) or (explained := self.explained(tree.touches)) is EVERYTHING:
            return ""
        if wrong := (gone | changed) - explained:
            return f"samples that were not touched are {'lost' if wrong & gone else 'changed'}: {sorted(wrong)[:3]}"
        if strange := [key for key in fresh if not any(_names(touch, key) for touch in tree.touches)]:
            return f"samples appear from nowhere: {sorted(strange)[:3]}"
        told = len(now.rejects) + max(now.dropped - self.original.dropped, 0) + len(fresh)
        if len(gone) > told + sum(self._removed(touch) for touch in tree.touches):
            return f"samples vanish without a word: {sorted(gone)[:3]}, {len(now.rejects)} rejects"
        return ""

    def _removed(self, touch: Touch) -> int:
        """How many samples may go without a word, because what named them is gone."""
        if touch.after is None:
            return len(self.owners(touch.path) or self.original.rows)
        before, after = (len([line for line in split_lines(data or b"") if line.strip()]) for data in touch[1:3])
        return max(before - after, 0)

    def _wrong_pairs(self, tree: Tree, now: Outcome) -> str:
        strange = set(now.pairs) - set(self.original.pairs)
        files = any(touch.path.endswith(".bin") for touch in tree.touches)
        return f"pairs that were not there: {sorted(strange)[:1]}" if strange and not files else ""

    # --- what a file or line explains -----------------------------------------------------------------------------

    def explained(self, touches: list[Touch]) -> set[str] | None:
        """Keys whose fate the touches explain."""
        found: set[str] = set()
        for touch in touches:
            if not (self.pristine / touch.path).exists():
                more = self._mentioned(os.fsencode(touch.path))
            elif touch.before is None or touch.after is None:
                more = self.owners(touch.path)
            elif touch.path.endswith(".yaml"):
                more = EVERYTHING  # says what the columns of the list mean
            elif touch.path.endswith(".rec"):
                more = self._records(touch)
            elif not _text(touch.before):
                more = self.owners(touch.path)
            else:
                more = self._lines(touch)
            if more is EVERYTHING:
                return EVERYTHING
            found |= more
        return found

    def owners(self, path: str, line: int | None = None) -> set[str] | None:
        """Keys that change when a file, folder or line of the sound set is blanked out; EVERYTHING if none is left.

        The reader under test tells them itself, so what belongs to one sample by its nature must not decide about many.
        """
        if (path, line) not in self._owners:
            found = self._owners[path, line] = self._found(path, line)
            if self._of_one_sample(path, line) and (found is EVERYTHING or len(found) > FACES):
                place = path if line is None else f"{path}:{line + 1}"
                many = "all samples" if found is EVERYTHING else sorted(found)
                raise Complaint(f"{place} alone decides about {many}")
        return self._owners[path, line]

    def _of_one_sample(self, path: str, line: int | None) -> bool:
        """An image, a label file with the name of a sample, or a line of a list."""
        if (self.pristine / path).is_dir() or path == MARKER or suffix(path) in SHARED:
            return False
        if line is not None:
            return line >= HEAD
        return is_image(path) or any(_stem(path).startswith(_stem(key)) for key in self.original.rows)

    def _found(self, path: str, line: int | None) -> set[str] | None:
        if not (self.pristine / path).exists():
            return set()
        tree = Tree.copy(self.pristine, self.home / "blank")
        if line is not None:
            lines = split_lines(tree.read(path))
            if self.base.drawn:  # one line less would move others from one part to the other
                return self._mentioned(lines[line])
            lines[line] = b"?\n"
            tree.write(path, b"".join(lines))
        elif (tree.root / path).is_dir():
            tree.remove(path)
        else:
            tree.write(path, b"")
        now = prepared(self.base, tree.root, self.home / "out")
        if only := re.search(r": (train|test): 1 of 1 samples cannot be used", now.refusal):
            return {key for key, row in self.original.rows.items() if row["split"] == only[1]}
        if now.refusal or now.problem:
            return EVERYTHING
        return self._changed(now) | (self.original.rows.keys() - now.rows.keys())

    def _changed(self, now: Outcome) -> set[str]:
        return {key for key in now.rows.keys() & self.original.rows.keys() if self._differs(key, now.rows[key])}

    def _differs(self, key: str, row: dict) -> bool:
        was = self.original.rows[key]
        return any(row.get(name) != was[name] for name in was if name != "split" or not self.base.drawn)

    def _lines(self, touch: Touch) -> set[str] | None:
        """Owners of the lines of a text that are others now, and whoever the new lines name."""
        old, new = split_lines((self.pristine / touch.path).read_bytes()), split_lines(touch.after)[:2000]
        if self._of_one_sample(touch.path, None):
            return self.owners(touch.path)
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        found: set[str] = set()
        for kind, first, last, start, stop in matcher.get_opcodes():
            if kind == "equal":
                continue
            fresh = new[start:stop]
            fields = set(SEPARATORS.split(b"".join(fresh))) - set(SEPARATORS.split(b"".join(old[first:last])))
            touched = {row for row, text in enumerate(old) if text in fresh or _shares(fields, text)}
            for row in touched | set(range(first, last)):
                if (more := self.owners(touch.path, row)) is EVERYTHING:
                    return EVERYTHING
                found |= more
            found |= self._mentioned(b"".join(fresh))
        return found

    def _mentioned(self, text: bytes) -> set[str]:
        """Keys that a text names."""
        return {key for key in self.original.rows if _stem(key) in text}

    def _records(self, touch: Touch) -> set[str] | None:
        """Keys of the records of a RecordIO file whose bytes are others; the first one speaks of all."""
        index = (self.pristine / touch.path).with_suffix(".idx").read_text().split()
        starts = {int(at): key for key, at in zip(index[::2], index[1::2], strict=True)}
        if len(touch.before) != len(touch.after):
            return EVERYTHING
        magic = struct.pack("<I", 0xCED7230A)
        offsets = [at for at in sorted(starts) if touch.before[at : at + 4] == magic]
        ends = [*offsets[1:], len(touch.before)]
        found = {starts[a] for a, b in zip(offsets, ends, strict=True) if touch.before[a:b] != touch.after[a:b]}
        return EVERYTHING if found - self.original.rows.keys() else found


def _stem(key: str) -> bytes:
    return os.fsencode(Path(key.partition("@")[0]).stem)


def _names(touch: Touch, key: str) -> bool:
    """Whether the name of a file, or the new content of one, may have brought a key into being."""
    stem = _stem(key).lstrip(b"0")
    return stem in os.fsencode(touch.path) or stem in (touch.after or b"")


def _heads(touch: Touch) -> bool:
    """Whether the first lines of a list were touched."""
    if touch.before is None or touch.after is None:
        return False
    return split_lines(touch.before)[:HEAD] != split_lines(touch.after)[:HEAD]


def _shares(fields: set[bytes], text: bytes) -> bool:
    names = {field for field in SEPARATORS.split(text) if re.search(rb"[A-Za-z_]", field) or len(field) > 4}
    return bool(fields & names)


def _text(before: bytes) -> bool:
    return b"\0" not in before[:4096]
