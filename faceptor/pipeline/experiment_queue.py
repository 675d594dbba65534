"""`faceptor experiment all`: the runs of experiments/dvc.yaml that are missing or out of date, side by side.

As `faceptor repro` (see `faceptor.pipeline.repro`): each run is started, checked and recorded by DVC. What it says goes
to a file below runs/experiments/; here stands one line for each run that ended.
"""

import os
import queue
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import joblib

from faceptor.errors import FaceptorError
from faceptor.io.files import RUNS, read_json
from faceptor.pipeline.repro import StageProcesses, pipeline, run_stage, schedule, stoppable, to_run, with_needs
from faceptor.pipeline.run_settings import PIPELINE, SETTINGS, all_settings
from faceptor.pipeline.variants import HOME, Variants, result_of

FILE = PIPELINE.as_posix()


def run_all(variants: Variants, names: Iterable[str], seeds: Iterable[int], *, jobs: int = 0) -> list[str]:
    """Run what is missing or out of date of these variants and seeds; returns the stages that ran.

    jobs: runs at a time; 0 = one on each GPU, or on each core where there is none. A failed run stops no other, but
    those that start from it; a FaceptorError names the failed ones at the end.
    """
    if jobs < 0:
        raise FaceptorError(f"experiment all: jobs: expected at least 0 (0 = as many as pay), found {jobs}")
    targets = [f"{FILE}:run@{name}-{seed}" for name in names for seed in seeds]
    cards = visible_cards()
    jobs = jobs or len(cards) or joblib.cpu_count()
    _prepare()
    with stoppable("experiment all") as processes:
        wanted = to_run(*pipeline(allow_missing=True, file=FILE), targets)
        crew = Crew(len(wanted), jobs, cards, processes)
        failed = schedule(wanted, crew.run, jobs=jobs)
    if failed:
        told = "; ".join(f"{short(stage)}: {crew.last_words(stage)}" for stage in failed)
        raise FaceptorError(f"experiment all: {len(failed)} of {len(wanted)} runs failed: {told}")
    return list(wanted)


def _prepare() -> None:
    """Data sets, and the settings of all variants, where they changed: runs are compared with these."""
    with stoppable("experiment all") as processes:
        wanted = to_run(*pipeline(allow_missing=True, file=FILE), [f"{FILE}:settings"])
        cores = joblib.cpu_count()
        failed = schedule(wanted, lambda stage, _: run_stage(stage, threads=cores, processes=processes), jobs=1)
    if failed:
        raise FaceptorError(f"experiment all: {', '.join(failed)} failed (see above)")


class Crew:
    """Runs stages side by side, each on a card of its own where there are some, and says how far it is."""

    def __init__(self, total: int, jobs: int, cards: list[str], processes: StageProcesses):
        self.total, self.jobs, self.processes = total, jobs, processes
        self.ended, self.began = 0, time.monotonic()
        self.cards: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for place in range(jobs):
            self.cards.put(cards[place % len(cards)] if cards else None)

    def run(self, stage: str, beside: int) -> bool:
        """One stage; True if it went well."""
        card, began, log = self.cards.get(), time.monotonic(), log_of(stage)
        log.parent.mkdir(parents=True, exist_ok=True)
        variables = {} if card is None else {"CUDA_VISIBLE_DEVICES": card}
        threads = max(1, joblib.cpu_count() // self.jobs)
        with open(log, "w", encoding="utf-8", buffering=1) as file:
            ran = run_stage(
                stage, threads=threads, processes=self.processes, say=lambda line: file.write(f"{line}\n"),
                variables=variables,
            )  # fmt: skip
        self.cards.put(card)
        self.ended += 1
        seconds = time.monotonic() - began
        print(f"{self.state()}: {short(stage)} {'took' if ran else 'failed after'} {seconds:.0f} s", flush=True)
        return ran

    def state(self) -> str:
        """ "12 of 174 runs, 9 min left"."""
        left = (time.monotonic() - self.began) / self.ended * (self.total - self.ended)
        return f"{self.ended} of {self.total} runs, {duration(left)} left"

    def last_words(self, stage: str) -> str:
        """The end of what a run said, and where the rest is."""
        lines = [line for line in log_of(stage).read_text(encoding="utf-8").splitlines() if line.startswith("error")]
        return f"{lines[-1].removeprefix('error: ') if lines else 'no error told'} ({log_of(stage)})"


def duration(seconds: float) -> str:
    """ "40 s", "9 min", "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def short(stage: str) -> str:
    """ "experiments/dvc.yaml:run@naive-2" -> "naive-2"."""
    return stage.rpartition(":")[2].removeprefix("run@")


def log_of(stage: str) -> Path:
    return RUNS / HOME / f"{short(stage)}.log"


def visible_cards() -> list[str]:
    """The GPUs that this command may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [card.strip() for card in named.split(",") if card.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(place) for place, line in enumerate(x for x in listed.splitlines() if x.startswith("GPU "))]


def states(variants: Variants) -> dict[tuple[str, int], str]:
    """(variant, seed) -> "done", "stale" or "missing", as DVC and the settings of today see it."""
    graph, changed, _ = pipeline(allow_missing=True, file=FILE)
    now = all_settings(variants)
    old = {name for name, found in now.items() if not _is_written(name, found)}
    stale = {stage for stage in graph if stage in changed or "code" in old}
    found = {}
    for name in variants.section.variants:
        for seed in variants.section.seeds:
            needed = with_needs(graph, [f"{FILE}:run@{name}-{seed}"])
            before = old & {name, *(["start-stage1"] if variants.section.variants[name].start != "none" else [])}
            done = "stale" if before or needed & stale else "done"
            found[name, seed] = done if result_of(name, seed).is_file() else "missing"
    return found


def _is_written(name: str, found: dict) -> bool:
    path = SETTINGS / f"{name}.json"
    return path.is_file() and read_json(path) == found
