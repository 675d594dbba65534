"""What the command line says when something fails: one line for what lies outside the program, else a traceback.

Outside lie what the user gave, the disk, the memory, the terminal and the keyboard. What a verb had finished before is
kept: files and folders appear whole or not at all. FACEPTOR_TRACEBACK=1 shows a traceback in every case.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

from faceptor.errors import FaceptorError
from faceptor.io.processes import FAULT, LOST, SAID, tell_launcher
from faceptor.io.writing import describe, system_error

ERROR, INTERRUPTED, PIPE_CLOSED = 2, 130, 141  # exit codes; the latter two as shells report SIGINT and SIGPIPE
TRACEBACK_VARIABLE = "FACEPTOR_TRACEBACK"
TRACEBACK_HINT = f"{TRACEBACK_VARIABLE}=1 shows where"


def guarded(verb: Callable[[], Any]) -> Any:
    """Run a verb; leaves with an exit code where `said` knows what to say, and with the error where it does not."""
    try:
        return verb()
    except KeyboardInterrupt:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _tell("interrupted; what was finished is kept, the same command goes on from there")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            _close_stdout()
            sys.exit(PIPE_CLOSED)
        if _lost_another_process(error) and tell_launcher(LOST, str(error)):
            sys.exit(ERROR)
        line = said(error)
        if line is None or os.environ.get(TRACEBACK_VARIABLE):
            tell_launcher(FAULT, repr(error))
            raise
        if not tell_launcher(SAID, line):
            _tell(line)
        sys.exit(ERROR)


def said(error: Exception) -> str | None:
    """One line about an error that is no fault of this program; None for one that is, or may be."""
    if isinstance(error, FaceptorError):
        return str(error)
    if isinstance(error, OSError):
        return describe(error) if error.errno is not None else None
    if isinstance(error, ModuleNotFoundError):
        return _extra_missing(error.name or "")
    return _about_the_machine(error) or _about_a_file(error)


def _lost_another_process(error: Exception) -> bool:
    """Whether it tells no more than that another of the processes that train together has ended."""
    gone = ("closed by peer", "reset by peer", "Broken pipe", "Connection refused", "remote process exited")
    named = any(type(e).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError") for e in _chain(error))
    return named or (isinstance(error, RuntimeError) and any(words in str(error) for words in gone))


def _extra_missing(module: str) -> str | None:
    """Which extra brings a module that is not installed; None where no extra of this package does."""
    package = {"sklearn": "scikit-learn"}.get(root := module.split(".")[0], root)
    with suppress(PackageNotFoundError):
        found = (re.match(rf'{re.escape(package)}\b.*extra == "(\w+)"', line) for line in requires("faceptor") or ())
        extra = next((match[1] for match in found if match), None)
        return extra and f"this needs {package}, which is missing: pip install 'faceptor[{extra}]', in a clone `make`"
    return None


def _about_the_machine(error: Exception) -> str | None:
    text = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return f"not enough memory ({text or 'MemoryError'}); use smaller batches or images, or another machine"
    if type(error).__name__ in ("BrokenProcessPool", "TerminatedWorkerError"):
        return "a worker process was killed, mostly for memory; use fewer workers and run the same command again"
    if any(isinstance(e, RuntimeError) and "DataLoader worker (pid" in str(e) for e in _chain(error)):
        return f"{text}; it was killed, mostly for memory: lower data.workers in params.yaml, then go on"
    return None


def _about_a_file(error: Exception) -> str | None:
    if isinstance(error, RecursionError):
        return f"a file is nested too deeply, which none of ours is; {TRACEBACK_HINT}"
    if isinstance(error, UnicodeDecodeError):
        return f"a text file is not {error.encoding} at byte {error.start}; save it as UTF-8; {TRACEBACK_HINT}"
    reason = system_error(error) if type(error).__name__ == "SafetensorError" else None
    return describe(reason) if reason else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def after_a_failed_experiment() -> None:
    """In a stage of `dvc exp run` in the checkout itself (not of a queued one, which has a folder of its own): what was
    there before is gone from the checkout and still in Git and in DVC's cache."""
    root = os.environ.get("DVC_ROOT", "")
    if "DVC_EXP_BASELINE_REV" in os.environ and os.path.isdir(root) and os.path.samefile(root, os.curdir):
        _tell(
            "the results before this experiment come back with `git restore params.yaml dvc.lock results && "
            "dvc checkout` (params.yaml as committed); `dvc exp run --temp` leaves them where they are",
            mark="note",
        )


def speakable() -> None:
    """Names that are not UTF-8, and signs that a terminal lacks, are printed as \\xNN instead of stopping a verb."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flushed(code: Any) -> Any:
    """The exit code, after what was printed has left: the reader may be gone (`| head`), the disk full (`> file`)."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _close_stdout()
        if error.errno == errno.EPIPE:
            return code or PIPE_CLOSED
        _tell(describe(error, "standard output"))
        return code or ERROR
    return code


def _close_stdout() -> None:
    """Nothing more is printed, and Python does not complain about it when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no stream of the system's
        sys.stdout = None


def _tell(line: str, *, mark: str = "error") -> None:
    with suppress(OSError):  # nobody reads
        print(f"{mark}: {line}", file=sys.stderr)
