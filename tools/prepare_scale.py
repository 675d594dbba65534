"""How preparation holds up against millions of faces: `python -m tools.prepare_scale --records 1000000 --out DIR`.

Writes a RecordIO file of that many small JPEGs in the layout of MS1MV3, prepares it, and reads the shards at random.
Nothing of it grows with the number of records but the files and a few bytes of index per record. Every image carries
its number, so that reading also shows that no byte went astray.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import threading
import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import psutil
import simplejpeg
import typer

from faceptor.errors import DataError, FaceptorError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.synthesis.writers.write_recordio import record_writer

SIDE = 112  # pixels
PATTERNS = 64  # different pictures; the number in each makes the file its own
PER_PERSON = 55  # images of an identity, as in MS1MV3
SEED = 1


def pictures(quality: int) -> list[bytes]:
    """JPEGs of smooth colours, of the size in bytes that the quality gives."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(PATTERNS):
        colours = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        image = cv2.resize(colours, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        found.append(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="420"))
    return found


def numbered(jpeg: bytes, number: int) -> bytes:
    """The same picture with a comment segment that holds the number."""
    return jpeg[:2] + b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big") + jpeg[2:]


def number_in(jpeg: bytes) -> int:
    return int.from_bytes(jpeg[6:14], "big")


def generate(folder: Path, records: int, *, quality: int) -> dict:
    """Write `train.rec`, `train.idx` and `property`; returns what was written and how fast."""
    folder.mkdir(parents=True, exist_ok=True)
    patterns, people = pictures(quality), -(-records // PER_PERSON)
    start = time.perf_counter()
    with record_writer(folder / "train") as add:
        for key in range(1, records + 1):
            add(key, numbered(patterns[key % PATTERNS], key), float((key - 1) // PER_PERSON))
        add(0, b"", (float(records + 1), float(records + 1 + people)))
    (folder / "property").write_text(f"{people},{SIDE},{SIDE}\n")
    seconds, size = time.perf_counter() - start, (folder / "train.rec").stat().st_size
    return {
        "records": records,
        "MB": round(size / 1e6, 1),
        "bytes_per_record": round(size / records),
        "seconds": round(seconds, 2),
    }


def convert(folder: Path, out: Path, *, verify: str, kill_after: float | None = None) -> dict:
    """Prepare it; with `kill_after`, kill that run after so many seconds and go on in another."""
    size = (folder / "train.rec").stat().st_size
    killed = {}
    if kill_after is not None:
        process = _start(folder, out, verify)[0]
        process.join(kill_after)
        if process.is_alive():
            process.kill()
            process.join()
            journal = out.with_name(f".{out.name}.partial") / "journal"
            killed = {"killed_after_seconds": kill_after, "shards_kept": len(list(journal.glob("*.json")))}
    process, answer = _start(folder, out, verify)
    try:
        report = answer.recv()
    except EOFError:
        raise DataError(f"{out}: the preparation ended with code {process.exitcode} and no answer") from None
    process.join()
    seconds, records = report["seconds"], sum(report["counts"].values())
    speed = {"records_per_second": round(records / seconds), "MB_per_second": round(size / 1e6 / seconds, 1)}
    shards = b"".join((out / part / "shards.json").read_bytes() for part in report["counts"])
    return killed | report | ({} if killed else speed) | {"shards_sha256": hashlib.sha256(shards).hexdigest()}


def _start(folder: Path, out: Path, verify: str):
    """A process of its own, so that its memory is that of the preparation alone."""
    context = multiprocessing.get_context("spawn")
    answer, end = context.Pipe(duplex=False)
    process = context.Process(target=_prepare, args=(folder, out, verify, end))
    process.start()
    end.close()
    return process, answer


def _prepare(folder: Path, out: Path, verify: str, answer) -> None:
    seen = {"start": _resident()}
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(out, seen, stop), daemon=True)
    watch.start()
    options = {"strict_counts": False, "verify": verify}
    start, cpu = time.perf_counter(), time.process_time()
    card = prepare("ms1mv3", folder, out, validation=0.05, seed=SEED, options=options)
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    stop.set()
    watch.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = {name: round(value / 1e6) for name, value in (seen | {"peak": peak}).items()}
    facts = {key: card[key] for key in ("counts", "images_checked")}
    answer.send(facts | {key: round(value, 2) for key, value in seconds.items()} | {"memory_MB": memory})
    answer.close()


def _watch(out: Path, seen: dict[str, int], stop: threading.Event) -> None:
    """Most memory in use while the first shards are written: what grows later grows with the records."""
    journal = out.with_name(f".{out.name}.partial") / "journal"
    while not stop.wait(0.05) and len(list(journal.glob("*.json"))) < 2:
        seen["first_shards"] = max(seen.get("first_shards", 0), _resident())


def _resident() -> int:
    return psutil.Process().memory_info().rss


def read(out: Path, *, reads: int) -> dict:
    """Random reads from the train split, before decoding: the image file, its size, key and label."""
    start = time.perf_counter()
    split = open_split(out, "train")
    opened = time.perf_counter() - start
    order = np.random.default_rng(SEED).integers(0, len(split), reads).tolist()
    start = time.perf_counter()
    found = [(split.sample(index, image=False)["key"], number_in(split.encoded(index))) for index in order]
    seconds = time.perf_counter() - start
    if wrong := [key for key, number in found if int(key) != number]:
        raise DataError(f"{out}: record {wrong[0]} holds another picture; the shards are damaged")
    few = order[: max(1, reads // 10)]
    start = time.perf_counter()
    for index in few:
        split[index]
    decoded = time.perf_counter() - start
    return {
        "open_seconds": round(opened, 3),
        "records_per_second": round(reads / seconds),
        "decoded_per_second": round(len(few) / decoded),
        "reads": reads,
    }


def main(
    out: Annotated[Path, typer.Option(help="A folder with room for twice the records; what it writes there goes.")],
    records: Annotated[int, typer.Option(min=1)] = 1_000_000,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality: how large the images are.")] = 40,
    verify: Annotated[str, typer.Option(help="full, header or auto, see datasets.ms1mv3.options.verify.")] = "auto",
    reads: Annotated[int, typer.Option(min=1)] = 200_000,
    kill_after: Annotated[float | None, typer.Option(help="Kill the preparation after so many seconds first.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Generate, prepare and read back a RecordIO file of many small faces, and say how fast and in how much memory."""
    home = out / "scale"
    shutil.rmtree(home, ignore_errors=True)
    try:
        report = {"processors": os.cpu_count(), "generate": generate(home / "raw", records, quality=quality)}
        report["convert"] = convert(home / "raw", home / "prepared", verify=verify, kill_after=kill_after)
        report["read"] = read(home / "prepared", reads=reads)
    except FaceptorError as error:
        raise SystemExit(f"error: {error}") from None
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    if as_json:
        print(json.dumps(report, indent=2))
        return
    for step, facts in report.items():
        print(f"{step}: {facts}")


if __name__ == "__main__":
    typer.run(main)
