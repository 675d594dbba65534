"""All registered data sets below one root: found, incomplete or absent, and what to do about it, as plain facts."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from faceptor.config import Params
from faceptor.config.sections import spelled, unspelled
from faceptor.datasets import READERS, reader_class, reader_of
from faceptor.datasets.folders import litter
from faceptor.datasets.reader import Reader
from faceptor.doctor.survey import Progress, Split, Survey, survey
from faceptor.errors import ConfigError, FaceptorError
from faceptor.prepared.card import compare_published, generated_check
from faceptor.prepared.duplicates import DUPLICATES_FILE
from faceptor.prepared.reading import open_split, open_verification, read_card, verification_sets

COMPLETE_SHARE = 0.9  # of the published count, where releases of a set differ
FOUND, INCOMPLETE, ABSENT = STATES = ("found", "incomplete", "absent")
QUICK_LOOK_SECONDS = 60.0  # a quick look at a whole disk
MIN_SECONDS_PER_SET = 1.0
MAX_COMPARED_BYTES = 2 << 30  # bytes of prepared shards that a quick look compares with their hashes
MAX_PROBLEMS_QUOTED = 4  # per set


@dataclass(frozen=True)
class Problem:
    """where: file[:line] below the set's folder, "" for the set itself; count: how many samples have it."""

    what: str
    where: str = ""
    count: int = 1
    blocking: bool = True  # preparation would stop


def examine_data(
    params: Params,
    *,
    root: Path | None = None,
    names: Sequence[str] = (),
    deep: bool = False,
    seconds: float = QUICK_LOOK_SECONDS,
    progress: Callable[[str, str, int], None] | None = None,
) -> dict:
    """{"root", "deep", "datasets": {name: facts}, "summary"}, fit for JSON.

    root: where the data sets lie; None = data.root of the parameters. names: only these. A quick look takes about
    `seconds` for all sets together.
    """
    known = list(dict.fromkeys((*READERS, *params.datasets)))
    names = [unspelled(name) for name in names]
    for name in names:
        if name not in known:
            raise ConfigError(f"doctor data: {name!r} is no data set; expected one of {', '.join(known)}")
    begun, chosen = perf_counter(), list(names or known)
    home = params.data.root if root is None else Path(root).expanduser()
    own = home.resolve() == params.data.root.resolve()
    if not home.is_dir() and not own:
        raise ConfigError(f"--root {home}: expected a folder that holds the data sets, found none")
    disk = params.model_copy(update={"data": params.data.model_copy(update={"root": home})})
    waiting = [name for name in chosen if _holds_something(_folder(disk, name))]
    entries = {}
    for name in chosen:
        entry = entries[name] = _facts(disk, name)
        entry["needed"] = bool(names) or name in params.datasets
        prepared = list(_prepared_problems(disk, name, entry["prepared"], deep=deep))
        damaged = any(problem.blocking for problem in prepared)
        if name not in waiting:
            generated = own and name in params.synthesis
            entry["ok"] = ((generated or entry["prepared"] is not None) and not damaged) or not entry["needed"]
            entry["remedy"] = _remedy(disk, name, generated=generated)
            entry["problems"] = [asdict(problem) for problem in prepared]
            continue
        left = seconds - (perf_counter() - begun)
        tell = (lambda split, count, name=name: progress(name, split, count)) if progress else None
        entry |= _look(disk, name, deep=deep, seconds=max(left / len(waiting), MIN_SECONDS_PER_SET), progress=tell)
        entry["problems"] = [*(asdict(problem) for problem in prepared), *entry["problems"]]
        entry["ok"] = not any(problem["blocking"] for problem in entry["problems"]) or not entry["needed"]
        waiting.remove(name)
    return {
        "root": str(home),
        "deep": deep,
        "named": bool(names),
        "datasets": entries,
        "summary": _summary(entries),
        "seconds": round(perf_counter() - begun, 1),
    }


def _kind(params: Params, name: str) -> type[Reader]:
    block = params.datasets.get(name)
    return reader_class((block.reader if block else None) or name, key=name)


