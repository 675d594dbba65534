"""From a reader's samples to the blocks of a split: checked, each in its part, one by one or in bulk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from tqdm import tqdm

from faceptor.datasets.reader import Reader, Reject
from faceptor.prepared.ahead import computed_ahead
from faceptor.prepared.blocks import Blocks
from faceptor.prepared.bulk import Converter, mode_of
from faceptor.prepared.checks import Ready, checked, place

log = logging.getLogger("faceptor")

PartOf = Callable[[str], str]  # group -> part


def fill(blocks: Blocks, reader: Reader, part_of: PartOf) -> str | None:
    """Write what the finished blocks of a split lack. Returns how images were checked, where there was a choice."""
    try:
        taken = [facts.labels["identity"].distinct for facts in blocks.facts().values() if "identity" in facts.labels]
        known = [identity for part in taken for identity in part]
        if (source := reader.bulk(blocks.split, blocks.done, known)) is None:
            mode = None
            _one_by_one(blocks, reader, part_of)
        else:
            mode = mode_of(reader.options["verify"], reader.images)
            _in_bulk(blocks, reader, source, Converter(blocks.parts, reader.columns, part_of, mode))
        blocks.finish_block()
        return mode
    finally:
        blocks.abandon()


def _one_by_one(blocks: Blocks, reader: Reader, part_of: PartOf) -> None:
    split = blocks.split
    seen = {key for part in blocks.parts for key in blocks.rows(part)["key"].to_pylist()}
    total = reader.generated_counts.get(split) if reader.generated else reader.published.get(split)
    items, workers = islice(reader.read(split), blocks.done, None), os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:  # decoding releases Python's lock
        ready = computed_ahead(pool, partial(checked, reader), items, 8 * workers)
        for item in _bar(ready, blocks, reader, total):
            if isinstance(item, Ready) and item.record.key in seen:
                where = place(reader, item.record)
                item = Reject(item.record.key, where, "the key was seen before: the list names a sample twice")
            if isinstance(item, Reject):
                blocks.reject(item)
            else:
                seen.add(item.record.key)
                blocks.add(part_of(item.row["group"]), item)


def _in_bulk(blocks: Blocks, reader: Reader, source: Iterator, convert: Converter) -> None:
    with _bar(None, blocks, reader, reader.images) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        first = blocks.done  # number of the first sample of a bulk
        for bulk in source:
            columns, rejects = convert(bulk, first, pool)
            for reject in rejects:
                blocks.reject(reject, counts=False)
            blocks.add_columns(columns, bulk.items)
            bar.update(bulk.items)
            first += bulk.items


def _bar(items: Iterable | None, blocks: Blocks, reader: Reader, total: int | None) -> tqdm:
    if blocks.done:
        log.info("%s %s: %d samples were prepared before, going on", reader.name, blocks.split, blocks.done)
    title = f"preprocess {reader.name} {blocks.split}"
    return tqdm(items, desc=title, total=total, initial=blocks.done, unit="face", dynamic_ncols=True)
