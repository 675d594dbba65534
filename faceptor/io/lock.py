"""One process at a time in a run folder: a lock that its process holds, and that is gone when the process is."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from faceptor.errors import FaceptorError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `<folder>.lock` inside; FaceptorError naming its holder if another process does.

    The file lies beside the folder, because a run folder is deleted at the end of its run. The kernel ends the lock
    with the process, so that a file left by a killed one locks nothing.
    """
    path = folder.with_name(f"{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _acquire(path) as file:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        file.truncate(0)
        file.write(json.dumps(holder).encode())
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while we hold it: who waits for this file sees that it is no longer the one


def _acquire(path: Path) -> BinaryIO:
    while True:
        file = open(path, "a+b")  # noqa: SIM115 (held by the caller)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = file.read(1000)
            file.close()
            raise FaceptorError(f"{path}: {_holder(text)}; wait for it, or stop it") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()  # its last holder removed it between our opening and locking it


def _holder(text: bytes) -> str:
    try:
        facts = json.loads(text)
        return f"process {facts['pid']} on {facts['host']} does this since {facts['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process does this"
