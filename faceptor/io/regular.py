"""Files that somebody names, opened only if they are regular files of a bounded size.

A pipe would wait for ever, a device or a link to one would fill memory, and a folder is no file: each is refused before
a byte is read.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from faceptor.errors import DataError, FaceptorError

MIB = 1 << 20
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


def open_regular(
    path: Path | str,
    *,
    largest: int,
    error: type[FaceptorError] = DataError,
    remedy: str = "give the path of a file",
) -> BinaryIO:
    """Open a regular file of at most `largest` bytes for reading; links are followed.

    Raises `error`, in one line with the path and `remedy`, for what is missing, unreadable, too large, or no regular
    file. Never waits, whatever lies there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise error(f"{path}: not found; {remedy}") from None
    except (OSError, ValueError) as reason:  # a name that is too long, or holds a zero byte
        raise error(f"{path}: cannot be read ({getattr(reason, 'strerror', None) or reason}); {remedy}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            found = next((name for test, name in KINDS.items() if test(facts.st_mode)), "something else")
            raise error(f"{path}: expected a file, found {found}; {remedy}")
        if facts.st_size > largest:
            raise error(f"{path}: expected at most {size_text(largest)}, found {size_text(facts.st_size)}; {remedy}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path | str, *, largest: int, error: type[FaceptorError] = DataError, **texts: str) -> bytes:
    """The bytes of a regular file; see `open_regular`. A file that grows meanwhile is refused, too."""
    with open_regular(path, largest=largest, error=error, **texts) as file:
        try:
            data = file.read(largest + 1)
        except OSError as reason:
            raise error(f"{path}: cannot be read ({reason.strerror})") from None
    if len(data) > largest:
        raise error(f"{path}: expected at most {size_text(largest)}, found more")
    return data


def check_regular(path: Path | str, *, largest: int, error: type[FaceptorError] = DataError, **texts: str) -> int:
    """Size in bytes of a file that a library will open by its path; see `open_regular` for what is refused."""
    with open_regular(path, largest=largest, error=error, **texts) as file:
        return os.fstat(file.fileno()).st_size


def sha256_of(path: Path | str, *, largest: int, error: type[FaceptorError] = DataError, **texts: str) -> str:
    """SHA-256 (hex) of a regular file; see `open_regular`."""
    with open_regular(path, largest=largest, error=error, **texts) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_text(count: int) -> str:
    """A number of bytes to read: "3 bytes", "2.5 MiB"."""
    for unit, size in (("GiB", 1 << 30), ("MiB", MIB), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count // size} {unit}"
    return f"{count} bytes"
