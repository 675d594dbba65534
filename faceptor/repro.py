"""`dvc repro` with stages side by side: what does not wait for one another runs at the same time.

DVC runs one stage after the other. The models here are too small to fill several cores, and a good part of a stage is
start-up and reading, so two stages with half the cores each end sooner than one after the other with all of them. Every
stage is still run, checked and recorded by DVC itself (`dvc repro --single-item`), which takes turns at its own lock.
"""

import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection
from typing import BinaryIO

import joblib

from faceptor.errors import FaceptorError

BAR_EVERY = 15  # seconds
WARM = multiprocessing.get_context("forkserver")  # DVC takes longer to import than most stages to look up
WARM.set_forkserver_preload(
    ["faceptor.cli", "dvc.cli.parser", "dvc.repo.reproduce", "dvc.repo.stage", "dvc.utils.strictyaml", "scmrepo.git"]
)

Graph = dict[str, set[str]]
"""Stage -> the stages it depends on; in an order in which the stages can run."""


def reproduce(targets: Iterable[str] = (), *, jobs: int = 0) -> list[str]:
    """Run what changed in the pipeline of the current folder, `jobs` stages at a time; returns the stages that ran.

    targets: stages, "evaluate@stage1" or all of "evaluate", each with what it needs; none = the whole pipeline.
    jobs: 0 = two on a machine with several cores and no GPU, else one. A stage that fails stops those that need it;
    the others go on, and a FaceptorError names the failed ones at the end.
    """
    if jobs < 0:
        raise FaceptorError(f"repro: jobs: expected at least 0 (0 = as many as pay), found {jobs}")
    graph, changed = pipeline()
    wanted = with_dependents(graph, changed)
    if targets := list(targets):
        wanted &= with_needs(graph, targets)
    cores = joblib.cpu_count()
    jobs = jobs or (2 if cores > 1 and not shutil.which("nvidia-smi") else 1)
    failed = schedule(
        {stage: graph[stage] & wanted for stage in graph if stage in wanted},
        lambda stage, beside: run_stage(stage, threads=max(1, cores // beside)),
        jobs=jobs,
    )
    if failed:
        raise FaceptorError(f"repro: {', '.join(failed)} failed (see above); what does not need it is done")
    return [stage for stage in graph if stage in wanted]


def pipeline() -> tuple[Graph, set[str]]:
    """The stages of dvc.yaml, and those that DVC would run."""
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            graph = repo.index.graph
            order = [stage for stage in networkx.dfs_postorder_nodes(graph) if stage.cmd]
            return {s.addressing: {d.addressing for d in graph.successors(s)} for s in order}, set(repo.status())
    except DvcException as error:
        raise FaceptorError(f"repro: {error}") from None


def with_dependents(graph: Graph, changed: Iterable[str]) -> set[str]:
    """The changed stages and all that come after them."""
    wanted = set(changed) & graph.keys()
    for stage, needs in graph.items():
        if needs & wanted:
            wanted.add(stage)
    return wanted


def with_needs(graph: Graph, targets: Iterable[str]) -> set[str]:
    """The stages of these names ("evaluate" is each "evaluate@...") and all that must run before them."""
    wanted: set[str] = set()
    for target in targets:
        named = {stage for stage in graph if target in (stage, stage.partition("@")[0])}
        if not named:
            raise FaceptorError(f"repro: dvc.yaml has no stage {target!r}; `dvc stage list` shows them")
        wanted |= named
    for stage in reversed(graph):
        if stage in wanted:
            wanted |= graph[stage]
    return wanted


def schedule(graph: Graph, run: Callable[[str, int], bool], *, jobs: int) -> list[str]:
    """Call `run(stage, beside)` for every stage after those it depends on, at most `jobs` at once; returns failures.

    Of the stages that could run, the one that most others wait for goes first. `beside` is the number of stages that
    share the machine, itself included. What depends on a failed stage does not run.
    """
    weight = {stage: len(with_dependents(graph, [stage])) for stage in graph}
    rank = {stage: rank for rank, stage in enumerate(sorted(graph, key=weight.__getitem__, reverse=True))}  # stable
    order = TopologicalSorter(graph)
    order.prepare()
    ready: list[str] = []
    failed: list[str] = []
    running: dict[Future, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            ready = sorted([*ready, *order.get_ready()], key=rank.__getitem__)
            beside = min(jobs, len(running) + len(ready))
            free = jobs - len(running)
            running |= {pool.submit(run, stage, beside): stage for stage in ready[:free]}
            ready = ready[free:]
            if not running:
                return failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                order.done(stage) if future.result() else failed.append(stage)


def run_stage(stage: str, *, threads: int) -> bool:
    """Let DVC run one stage with so many threads, its lines marked with its name; True if it went well."""
    began = time.monotonic()
    reader, writer = WARM.Pipe(duplex=False)
    process = WARM.Process(target=run_dvc, args=(["--wait-for-lock", "repro", "--single-item", stage], writer, threads))
    process.start()
    writer.close()
    with open(reader.fileno(), "rb", closefd=False) as stream:
        for line in lines(stream):
            print(f"{stage}: {line}", flush=True)
    process.join()
    well = process.exitcode == 0
    print(f"{stage}: {'done' if well else 'failed'} after {time.monotonic() - began:.0f} s", flush=True)
    return well


def run_dvc(arguments: list[str], output: Connection, threads: int) -> None:
    """`dvc ...` in this process, which says everything into `output`."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), str(threads))
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    output.close()
    from dvc.cli import main

    sys.exit(main(arguments))


def lines(stream: BinaryIO) -> Iterator[str]:
    """What a program says, line by line. Of a progress bar, which overwrites its line, its state now and then: two bars
    in one terminal would overwrite each other."""
    rest, shown = b"", time.monotonic()
    for chunk in iter(lambda: stream.read1(1 << 16), b""):
        *parts, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
        for part in parts:
            if text := part.decode(errors="replace").strip():
                overwritten = part.endswith(b"\r")
                if not overwritten or time.monotonic() - shown > BAR_EVERY:
                    shown = time.monotonic()
                    yield text
    if text := rest.decode(errors="replace").strip():
        yield text
