"""A split on its way to disk: shards of one block after the other, and a journal of the finished ones.

A run that was killed goes on behind its last finished block. Where blocks end depends on the data alone, so the bytes
are those of a run that was never interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from faceptor.datasets.reader import Reject
from faceptor.io.writing import write_whole
from faceptor.prepared import shards
from faceptor.prepared.bulk import Columns
from faceptor.prepared.card import SplitFacts
from faceptor.prepared.checks import Ready
from faceptor.prepared.duplicates import PICTURE_BYTES
from faceptor.prepared.integrity import ROW_BYTES, content_hash
from faceptor.prepared.shards import ShardWriter, complete, shard_name, write_json

BLOCK_ITEMS = 1 << 16  # a block of rejects or tiny images ends too
ROW_FACTS = pa.schema(
    {"key": pa.string(), "content": pa.binary(ROW_BYTES), "picture": pa.binary(PICTURE_BYTES)}
)  # what is known of every row beside its shard
PLAN, JOURNAL = "plan.json", "journal"


class Journal:
    """The unfinished folder of a preparation: its plan, and the blocks that are complete."""

    def __init__(self, folder: Path, plan: dict):
        self.folder = folder
        plan = json.loads(json.dumps(plan))
        if _stored(folder / PLAN) != plan:  # another input, other options, another version: nothing of it can be used
            shutil.rmtree(folder, ignore_errors=True)
            (folder / JOURNAL).mkdir(parents=True)
            write_json(folder / PLAN, plan)

    def blocks(self, split: str, rule: float) -> list[dict]:
        """Finished blocks of a split that were divided by this rule and whose shards are all there, from the first."""
        found = []
        while entry := _stored(self._entry(split, len(found))):
            if entry["rule"] != rule or not all(self._whole(part, shard) for part, shard in entry["shards"].items()):
                break
            found.append(entry)
        return found

    def add(self, split: str, number: int, entry: dict, rows: Mapping[str, Mapping[str, list]]) -> None:
        for part, columns in rows.items():
            with pa.ipc.new_stream(str(self._rows(part, number)), ROW_FACTS) as stream:
                stream.write_table(pa.table(dict(columns), schema=ROW_FACTS))
        write_whole(self._entry(split, number), json.dumps(entry))

    def close(self) -> None:
        """Nothing of the journal stays in the finished folder."""
        shutil.rmtree(self.folder / JOURNAL)
        (self.folder / PLAN).unlink()

    def rows(self, part: str, number: int) -> pa.Table:
        """Keys and hashes of one finished shard: kept apart, so that nobody has to page through the images for them."""
        with pa.OSFile(str(self._rows(part, number))) as source:
            return pa.ipc.open_stream(source).read_all()

    def _rows(self, part: str, number: int) -> Path:
        return self.folder / JOURNAL / f"{part}-{number:05d}.rows"

    def _whole(self, part: str, shard: dict) -> bool:
        path = self.folder / part / shard["filename"]
        rows = self._rows(part, int(path.stem.partition("-")[2]))
        return rows.is_file() and path.is_file() and path.stat().st_size == shard["bytes"]

    def _entry(self, split: str, number: int) -> Path:
        return self.folder / JOURNAL / f"{split}-{number:05d}.json"


def _stored(path: Path) -> dict | None:
    """What an earlier run left in a file; None where it left nothing that is whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@dataclass
