"""Files that appear whole or not at all, and one line with a remedy where they cannot be written."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faceptor.errors import WriteError

LONGEST_SHOWN = 24  # characters of a file's name that its partial file's name repeats; 255 bytes are allowed
REMEDIES = {
    errno.ENOSPC: "free space and run the same command again",
    errno.EDQUOT: "free space within your quota and run the same command again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or write to another disk",
    errno.EROFS: "write to another place, or mount it for writing",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs that hold files open",
    errno.EIO: "the disk does not answer: check it",
    errno.EISDIR: "a folder is in the place of a file: choose another",
    errno.ENOTDIR: "a file is in the place of a folder: choose another",
    errno.ENOENT: "check the name",
    errno.ESTALE: "the network disk was taken away: mount it again",
    errno.ENOMEM: "this machine has not enough memory",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # while writing, when the file's name is not at hand


def system_error(error: BaseException | None) -> OSError | None:
    """The operating system's error behind an error of a library that writes files (torch, safetensors, Pillow)."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno is not None:
            return error
        told = re.search(r"\(os error (\d+)\)", str(error))  # as programs in Rust report it
        if told:
            return OSError(int(told[1]), os.strerror(int(told[1])))
        error = error.__cause__ or error.__context__
    return None


def describe(error: OSError, path: object = None) -> str:
    """`path: what the system says; remedy`, on one line; path: None takes the one that the error names, if any."""
    names = [name for name in (error.filename, error.filename2) if name is not None]
    where = str(path) if path is not None else " -> ".join(os.fsdecode(name) for name in names if name != -1)
    said = error.strerror or os.strerror(error.errno)
    return ": ".join(part for part in (where, said) if part) + f"; {REMEDIES.get(error.errno, 'correct it')}"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, in an existing folder.

    What was written takes the place of `path` when the block ends; when the block fails, it goes and `path` stays as it
    was. Raises WriteError, naming `path`, where the disk is full or read-only, or writing is forbidden.
    """
    partial = path.with_name(f".{path.name[:LONGEST_SHOWN]}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        said = isinstance(error, WriteError) or not isinstance(error, Exception)  # another file within this one said it
        reason = None if said else system_error(error)
        if reason is None:
            raise
        raise WriteError(f"cannot write {describe(reason, path)}; what was there is unchanged") from error


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Many files in a folder: an error about a full disk, which names no file, becomes a WriteError that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            raise WriteError(f"cannot write {describe(error, folder)}") from error
        raise


def write_whole(path: Path, data: bytes | str) -> None:
    """A small file in one go; text as UTF-8. See `whole_file`."""
    with whole_file(path) as partial:
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
