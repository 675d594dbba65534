"""Generated faces on disk, in the layouts of the published data sets.

>>> from faceptor.synthesis import synthesize
>>> synthesize("300w", Path("data/generated/_300w"), seed=1, train=900, test=160)
{'train': 900, 'test': 160}
"""

import glob
import hashlib
import shutil
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import joblib
from tqdm import tqdm

from faceptor.config.sections import spelled
from faceptor.datasets.reader import MARKER
from faceptor.errors import ConfigError
from faceptor.io.paths import replace_folder
from faceptor.io.processes import end_with_parent
from faceptor.io.regular import sha256_of
from faceptor.synthesis.writers import LAYOUTS
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile

__all__ = ["LAYOUTS", "complete", "synthesize"]

_CHUNK = 8  # shots per job: small enough for a smooth progress bar, large enough to hide the hand-over


def synthesize(
    name: str,
    out: Path,
    *,
    seed: int,
    train: int,
    test: int = 0,
    workers: int = 0,
    image_size: int | None = None,
    sheet: Path | None = None,
    identities: int | None = None,
    pairs: int | None = None,
) -> dict[str, int]:
    """Draw a data set and write it to the folder `out` in its owner's layout; returns the pictures per split.

    The same seed gives the same bytes whatever the number of workers (0 = one per core). People of the test part never
    occur in the training part, nor in another data set. `out` appears, or is replaced, only when everything is written.
    `sheet` names a WebP file for a contact sheet. `identities` and `pairs` (per verification set) belong to ms1mv3.
    Raises ConfigError where `out` holds files and no marker of generated faces: photographs are not replaced.
    """
    layout = _layout(name)
    order = Order(
        name=name, seed=seed, train=train, test=test, image_size=image_size, identities=identities, pairs=pairs
    )
    layout.check(order)
    if workers < 0:
        raise ConfigError(f"synthesis: workers: expected at least 0 (0 = one per core), found {workers}")
    shots = layout.plan(order)
    shown = set(layout.shown(shots, 24)) if sheet else set()

    out = Path(out).absolute()  # workers keep the folder they were started in
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise ConfigError(
            f"synthesis.{name}: {out} holds files that were not drawn here; remove the line synthesis.{name} to use "
            "them, or set data.root to where generated faces may go"
        )
    partial = _partial(out)
    tiles: list[Tile] = []
    try:
        # Closed before the folder is removed on an error, or a worker could write into it once more.
        with closing(_draw_all(layout, seed, shots, shown, partial, workers or joblib.cpu_count())) as drawn:
            progress = tqdm(drawn, total=len(shots), desc=f"synthesize {name}", unit="face", mininterval=0.5)
            rows = _rows(progress, tiles)
            layout.write(order, shots, rows, partial)
            deque(rows, maxlen=0)  # draws the pictures of which no label file asked for the row
        counts = layout.counts(shots)
        _mark(partial, layout, order, counts)
        replace_folder(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if sheet:
        from faceptor.synthesis.contact_sheet import contact_sheet  # matplotlib only where a figure is wanted

        contact_sheet(tiles, title=layout.title, path=Path(sheet))
    return counts


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise ConfigError(f"synthesis.{spelled(name)}: no generator writes this data set, expected one of {known}")
    return LAYOUTS[name]


def _draw_all(
    layout: Layout, seed: int, shots: Sequence[Shot], shown: set[int], root: Path, workers: int
) -> Iterator[tuple[Any, Tile | None]]:
    """Drawn shots in order. Workers are fresh processes that import neither the caller's main module nor torch."""
    wanted = [(shot, place in shown) for place, shot in enumerate(shots)]
    jobs = [wanted[first : first + _CHUNK] for first in range(0, len(wanted), _CHUNK)]
    calls = (joblib.delayed(_draw_chunk)(layout, seed, job, root) for job in jobs)
    if workers == 1 or len(jobs) == 1:
        chunks = (function(*args, **kwargs) for function, args, kwargs in calls)
    else:
        parallel = joblib.Parallel(
            n_jobs=workers,
            backend="loky",
            return_as="generator",
            batch_size=1,
            idle_worker_timeout=30,
            initializer=end_with_parent,
        )
        chunks = parallel(calls)
    with closing(chunks):
        for chunk in chunks:
            yield from chunk


def _draw_chunk(layout: Layout, seed: int, job: Sequence[tuple[Shot, bool]], root: Path) -> list[tuple]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the processes already fill the cores
    try:
        return [layout.take(shot, seed, root, show=show) for shot, show in job]
    finally:
        cv2.setNumThreads(threads)


def _rows(drawn: Iterator[tuple[Any, Tile | None]], tiles: list[Tile]) -> Iterator[Any]:
    for row, tile in drawn:
        if tile is not None:
            tiles.append(tile)
        yield row


def _mark(folder: Path, layout: Layout, order: Order, counts: dict[str, int]) -> None:
    """Leave a note that these are no photographs, and the hash of the files; readers and DVC look for the note."""
    text = f"Faces drawn by a program (faceptor synthesize), in the layout of {layout.title.split(':')[0]}.\n"
    (folder / MARKER).write_text(f"{text}seed: {order.seed}\ncounts: {counts}\n{_stated(folder)}\n")


def complete(folder: Path) -> bool:
    """Whether a folder of generated faces holds all the files that its marker speaks of, byte for byte."""
    marker = folder / MARKER
    return marker.is_file() and _stated(folder) in marker.read_text().splitlines()


def _stated(folder: Path) -> str:
    """A line for the marker: SHA-256 of names and contents of all files but the marker itself."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MARKER):
        content = sha256_of(path, largest=path.stat().st_size)
        digest.update(f"{content} {path.relative_to(folder).as_posix()}\n".encode())
    return f"files: {digest.hexdigest()}"


def _partial(out: Path) -> Path:
    """A new hidden folder beside `out`, after those of killed runs are gone."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.partial")
    partial.mkdir(parents=True)
    return partial
