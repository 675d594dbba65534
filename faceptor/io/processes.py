"""Processes that end with the one that started them, however it ends, and what is done when one is asked to stop.

A loader or worker process outlives a parent that was killed with SIGKILL unless it asks for something else. It asks by
calling `end_with_parent` first thing; a stage that DVC runs asks in `faceptor.cli`.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1  # linux/prctl.h
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h of the GNU C library
LARGEST_ON_THE_HEAP = 32 << 20  # bytes, the most that it takes
KEPT_ON_THE_HEAP = 256 << 20  # bytes
SECONDS_BETWEEN_LOOKS = 1.0  # where the kernel does not tell of a parent's death
RANK, WORLD_SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"  # torchrun's variables
ERRORS_FOLDER = "FACEPTOR_RANK_ERRORS"  # variable: where the ranks that a command started write why they stopped
SAID, LOST, FAULT = "said", "lost", "fault"  # why: one line of ours; another rank went; anything else


def started_by_torchrun() -> bool:
    """Whether this is one of several processes that torchrun started, on this machine or on several."""
    return {RANK, WORLD_SIZE, LOCAL_RANK} <= os.environ.keys() and int(os.environ[WORLD_SIZE]) > 1


def is_rank_0() -> bool:
    """Whether this process is alone, or the one of several that prints."""
    return not started_by_torchrun() or os.environ[RANK] == "0"


def tell_launcher(kind: str, message: str) -> bool:
    """Write why this rank stops to where the command that started it looks; False if none did."""
    folder = os.environ.get(ERRORS_FOLDER)
    if folder is None or not started_by_torchrun():
        return False
    told = {"kind": kind, "message": message, "time": time.time()}
    try:
        Path(folder, f"{os.environ[RANK]}.json").write_text(json.dumps(told), encoding="utf-8")
    except OSError:  # the command is gone
        return False
    return True


def end_with_parent(number: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Send this process the signal `number` as soon as the process that started it is gone.

    parent: its process id, where the caller knows it; a parent that died before this call is then noticed, too. On
    Linux the kernel sends the signal (it counts the end of the *thread* that started us as the parent's), elsewhere a
    thread looks once a second.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0):
        _look_from_a_thread(parent, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _look_from_a_thread(parent: int, number: int) -> None:
    def look() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), number)

    threading.Thread(target=look, daemon=True, name="end-with-parent").start()


def keep_freed_memory() -> None:
    """Arrays of up to LARGEST_ON_THE_HEAP bytes reuse the memory of freed ones; of a 512-pixel image in float32 (3 MB)
    every intermediate result would otherwise ask the system for new pages, and give them back. Without effect where
    the C library is not GNU's."""
    if sys.platform != "linux":
        return
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGEST_ON_THE_HEAP)
        mallopt(TRIM_THRESHOLD, KEPT_ON_THE_HEAP)


@contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """SIGTERM and Ctrl-C call `handler` inside; afterwards they do what they did before."""
    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, handler)
    except ValueError:
        pass  # not the main thread: whoever runs us there handles signals
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
