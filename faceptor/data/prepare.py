"""From a data set in its owner's layout to prepared shards, a passport and a list of rejects.

The output is a function of the files and the arguments alone, to the byte, and appears whole or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from faceptor.data.checks import Ready, checked, place
from faceptor.data.passport import (
    SplitFacts,
    common_checks,
    compare_published,
    generated_check,
    keys_hash,
    quoted,
    reject_summary,
    separation_check,
)
from faceptor.data.shards import FACTS, SAMPLE_TYPES, VERIFICATION_TYPES, ShardWriter, write_json
from faceptor.datasets import reader_class
from faceptor.datasets.base import BadSample, Check, Reader, Record, Reject, share
from faceptor.datasets.images import verify
from faceptor.datasets.restricted_pickle import load_verification
from faceptor.errors import ConfigError, DataError

log = logging.getLogger("faceptor")

FORMAT = 1  # of the passport and the shards


def prepare(
    dataset: str,
    root: Path | str,
    out: Path | str,
    *,
    validation: float,
    seed: int,
    max_rejects: float = 0.01,
    options: dict | None = None,
) -> dict:
    """Write `out/{train,val,test}/`, `out/verification/<set>/`, `out/passport.json`, `out/rejects.jsonl`.

    `root` is the data set's folder; `validation` the share of training groups held out (chosen by a hash of seed and
    group, so that no group is on both sides); `max_rejects` the share of a split that may be unusable. Returns the
    passport. Raises DataError, and leaves `out` as it was, when the data cannot be read as published.
    """
    for name, value in (("validation", validation), ("max_rejects", max_rejects)):
        if not 0 <= value < 1:
            raise ConfigError(f"datasets.{dataset}: {name}: expected a share in [0, 1), found {value}")
    reader_type = reader_class(dataset)
    root, out = Path(root), Path(out)
    if not root.is_dir():
        raise DataError(
            f"{dataset}: {root}: expected a folder with {reader_type.title}, found none; get it from "
            f"{reader_type.source}, or run `faceptor synthesize {dataset}`"
        )
    reader = reader_type(root, **(options or {}))
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
    partial.mkdir(parents=True)
    try:
        passport = _Preparation(reader, partial, validation, seed, max_rejects).run()
        _replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return passport


def _replace(partial: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


@dataclass
class _Preparation:
    """One run: reads both splits once, in order, and keeps only facts about them in memory."""

    reader: Reader
    out: Path
    validation: float
    seed: int
    max_rejects: float
    threshold: float = 0.0  # of the hash of (seed, group), up to which a group is held out
    facts: dict[str, SplitFacts] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    listed: dict[str, int] = field(default_factory=dict)  # samples per published split, rejects included

    def run(self) -> dict:
        self.threshold = self.validation
        self._training()
        self._split("test", ("test",))
        verification = {name: self._pairs(name, path) for name, path in self.reader.verification().items()}
        self._check_parts()
        passport = self._passport(verification)
        self._check_counts(passport["published"])
        splits = [name for name in ("train", "val", "test") if (self.out / name).exists()]
        write_json(self.out / "dataset_dict.json", {"splits": splits})
        write_json(self.out / "passport.json", passport)
        with open(self.out / "rejects.jsonl", "w", encoding="utf-8") as handle:
            handle.writelines(json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in self.rejects)
        return passport

    def _training(self) -> None:
        """Train and validation. A set with so few groups that none is held out gives the one nearest to it."""
        parts = ("train", "val") if self.validation > 0 else ("train",)
        self._split("train", parts)
        facts = self.facts.get("val")
        if facts is not None and not facts.keys and len(self.facts["train"].groups) > 1:
            self.threshold = min(share(self.seed, group) for group in self.facts["train"].groups)
            for part in parts:
                shutil.rmtree(self.out / part)
            self.rejects.clear()
            self.reader.dropped.clear()
            self._split("train", parts)

    # --- samples ---------------------------------------------------------------------------------------------------

    def _split(self, split: str, parts: tuple[str, ...]) -> None:
        types = {name: SAMPLE_TYPES[name] for name in (*FACTS, *self.reader.columns)}
        facts = {part: SplitFacts() for part in parts}
        seen: set[str] = set()
        rejects: list[Reject] = []
        items = self.reader.read(split)
        total = self.reader.generated_counts.get(split) if self.reader.generated else self.reader.published.get(split)
        with ExitStack() as stack:
            writers = {part: stack.enter_context(ShardWriter(self.out / part, types)) for part in parts}
            ready = tqdm(
                parallel(lambda item: checked(self.reader, item), items),
                desc=f"preprocess {self.reader.name} {split}",
                total=total,
                unit="face",
                dynamic_ncols=True,
            )
            for item in ready:
                if isinstance(item, Ready) and item.record.key in seen:
                    where = place(self.reader, item.record)
                    item = Reject(item.record.key, where, "the key was seen before: the list names a sample twice")
                if isinstance(item, Reject):
                    rejects.append(item)
                    continue
                seen.add(item.record.key)
                part = self._part(item.record, parts)
                writers[part].add(item.row)
                facts[part].add(item.record, item.picture, item.resized)
                facts[part].upright += item.upright
        self.rejects += rejects
        self.rejected[split] = len(rejects)
        self.listed[split] = len(seen) + len(rejects)
        if self.listed[split] == 0 and split == "test":  # a set for training only has no test split
            shutil.rmtree(self.out / split)
            del self.listed[split]
            return
        self._check_rejects(split, rejects, self.listed[split])
        self.facts |= facts
        for part in facts.values():
            for subset, count in part.subsets.items():
                self.listed[f"{split}/{subset}"] = self.listed.get(f"{split}/{subset}", 0) + count

    def _part(self, record: Record, parts: tuple[str, ...]) -> str:
        held_out = "val" in parts and share(self.seed, record.group or record.key) <= self.threshold
        return "val" if held_out else parts[0]

    # --- verification pairs ----------------------------------------------------------------------------------------

    def _pairs(self, name: str, path: Path) -> dict:
        images, same = load_verification(path)
        rejects: list[Reject] = []
        kept: list[bool] = []
        with ShardWriter(self.out / "verification" / name, VERIFICATION_TYPES) as writer:
            bar = tqdm(same, desc=f"preprocess {self.reader.name} {name}", unit="pair", dynamic_ncols=True)
            for pair, flag in enumerate(bar):
                both = images[2 * pair : 2 * pair + 2]
                try:
                    for data in both:
                        verify(data)
                except BadSample as reason:
                    rejects.append(Reject(f"{name}:{pair}", f"{path.name}:{pair}", str(reason)))
                    continue
                for data in both:
                    writer.add({"image": data, "pair": len(kept), "same": flag})
                kept.append(flag)
        self.rejects += rejects
        self.listed[f"verification/{name}"] = len(same)
        self._check_rejects(name, rejects, len(same))
        detail = f"{len(images)} images, {len(same)} flags"
        self.checks.append(Check(f"{path.name}: two images per flag", "pass", detail))
        return {"pairs": len(kept), "same": sum(kept)}

    # --- stops -----------------------------------------------------------------------------------------------------

    def _check_rejects(self, split: str, rejects: list[Reject], total: int) -> None:
        if len(rejects) > self.max_rejects * total:
            raise DataError(
                f"{self.reader.name}: {split}: {len(rejects)} of {total} samples cannot be used, more than the share "
                f"{self.max_rejects} of data.max_rejects; the first: {quoted(rejects)}; repair them or raise the share"
            )

    def _check_parts(self) -> None:
        for part in ("train", "val"):
            if part in self.facts and not self.facts[part].keys:
                raise DataError(
                    f"{self.reader.name}: no sample left for {part} with validation {self.validation} of "
                    f"{self.listed['train']} samples; change datasets.{self.reader.name}.validation"
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
                raise DataError(
                    f"{text}; unpack what is missing, or set datasets.{self.reader.name}.options.strict_counts to false"
                )
            log.warning(text)

    # --- passport --------------------------------------------------------------------------------------------------

    def _separation(self) -> list[Check]:
        if "test" not in self.facts:
            return []
        return [separation_check([facts for part, facts in self.facts.items() if part != "test"], self.facts["test"])]

    def _passport(self, verification: dict[str, dict]) -> dict:
        reader = self.reader
        checks = [
            *common_checks(reader, self.facts["train"]),
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
            "options": {key: list(v) if isinstance(v, tuple) else v for key, v in reader.options.items()},
            "validation": {"share": self.validation, "seed": self.seed, "by": "group"},
            "counts": {part: len(facts.keys) for part, facts in self.facts.items()},
            "groups": {part: len(facts.groups) for part, facts in self.facts.items()},
            "subsets": {name: count for name, count in self.listed.items() if name.startswith("test/")},
            "published": compare_published(reader, self.listed, self.rejected),
            "split_hashes": {part: keys_hash(facts.keys) for part, facts in self.facts.items()},
            "columns": list(reader.columns),
            "landmark_scheme": reader.scheme,
            "label_names": {column: list(names) for column, names in reader.classes.items()},
            "images": {part: facts.images() for part, facts in self.facts.items()},
            "labels": {part: facts.labels(reader.classes) for part, facts in self.facts.items()},
            "verification": verification,
            "checks": [asdict(check) for check in checks],
            "dropped": dict(sorted(reader.dropped.items())),
            "rejects": reject_summary(self.rejects, total, self.max_rejects),
        }


def parallel(function: Callable, items: Iterable) -> Iterator:
    """Results in the order of the items, a bounded number ahead; threads, since decoding releases Python's lock."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 8 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
