"""One run of the preparation, in this process: what came out, or why it refused, or what must never happen."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from faceptor.errors import FaceptorError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split, open_verification, verification_sets
from tests.hostile.bases import Base, quiet

MEMORY = 384 << 20  # bytes that preparing a dozen small faces may take beyond what was taken before
SHARE = 0.999  # of rejects, so that a set is refused only for what is wrong with all of it
LONGEST = 4000  # characters of a message
# A library was asked for any amount of memory and did not get it: the next machine may give it.
NO_ROOM = re.compile(r"(un|not )able to allocate|cannot allocate|allocation failed|MemoryError|bad_alloc|out of memory")
PEAK = Path("/proc/self/clear_refs")


@dataclass
class Outcome:
    """What `prepare` made of a set: rows by key, pairs, rejects; or its refusal; or a problem."""

    rows: dict[str, dict] = field(default_factory=dict)
    pairs: list[tuple] = field(default_factory=list)
    rejects: list[dict] = field(default_factory=list)
    dropped: int = 0
    refusal: str = ""
    problem: str = ""

    @property
    def kind(self) -> str:
        return "refused" if self.refusal else "rejected" if self.rejects else "kept"


def prepared(base: Base, root: Path, out: Path, *, share: float = SHARE) -> Outcome:
    """Prepare the set at `root` and gather everything that was written to `out`."""
    for old in (out, out.with_name(f".{out.name}.partial")):
        shutil.rmtree(old, ignore_errors=True)
    before = _peak(forget=True)
    try:
        with quiet():
            card = prepare(
                base.reader, root, out, validation=0.0, seed=0, max_rejects=share, options=dict(base.options)
            )
        outcome = _gathered(out, card)
    except FaceptorError as error:
        outcome = Outcome(refusal=str(error) or "\n")
    except Exception as error:
        return Outcome(problem=f"{type(error).__name__}: {error}"[:300])
    took = _peak() - before
    outcome.problem = _wrong_words(outcome) or (f"took {took >> 20} MiB" if took > MEMORY else "")
    return outcome


def _peak(*, forget: bool = False) -> int:
    """Most memory this process has held, in bytes; on Linux since it was last told to forget."""
    if not PEAK.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if forget:
        PEAK.write_text("5")
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10


def _wrong_words(outcome: Outcome) -> str:
    """Messages are one line of a sensible length, name a place, and are never about memory."""
    for text in (outcome.refusal, *(reject["reason"] for reject in outcome.rejects)):
        if len(text.splitlines()) > 1 or text == "\n" or len(text) > LONGEST:
            return f"a message of {len(text)} characters in {len(text.splitlines())} lines: {text[:200]!r}"
        if NO_ROOM.search(text):
            return f"memory was asked for: {text[:300]}"
    if any(not (reject["reason"] and reject["where"]) for reject in outcome.rejects):
        return "a reject without place or reason"
    return ""


# --- what was written -------------------------------------------------------------------------------------------------


def _gathered(out: Path, card: dict) -> Outcome:
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    if len(rejects) != card["rejects"]["count"]:
        return Outcome(problem=f"{len(rejects)} rejects in the list, {card['rejects']['count']} in the dataset card")
    return Outcome(
        rows={key: row for part in ("train", "test") for key, row in _rows(out, part).items()},
        pairs=[pair for name in verification_sets(out) for pair in _pairs(out, name)],
        rejects=rejects,
        dropped=sum(card["dropped"].values()),
    )


def _rows(out: Path, part: str) -> dict[str, dict]:
    """Everything that was stored of each sample of one part, images as their digests."""
    if not (out / part).exists():
        return {}
    shards = open_split(out, part)._shards
    columns = {name: shards.column(name).to_pylist() for name in shards.columns}
    columns["image"] = [digest(data) for data in columns["image"]]
    return {
        key: {name: values[row] for name, values in columns.items()} | {"split": part}
        for row, key in enumerate(columns["key"])
    }


def _pairs(out: Path, name: str) -> list[tuple]:
    found = open_verification(out, name)
    images = [digest(found[row].tobytes()) for row in range(len(found))]
    return [(name, images[2 * pair], images[2 * pair + 1], bool(same)) for pair, same in enumerate(found.same)]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