def _folder(params: Params, name: str) -> Path:
    return params.data.root / (params.datasets[name].path if name in params.datasets else name)


def _facts(params: Params, name: str) -> dict:
    """What is known of a data set without looking at it."""
    kind, block = _kind(params, name), params.datasets.get(name)
    chosen = block.options if block else {}
    return {
        "title": kind.title,
        "folder": str(_folder(params, name)),
        "state": ABSENT,
        "listed": block is not None,  # in params.yaml
        "needed": False,
        "ok": True,
        "licence": kind.licence,
        "redistribution": kind.redistribution,
        "ask": kind.source,
        "published": dict(kind.published),
        "options": {
            option: {"chosen": chosen.get(option, values[0]), "known": list(values)}
            for option, values in kind.choices.items()
        },
        "prepared": _prepared(params, name),
        "problems": [],
    }


def _prepared(params: Params, name: str) -> dict | None:
    """What preparation left, if it ran."""
    if name not in params.datasets:
        return None
    try:
        card = read_card(params.prepared(name))
        counts, rejected = card["counts"], card["rejects"]["count"]
        both = card.get("duplicates", {}).get("across", {})
    except (FaceptorError, KeyError, TypeError, AttributeError):
        return None
    return {"folder": str(params.prepared(name)), "counts": counts, "rejected": rejected, "on_both_sides": both}


def _prepared_problems(params: Params, name: str, prepared: dict | None, *, deep: bool) -> Iterator[Problem]:
    """Damaged shards, and pictures that two splits share; large files are compared with their hashes by --deep only."""
    if prepared is None:
        return
    folder = params.prepared(name)
    if deep or sum(path.stat().st_size for path in folder.glob("**/*.arrow")) <= MAX_COMPARED_BYTES:
        try:
            for split in prepared["counts"]:
                open_split(folder, split)
            for pairs in verification_sets(folder):
                open_verification(folder, pairs)
        except FaceptorError as error:
            yield Problem(f"prepared data: {error}")
    for pair, count in prepared["on_both_sides"].items():
        if count:
            both = pair.replace("/", " and ")
            text = f"prepared data: {count} pictures are in {both}, see {folder / DUPLICATES_FILE}"
            yield Problem(text, blocking=False)


# --- a data set that is there ---------------------------------------------------------------------------------------


def _look(params: Params, name: str, *, deep: bool, seconds: float, progress: Progress | None) -> dict:
    begun, facts, block = perf_counter(), {}, params.datasets.get(name)
    try:
        if block is None:
            reader = _kind(params, name)(_folder(params, name), follow_links=params.data.follow_links)
        else:
            reader = reader_of(name, block, params.data, prepared=params.prepared(name))
        found = survey(reader, deep=deep, seconds=seconds, progress=progress)
        facts = _findings(reader, found)
        problems = _problems(reader, found, facts["counts"], params.max_rejects(name))
        problems = sorted(problems, key=lambda problem: not problem.blocking)
    except FaceptorError as error:  # nothing could be read, or the options are wrong
        problems = [Problem(str(error))]
    told = block is not None and block.options.get("strict_counts") is False
    lacking = any(problem.blocking for problem in problems) or (_short(facts) and not told)
    return facts | {
        "state": INCOMPLETE if lacking else FOUND,
        "problems": [asdict(problem) for problem in problems],
        "seconds": round(perf_counter() - begun, 2),
    }


def _short(facts: dict) -> bool:
    """Whether samples lack that no difference between releases explains; preparation goes on with what is there."""
    counts = {} if facts.get("generated") else facts.get("counts", {})
    return any(row["found"] < COMPLETE_SHARE * row["published"] for row in counts.values())


def _findings(reader: Reader, found: Survey) -> dict:
    compared = compare_published(reader, found.counts, {name: len(s.rejects) for name, s in found.splits.items()})
    whole = {name for name, split in found.splits.items() if split.complete}
    known = {name for name, split in found.splits.items() if split.exact} | {"verification"}
    compared = {
        name: row
        for name, row in compared.items()
        if name.partition("/")[0] in (whole | {"verification"} if "/" in name else known)
    }
    try:
        protocol = reader.protocol
    except FaceptorError:
        protocol = None
    return {
        "published": dict(reader.published),
        "generated": reader.generated,
        "protocol": protocol,
        "splits": {name: split.to_dict() for name, split in found.splits.items()},
        "counts": compared,
        "verification": found.verification,
        "left_out": found.dropped,
        "checks": [asdict(check) for check in (*found.checks, *generated_check(reader, found.counts))],
    }


