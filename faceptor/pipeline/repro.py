"""`dvc repro` with stages side by side: what does not wait for one another runs at the same time.

DVC runs one stage after the other. The models here are too small to fill several cores, and a good part of a stage is
start-up and reading, so two stages with half the cores each end sooner than one after the other with all of them. Every
stage is still run, checked and recorded by DVC itself (`dvc repro --single-item`), which takes turns at its own lock.

Stages end with this command: SIGTERM and Ctrl-C are passed on, and where it is killed, its processes notice.
"""

import io
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import BinaryIO, TextIO

import joblib
from networkx import descendants

from faceptor.errors import FaceptorError
from faceptor.io.processes import stop_signals
from faceptor.io.words import few

PROGRESS_SECONDS = 15  # between two states of one progress bar
FORKSERVER = multiprocessing.get_context("forkserver")  # DVC takes longer to import than most stages to look up
FORKSERVER.set_forkserver_preload(
    ["faceptor.cli", "dvc.cli.parser", "dvc.repo.reproduce", "dvc.repo.stage", "dvc.utils.strictyaml", "scmrepo.git"]
)

Graph = dict[str, set[str]]
"""Stage -> the stages it depends on; in an order in which the stages can run."""


def reproduce(
    targets: Iterable[str] = (), *, jobs: int = 0, pull: bool | None = None, allow_missing: bool | None = None
) -> list[str]:
    """Run what changed in the pipeline of the current folder, `jobs` stages at a time; returns the stages that ran.

    targets: stages, "evaluate@stage1" or all of "evaluate", each with what it needs; none = the whole pipeline.
    jobs: 0 = two on a machine with several cores and no GPU, else one. pull: whether outputs that are missing here are
    fetched from the DVC remote; None = if one is set. allow_missing: whether stages that lack nothing but files, here
    and there, stay as they are unless another stage needs them; None = if the remote holds something of this pipeline.
    A stage that fails stops those that need it; the others go on, and a FaceptorError names the failed ones at the end.
    """
    if jobs < 0:
        raise FaceptorError(f"repro: jobs: expected at least 0 (0 = as many as pay), found {jobs}")
    wanted = to_run(*pipeline(pull=pull, allow_missing=allow_missing), targets)
    cores = joblib.cpu_count()
    jobs = jobs or (2 if cores > 1 and not shutil.which("nvidia-smi") else 1)
    with stoppable("repro") as processes:
        failed = schedule(
            wanted, lambda stage, beside: run_stage(stage, threads=max(1, cores // beside), processes=processes),
            jobs=jobs, say=lambda line: print(f"repro: {line}", flush=True),
        )  # fmt: skip
    if failed:
        raise FaceptorError(f"repro: {', '.join(failed)} failed (see above); what does not need it is done")
    return list(wanted)


def to_run(graph: Graph, changed: set[str], lacking: set[str], targets: Iterable[str] = ()) -> Graph:
    """The part of the graph to run for these targets (none = all): what changed, what comes after it, and of what lacks
    files that which the others need."""
    wanted = with_dependents(graph, changed)
    for stage in reversed(graph):
        if stage in wanted:
            wanted |= graph[stage] & lacking
    wanted = with_dependents(graph, wanted)
    if targets := list(targets):
        wanted &= with_needs(graph, targets)
    return {stage: needs & wanted for stage, needs in graph.items() if stage in wanted}


def pipeline(
    *, pull: bool | None = None, allow_missing: bool | None = None, file: str = "dvc.yaml"
) -> tuple[Graph, set[str], set[str]]:
    """The stages of a file, those that DVC would run, and those that may stay as they are although files are missing.

    Outputs that are missing here are taken from the cache or, with `pull`, from the remote. Of the stages of another
    file those count that these need.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            links = stages_of(repo, file)
            needs = {stage.addressing: {need.addressing for need in links.successors(stage)} for stage in links}
            graph = {stage: needs[stage] for stage in TopologicalSorter(needs).static_order()}
            changed, lacking = states(repo, links)
            remote = bool(repo.config["core"].get("remote"))
            restored = bring_back(repo, lacking, pull=remote if pull is None else pull)
            if restored:
                changed, lacking = states(repo, links)
            if allow_missing is None:
                allow_missing = remote and (restored or not lacking)
            if not allow_missing:
                return graph, changed | lacking, set()
            if file == "dvc.yaml" and (gone := absent(repo, lacking)):
                remedy = "`faceptor repro --no-allow-missing` makes them"
                print(f"repro: neither here nor on the remote: {few(gone)}; {remedy}")
            return graph, changed, lacking
    except SCMError as error:
        raise FaceptorError(
            f"repro: {error}, and DVC needs one (a ZIP download has none); run `git init`, then this again"
        ) from None
    except DvcException as error:
        raise FaceptorError(f"repro: {error}") from None


def stages_of(repo, file: str):
    """The graph of the stages of a file, and of those that they need."""
    links = repo.index.graph
    named = [stage for stage in links if stage.path_in_repo == file]
    return links.subgraph({*named, *(need for stage in named for need in descendants(links, stage))})


def states(repo, links) -> tuple[set[str], set[str]]:
    """The stages of a graph whose state is not that of dvc.lock; and those that lack files which DVC keeps, and nothing
    else."""
    every, changed = set(), set()
    with repo.lock:
        for stage in links:
            upstream = list(links.successors(stage))
            if stage.changed(allow_missing=False, upstream=upstream):
                every.add(stage.addressing)
                if stage.changed(allow_missing=True, upstream=upstream):  # asked apart: it takes as long again
                    changed.add(stage.addressing)
    kept_by_git = {s.addressing for s in links for out in s.outs if not out.use_cache and not out.exists}
    never_run = {s.addressing for s in links for out in s.outs if not out.hash_info}
    changed |= every & (kept_by_git | never_run)  # DVC cannot bring these back
    return changed, every - changed


def absent(repo, stages: set[str]) -> list[str]:
    """The outputs of stages that are not here."""
    return sorted(str(out) for s in repo.index.stages if s.addressing in stages for out in s.outs if not out.exists)


def bring_back(repo, stages: set[str], *, pull: bool) -> bool:
    """Bring outputs back from the cache, which `pull` fills from the remote first; whether any came back."""
    from dvc.exceptions import DownloadError

    gone = absent(repo, stages)
    if pull and gone:
        print(f"repro: fetching {len(gone)} outputs that are not here ...", flush=True)
        try:
            repo.fetch(targets=sorted(stages))
        except DownloadError as error:
            print(f"repro: {error}", flush=True)  # the rest is here
    if gone:
        repo.checkout(targets=sorted(stages), allow_missing=True)
    return absent(repo, stages) != gone


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


def schedule(
    graph: Graph, run: Callable[[str, int], bool], *, jobs: int, say: Callable[[str], object] = lambda line: None
) -> list[str]:
    """Call `run(stage, beside)` for every stage after those it depends on, at most `jobs` at once; returns failures.

    Of the stages that could run, the one that most others wait for goes first. `beside` is the number of stages that
    share the machine, itself included. What depends on a failed stage does not run. say: told how far it is.
    """
    weight = {stage: len(with_dependents(graph, [stage])) for stage in graph}
    rank = {stage: rank for rank, stage in enumerate(sorted(graph, key=weight.__getitem__, reverse=True))}  # stable
    order = TopologicalSorter(graph)
    order.prepare()
    ready: list[str] = []
    done: list[str] = []
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
            say(f"{len(done)} of {len(graph)} stages done, now {', '.join(running.values())}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                (done if future.result() else failed).append(stage)
                if stage in done:
                    order.done(stage)


class StageProcesses:
    """The processes of the stages that run now, to stop them all."""

    def __init__(self) -> None:
        self.asked = 0  # how often we were asked to stop
        self._running: set[BaseProcess] = set()
        self._turn = threading.RLock()  # a signal may come while this very thread starts a process

    def start(self, process: BaseProcess) -> bool:
        """Start it, unless everything is to stop."""
        with self._turn:
            if not self.asked:
                process.start()
                self._running.add(process)
            return not self.asked

    def ended(self, process: BaseProcess) -> None:
        with self._turn:
            self._running.discard(process)

    def stop(self, *_: object) -> None:
        """SIGTERM lets trainings write a checkpoint; whoever asks again wants it at once."""
        self.asked += 1
        with self._turn:
            for process in self._running:
                process.terminate() if self.asked == 1 else os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def stoppable(verb: str) -> Iterator[StageProcesses]:
    """Inside, SIGTERM and Ctrl-C reach every process of every stage; a FaceptorError afterwards says that they came."""
    processes = StageProcesses()
    with stop_signals(processes.stop):
        yield processes
    if processes.asked:
        raise FaceptorError(f"{verb}: stopped; the same command goes on where it was")


def run_stage(
    stage: str, *, threads: int, processes: StageProcesses, say: Callable[[str], object] | None = None,
    variables: Mapping[str, str] | None = None,
) -> bool:  # fmt: skip
    """Let DVC run one stage with so many threads; True if it went well. say: told its lines; they are printed, marked
    with its name, where nobody is told. variables: of the environment, for this stage."""
    say = say or (lambda line: print(f"{stage}: {line}", flush=True))
    began = time.monotonic()
    reader, writer = FORKSERVER.Pipe(duplex=False)
    command = ["--wait-for-lock", "repro", "--single-item", stage]
    process = FORKSERVER.Process(target=run_dvc, args=(command, writer, threads, variables or {}))
    if not processes.start(process):
        return False
    writer.close()
    with open(reader.fileno(), "rb", closefd=False) as stream:
        for line in lines(stream):
            say(line)
    process.join()
    processes.ended(process)
    succeeded = process.exitcode == 0
    say(f"{'done' if succeeded else 'failed'} after {time.monotonic() - began:.0f} s")
    return succeeded


def run_dvc(arguments: list[str], output: Connection, threads: int, variables: Mapping[str, str]) -> None:
    """`dvc ...` in this process, which says everything into `output` and ends with the process that started it."""
    os.setpgid(0, 0)  # a group of its own, for all that the stage will start

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        raise KeyboardInterrupt  # DVC gives its locks back

    def watch() -> None:
        multiprocessing.parent_process().join()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, daemon=True).start()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), str(threads)) | variables
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    output.close()
    from dvc.cli import main

    fast_locks()
    sys.exit(main(arguments))


def fast_locks() -> None:
    """Let DVC, in this process, read dvc.lock in C and write anew only the stage that it records.

    It would use a parser that keeps comments, of which dvc.lock has none, and write all ten thousand lines again, after
    every stage: seconds each time. The file is the same to the byte.
    """
    from dvc.utils.serialize import _yaml

    with_comments, whole = _yaml.parse_yaml_for_update, _yaml._dump
    read: list[tuple[object, str]] = []  # the file's stages and their text; held, so that no other value gets their id

    def parse(text: str, path: str):
        if os.path.basename(path) != "dvc.lock":
            return with_comments(text, path)
        data = _yaml.parse_yaml(text, path)
        parts = re.split(r"^(?=  [^ ])", text, flags=re.MULTILINE)[1:]
        read[:] = zip(data.get("stages", {}).values(), parts, strict=True)
        return data

    def dump(data: dict, stream: TextIO) -> None:
        if type(data) is not dict or list(data)[-1:] != ["stages"] or not data["stages"]:
            return whole(data, stream)
        whole({**data, "stages": None}, stream)
        texts = {id(stage): text for stage, text in read}  # DVC puts another value where a stage changed
        for name, stage in data["stages"].items():
            if id(stage) in texts:
                stream.write(texts[id(stage)])
            else:
                whole({"stages": {name: stage}}, alone := io.StringIO())
                stream.write(alone.getvalue().removeprefix("stages:\n"))

    _yaml.parse_yaml_for_update, _yaml._dump = parse, dump


def lines(stream: BinaryIO) -> Iterator[str]:
    """What a program says, line by line. Of a progress bar, which overwrites its line, its state now and then: two bars
    in one terminal would overwrite each other."""
    rest, shown = b"", time.monotonic()
    for chunk in iter(lambda: stream.read1(1 << 16), b""):
        *parts, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
        for part in parts:
            if text := part.decode(errors="replace").strip():
                overwritten = part.endswith(b"\r")
                if not overwritten or time.monotonic() - shown > PROGRESS_SECONDS:
                    shown = time.monotonic()
                    yield text
    if text := rest.decode(errors="replace").strip():
        yield text