class Blocks:
    """Writes one published split into its parts ("train" into train and val, "test" into test)."""

    journal: Journal
    split: str
    parts: tuple[str, ...]
    types: Mapping[str, pa.DataType]
    rule: float  # threshold of the hash that divides train and val; blocks of another one are not reused
    entries: list[dict] = field(default_factory=list)  # finished blocks

    def __post_init__(self) -> None:
        self.entries = self.journal.blocks(self.split, self.rule)
        self._begin()

    def _begin(self) -> None:
        self._writers: dict[str, ShardWriter] = {}
        self._rows: dict[str, dict[str, list]] = {}  # of every open shard, as `ROW_FACTS` calls them
        self._facts = {part: SplitFacts() for part in self.parts}
        self._rejects: list[Reject] = []
        self._items = self._bytes = 0

    @property
    def done(self) -> int:
        """Items of the source that the finished blocks hold."""
        return sum(entry["items"] for entry in self.entries)

    def rows(self, part: str) -> pa.Table:
        """`ROW_FACTS` of a part in the finished blocks."""
        numbers = [number for number, entry in enumerate(self.entries) if part in entry["shards"]]
        return pa.concat_tables([ROW_FACTS.empty_table(), *(self.journal.rows(part, number) for number in numbers)])

    def add(self, part: str, sample: Ready) -> None:
        """One sample."""
        self._writer(part).add(sample.row)
        self._rows[part]["key"].append(sample.row["key"])
        self._rows[part]["picture"].append(sample.picture.content)
        self._facts[part].add(sample.record, sample.picture, sample.resized)
        self._facts[part].upright += sample.upright
        self._advance(1, len(sample.row["image"]))

    def add_columns(self, bulk: Mapping[str, Columns], items: int) -> None:
        """Many samples, by their part; items: how many of the source they stand for."""
        size = 0
        for part, given in bulk.items():
            if given.facts.count:
                self._writer(part).add_columns(given.arrays)
                self._rows[part]["key"] += given.arrays["key"].to_pylist()
                self._rows[part]["picture"] += given.pictures
                self._facts[part] += given.facts
                size += given.arrays["image"].nbytes
        self._advance(items, size)

    def reject(self, reject: Reject, *, counts: bool = True) -> None:
        """A sample that is not written; counts=False where `add_columns` counts it."""
        self._rejects.append(reject)
        if counts:
            self._advance(1, 0)

    def _writer(self, part: str) -> ShardWriter:
        if part not in self._writers:
            path = self.journal.folder / part / shard_name(len(self.entries))
            writer = self._writers[part] = ShardWriter(path, self.types)
            self._rows[part] = {"key": [], "content": writer.row_hashes, "picture": []}
        return self._writers[part]

    def _advance(self, items: int, size: int) -> None:
        self._items += items
        self._bytes += size
        if self._bytes >= shards.SHARD_BYTES or self._items >= BLOCK_ITEMS:
            self.finish_block()

    def finish_block(self) -> None:
        """Close the shards that are open and enter them in the journal."""
        if not self._items:
            return
        entry = {
            "items": self._items,
            "rule": self.rule,
            "shards": {part: writer.close() for part, writer in self._writers.items()},
            "facts": {part: facts.to_state() for part, facts in self._facts.items()},
            "rejects": [asdict(reject) for reject in self._rejects],
        }
        self.journal.add(self.split, len(self.entries), entry, self._rows)
        self.entries.append(entry)
        self._begin()

    def abandon(self) -> None:
        """Close the files of the block that was not finished."""
        for writer in self._writers.values():
            writer.abandon()

    def facts(self) -> dict[str, SplitFacts]:
        total = {part: SplitFacts() for part in self.parts}
        for entry in self.entries:
            for part, state in entry["facts"].items():
                total[part] += SplitFacts.from_state(state)
        return total

    def rejects(self) -> list[Reject]:
        return [Reject(**reject) for entry in self.entries for reject in entry["rejects"]]

    def complete(self) -> dict[str, pa.Table]:
        """The shards as a data set that can be opened; part -> its `ROW_FACTS`."""
        found = {}
        for part in self.parts:
            folder = self.journal.folder / part
            folder.mkdir(exist_ok=True)
            written = [entry["shards"][part] for entry in self.entries if part in entry["shards"]]
            for stray in set(folder.glob("*.arrow")) - {folder / shard["filename"] for shard in written}:
                stray.unlink()
            found[part] = self.rows(part)
            complete(folder, self.types, written, content_hash(found[part]["content"].to_pylist()))
        return found
