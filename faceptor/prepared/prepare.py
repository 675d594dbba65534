"""From a data set in its owner's layout to prepared shards, a dataset card and a list of rejects.

The output is a function of the files and the arguments alone, to the byte, and appears whole or not at all.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from heapq import nsmallest
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from faceptor.config.sections import spelled
from faceptor.datasets import reader_class
from faceptor.datasets.folders import Links
from faceptor.datasets.formats.images import verify
from faceptor.datasets.formats.restricted_pickle import load_verification
from faceptor.datasets.reader import BadSample, Check, Reader, Reject, printable, share
from faceptor.errors import ConfigError, DataError, FaceptorError, WriteError
from faceptor.io.paths import replace_folder
from faceptor.prepared import shards
from faceptor.prepared.blocks import Blocks, Journal
from faceptor.prepared.bulk import ONE_DECODED_IN, hash_of
from faceptor.prepared.card import SplitFacts, common_checks, compare_published, generated_check, quoted, reject_summary
from faceptor.prepared.duplicates import DUPLICATES_FILE, PICTURE_BYTES, Duplicates, find_duplicates, separation_checks
from faceptor.prepared.intake import fill
from faceptor.prepared.integrity import content_hash
from faceptor.prepared.splits import shared, write_split

log = logging.getLogger("faceptor")

SPLIT_FILE = "splits/{}.txt"
FORMAT = 3  # of the dataset card and the shards
JOURNAL_FORMAT = 2  # of what a killed run left
IMAGE_CHECKS = {
    "full": "every image decoded to its end",
    "header": f"start, size and end mark of every image; one in {ONE_DECODED_IN} decoded to its end",
}


def prepare(
    dataset: str,
    root: Path | str,
    out: Path | str,
    *,
    validation: float,
    seed: int,
    max_rejects: float = 0.01,
    options: dict | None = None,
    reader: str | None = None,
    follow_links: Links = False,
) -> dict:
    """Write `out/{train,val,test}/`, `out/splits/*.txt`, `out/verification/<set>/`, `out/card.json`, ...

    `root` is the data set's folder; `validation` the share of training groups held out (chosen by a hash of seed and
    group, so that no group is on both sides); `max_rejects` the share of a split that may be unusable. Returns the
    dataset card. `reader` names the published set that `dataset` is another copy of, or "generic"; `follow_links` says
    whether symbolic links may lead out of `root` (True), or into which folders. Raises DataError, and leaves `out` as
    it was, when the data cannot be read as published. After a kill the same call goes on behind the last finished
    shard; the bytes are those of an uninterrupted run.
    """
    for name, value in (("validation", validation), ("max_rejects", max_rejects)):
        if not 0 <= value < 1:
            raise ConfigError(f"datasets.{spelled(dataset)}: {name}: expected a share in [0, 1), found {value}")
    reader_type = reader_class(reader or dataset, key=dataset)
    root, out = Path(root), Path(out)
    if not root.is_dir():
        raise DataError(
            f"{dataset}: {root}: expected a folder with {reader_type.title}, found none; get it from "
            f"{reader_type.source}, or run `faceptor synthesize {dataset}`"
        )
    source = reader_type(root, follow_links=follow_links, **(options or {}))
    partial = out.with_name(f".{out.name}.partial")
    try:
        journal = Journal(partial, _plan(source, validation, seed))
        card = _Preparation(source, journal, validation, seed, max_rejects).run()
        replace_folder(partial, out)
    except FaceptorError as error:
        if not isinstance(error, WriteError):  # what was refused is not worth keeping; what was cut short is
            shutil.rmtree(partial, ignore_errors=True)
        raise
    return card


def _plan(reader: Reader, validation: float, seed: int) -> dict:
    """All that the bytes depend on, for a run that goes on where another was killed."""
    top = reader.listing(reader.root)
    inner = [path for folder in top if folder.is_dir() for path in nsmallest(100, folder.iterdir())]
    state = {printable(str(path.relative_to(reader.root))): path.lstat() for path in (*top, *inner)}
    return {
        "format": [FORMAT, JOURNAL_FORMAT],
        "dataset": reader.name,
        "reader": type(reader).__qualname__,
        "options": reader.options,
        "validation": validation,
        "seed": seed,
        "follow_links": links if isinstance(links := reader.follow_links, bool) else [str(root) for root in links],
        "input": {name: [found.st_size, found.st_mtime_ns] for name, found in state.items()},
        "limits": [shards.SHARD_BYTES, shards.BATCH_BYTES, shards.BATCH_ROWS],
    }


@dataclass
class _Preparation:
    """One run: reads both splits once, in order, and keeps only facts about them in memory."""

    reader: Reader
    journal: Journal
    validation: float
    seed: int
    max_rejects: float
    threshold: float = 0.0  # of the hash of (seed, group), up to which a group is held out
    facts: dict[str, SplitFacts] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    listed: dict[str, int] = field(default_factory=dict)  # samples per published split, rejects included
    rows: dict[str, pa.Table] = field(default_factory=dict)  # key and hash of every row of every part
    duplicates: Duplicates = field(default_factory=Duplicates)
    contents: dict[str, str] = field(default_factory=dict)  # hash of the rows of every part and verification set
    verified: str = "full"

    @property
    def out(self) -> Path:
        return self.journal.folder

    def run(self) -> dict:
        self.threshold = self.validation
        self._training()
        self._split("test", ("test",))
        verification = {name: self._pairs(name, path) for name, path in self.reader.verification().items()}
        self._check_parts()
        if not self.facts:
            raise DataError(f"{self.reader.name}: {self.reader.root}: no sample found; {self.reader.remedy}")
        self.contents |= {part: content_hash(self.rows[part]["content"].to_pylist()) for part in self.facts}
        hashes = {part: write_split(self.out / SPLIT_FILE.format(part), self.rows[part]["key"]) for part in self.facts}
        self.duplicates = find_duplicates({part: self.rows[part] for part in self.facts}, self.out / DUPLICATES_FILE)
        self._warn_of_duplicates()
        card = self._card(verification, hashes)
        self._check_counts(card["published"])
        splits = [name for name in ("train", "val", "test") if (self.out / name).exists()]
        shards.write_json(self.out / "dataset_dict.json", {"splits": splits})
        shards.write_json(self.out / "card.json", card)
        with open(self.out / "rejects.jsonl", "w", encoding="utf-8") as handle:
            handle.writelines(json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in self.rejects)
        self.journal.close()
        return card

    def _training(self) -> None:
        """Train and validation. A set with so few groups that none is held out gives the one nearest to it."""
        parts = ("train", "val") if self.validation > 0 else ("train",)
        self._split("train", parts)
        facts = self.facts.get("val")
        if facts is not None and not facts.count and len(self.facts["train"].groups) > 1:
            self.threshold = min(share(self.seed, group) for group in self.facts["train"].groups)
            self.rejects.clear()
            self.reader.dropped.clear()
            self._split("train", parts)

    # --- samples ---------------------------------------------------------------------------------------------------

    def _split(self, split: str, parts: tuple[str, ...]) -> None:
        types = {name: shards.SAMPLE_TYPES[name] for name in (*shards.FACTS, *self.reader.columns)}
        blocks = Blocks(self.journal, split, parts, types, rule=self.threshold)
        self.verified = fill(blocks, self.reader, lambda group: self._part(group, parts)) or self.verified
        facts, rejects = blocks.facts(), blocks.rejects()
        self.rejects += rejects
        self.rejected[split] = len(rejects)
        self.listed[split] = blocks.done
        # A set for training only has no test split, one for evaluation only no training split.
        if self.listed[split] == 0 and (split == "test" or "train" not in self.reader.published):
            del self.listed[split]
            return
        self._check_rejects(split, rejects, self.listed[split])
        self.facts |= facts
        self.rows |= blocks.complete()
        for part in facts.values():
            for subset, count in part.subsets.items():
                self.listed[f"{split}/{subset}"] = self.listed.get(f"{split}/{subset}", 0) + count

    def _part(self, group: str, parts: tuple[str, ...]) -> str:
        return "val" if "val" in parts and share(self.seed, group) <= self.threshold else parts[0]

    # --- verification pairs ----------------------------------------------------------------------------------------

    def _pairs(self, name: str, path: Path) -> dict:
        images, same = load_verification(path)
        pictures: set[bytes] = set()
        rejects: list[Reject] = []
        kept: list[bool] = []
        folder = self.out / "verification" / name
        shutil.rmtree(folder, ignore_errors=True)  # a killed run's: these sets are small, and written again
        writer = shards.ShardWriter(folder / shards.shard_name(0), shards.VERIFICATION_TYPES)
        bar = tqdm(same, desc=f"preprocess {self.reader.name} {name}", unit="pair", dynamic_ncols=True)
        for pair, flag in enumerate(bar):
            both = images[2 * pair : 2 * pair + 2]
            try:
                pictures |= {hash_of(data, verify(data), self.verified) for data in both}
            except BadSample as reason:
                rejects.append(Reject(f"{name}:{pair}", f"{path.name}:{pair}", str(reason)))
                continue
            for data in both:
                writer.add({"image": data, "pair": len(kept), "same": flag})
            kept.append(flag)
        shard = writer.close()
        self.contents[f"verification/{name}"] = content_hash(writer.row_hashes)
        shards.complete(folder, shards.VERIFICATION_TYPES, [shard], self.contents[f"verification/{name}"])
        self.rejects += rejects
        self.listed[f"verification/{name}"] = len(same)
        self._check_rejects(name, rejects, len(same))
        if "train" in self.rows:
            taught = shared(pa.array(sorted(pictures), pa.binary(PICTURE_BYTES)), self.rows["train"]["picture"])
            status = "fail" if taught else "pass"
            self.checks.append(
                Check(f"train and {path.name} share no picture", status, f"{taught} pictures are in both")
            )
        return {"pairs": len(kept), "same": sum(kept)}

    # --- stops -----------------------------------------------------------------------------------------------------

    def _check_rejects(self, split: str, rejects: list[Reject], total: int) -> None:
        if len(rejects) > self.max_rejects * total:
            raise DataError(
                f"{self.reader.name}: {split}: {len(rejects)} of {total} samples cannot be used, more than the share "
                f"{self.max_rejects} of max_rejects; the first: {quoted(rejects)}; repair them, or raise "
                f"datasets.{spelled(self.reader.name)}.max_rejects"
            )

    def _check_parts(self) -> None:
        for part in ("train", "val"):
            if part in self.facts and not self.facts[part].count:
                raise DataError(
                    f"{self.reader.name}: no sample left for {part} with validation {self.validation} of "
                    f"{self.listed['train']} samples; change datasets.{spelled(self.reader.name)}.validation"
                )

    def _warn_of_duplicates(self) -> None:
        if both := {pair: count for pair, count in self.duplicates.across.items() if count}:
            counts = ", ".join(f"{count} in {pair.replace('/', ' and ')}" for pair, count in both.items())
            log.warning(
                f"{self.reader.name}: the same pictures are on both sides ({counts}), so that results flatter the "
                f"model; {DUPLICATES_FILE} of the prepared folder names them"
            )

    def _check_counts(self, published: dict[str, dict]) -> None:
        for split, entry in published.items():
            if entry["equal"] or self.reader.generated:
                continue
            text = (
                f"{self.reader.name}: {split}: expected {entry['published']} samples as published, "
                f"found {entry['found']} in {self.reader.root}"
            )
            if entry["enforced"]:
                option = f"datasets.{spelled(self.reader.name)}.options.strict_counts"
                raise DataError(f"{text}; unpack what is missing, or set {option} to false")
            log.warning(text)

    # --- dataset card ----------------------------------------------------------------------------------------------

    def _separation(self) -> Iterator[Check]:
        train = [part for part in self.facts if part != "test"] if "test" in self.facts else []
        keys = sum(shared(self.rows["test"]["key"], self.rows[part]["key"]) for part in train)
        groups = sum(len(self.facts[part].groups & self.facts["test"].groups) for part in train)
        return separation_checks(self.duplicates, keys, groups)

    def _card(self, verification: dict[str, dict], hashes: dict[str, str]) -> dict:
        reader = self.reader
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in reader.options.items()}
        checks = [
            *common_checks(reader, next(iter(self.facts.values()))),
            *reader.checks(),
            *generated_check(reader, self.listed),
            *self._separation(),
            *self.checks,
        ]
        total = sum(count for name, count in self.listed.items() if "/" not in name or name.startswith("verification"))
        return {
            "format": FORMAT,
            "dataset": reader.name,
            "title": reader.title,
            "source": reader.source,
            "licence": reader.licence,
            "redistribution": reader.redistribution,
            "generated": reader.generated,
            "protocol": reader.protocol,
            "options": options,
            "images_checked": IMAGE_CHECKS[self.verified],
            "validation": {"share": self.validation, "seed": self.seed, "by": "group"},
            "counts": {part: facts.count for part, facts in self.facts.items()},
            "groups": {part: len(facts.groups) for part, facts in self.facts.items()},
            "subsets": {name: count for name, count in self.listed.items() if name.startswith("test/")},
            "published": compare_published(reader, self.listed, self.rejected),
            "split_files": {part: SPLIT_FILE.format(part) for part in self.facts},
            "split_hashes": hashes,
            "content_hashes": self.contents,
            "columns": list(reader.columns),
            "landmark_scheme": reader.scheme,
            "label_names": {column: list(names) for column, names in reader.classes.items()},
            "images": {part: facts.images() for part, facts in self.facts.items()},
            "labels": {part: facts.label_statistics(reader.classes) for part, facts in self.facts.items()},
            "duplicates": self.duplicates.to_dict(),
            "verification": verification,
            "checks": [asdict(check) for check in checks],
            "dropped": dict(sorted(reader.dropped.items())),
            "ignored": reader.ignored,
            "rejects": reject_summary(self.rejects, total, self.max_rejects),
        }