# --- what is wrong --------------------------------------------------------------------------------------------------


def _problems(reader: Reader, found: Survey, counts: dict, limit: float) -> Iterator[Problem]:
    """Errors about the set first, then counts, then samples, then failed self-checks."""
    for stop in found.stops:
        yield Problem(_relative(stop, reader))
    if not found.stops and not reader.generated:
        yield from _other_counts(found, counts)
    for name, split in found.splits.items():
        yield from _unusable(reader, name, split, limit)
    for check in (*found.checks, *generated_check(reader, found.counts)):
        if check.status == "fail":
            yield Problem(f"self-check failed: {check.name}: {check.detail}", blocking=False)


def _other_counts(found: Survey, counts: dict) -> Iterator[Problem]:
    """Splits with more or fewer samples than their owner published."""
    for name, row in counts.items():
        split = found.splits.get(name.partition("/")[0])
        if row["equal"] or (split and not split.exact):
            continue
        gap = row["published"] - row["found"]
        text = f"{name}: {row['found']:,} samples, {abs(gap):,} {'fewer' if gap > 0 else 'more'} than published"
        yield Problem(text, blocking=row["enforced"])


def _unusable(reader: Reader, name: str, split: Split, limit: float) -> Iterator[Problem]:
    """What keeps samples of a split from being used; of samples with the same fault the first."""
    if split.stopped:
        yield Problem(f"{name}: not counted to the end, it took too long; --deep takes its time", blocking=False)
    if split.unusable > limit:
        text = (
            f"{name}: {len(split.rejects)} of {split.opened} samples cannot be used, more than the share "
            f"{limit:g} that may be: preparation would stop; repair them, or raise "
            f"datasets.{spelled(reader.name)}.max_rejects"
        )
        yield Problem(text)
    alike: dict[str, list] = {}
    for reject in split.rejects:
        alike.setdefault(re.sub(r"'[^']*'|[\w./-]*\d[\w./-]*", "…", reject.reason), []).append(reject)
    for group in sorted(alike.values(), key=len, reverse=True):
        first = group[0]
        yield Problem(f"{first.key}: {first.reason}", first.where, len(group), blocking=False)


def _relative(text: str, reader: Reader) -> str:
    """The error without what the report says anyway: the set's name before, and how to get it after."""
    return text.removeprefix(f"{reader.name}: ").removesuffix(f"; {reader.remedy}")


# --- a data set that is not there -----------------------------------------------------------------------------------


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(not entry.name.startswith(".") and not litter(entry.name) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it exists but cannot be read: the reader says why


def _remedy(params: Params, name: str, *, generated: bool) -> str:
    """What to do; generated: whether the pipeline will generate the faces."""
    if generated:
        return f"nothing: will be generated (`faceptor synthesize {name}` or `dvc repro`)"
    kind, folder = _kind(params, name), _folder(params, name)
    known = {_bare(kind.name), _bare(kind.title), _bare(kind.title.partition("(")[0])}
    beside = sorted(path for path in folder.parent.iterdir() if path.is_dir()) if folder.parent.is_dir() else []
    for other in beside:
        if other.name != folder.name and _bare(other.name) in known:
            return f"there is a folder {other.name}: set datasets.{spelled(kind.name)}.path to it, or rename it"
    return f"unpack it to {folder}"


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _summary(entries: dict) -> dict:
    states = Counter(entry["state"] for entry in entries.values())
    return {
        **{state: states.get(state, 0) for state in STATES},
        "needed": sum(entry["needed"] for entry in entries.values()),
        "wrong": [name for name, entry in entries.items() if not entry["ok"]],
        "ok": all(entry["ok"] for entry in entries.values()),
    }
