"""A folder of prepared data: here, or behind any URL that fsspec knows (`s3://bucket/prepared/joint/_300w`).

Files here are mapped into memory; of files elsewhere only the bytes that are asked for travel, and the last ones are
kept. `simplecache::s3://...` keeps whole files on the local disk instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from faceptor.errors import DataError

Slice = Callable[[int, int], pa.Buffer]  # (offset, length) -> bytes of one file


def is_url(place: Path | str) -> bool:
    return "://" in str(place)


class Folder:
    """One folder; `folder / name` is one below it."""

    def __init__(self, place: Path | str):
        self.place = str(place).rstrip("/") if is_url(place) else Path(place)
        self._files, self._root = _filesystem(self.place)

    def __truediv__(self, name: str) -> Folder:
        return Folder(f"{self.place}/{name}" if is_url(self.place) else self.place / name)

    def __str__(self) -> str:
        return str(self.place)

    @property
    def path(self) -> Path:
        """Where it lies on this machine; DataError for one that does not."""
        if self._files is not None:
            raise DataError(f"{self}: its shards have no shards.json, which reading them from afar needs; copy it here")
        return self._root

    @property
    def remote(self) -> bool:
        """Whether its files cannot be mapped into memory."""
        return self._files is not None

    @property
    def name(self) -> str:
        return str(self.place).rstrip("/").rpartition("/")[2]

    def exists(self, name: str) -> bool:
        if self._files is None:
            return (self._root / name).exists()
        return self._call(name, lambda path: self._files.exists(path))

    def subfolders(self) -> tuple[str, ...]:
        """Names of the folders in it, sorted; none if it does not exist."""
        if self._files is None:
            inside = self._root.iterdir() if self._root.is_dir() else ()
            return tuple(sorted(path.name for path in inside if path.is_dir()))
        if not self._files.isdir(self._root):
            return ()
        found = self._call("", lambda path: self._files.ls(path.rstrip("/"), detail=True))
        folders = [entry["name"].rstrip("/") for entry in found if entry["type"] == "directory"]
        return tuple(sorted(name.rpartition("/")[2] for name in folders))

    def read_json(self, name: str) -> dict:
        try:
            data = (self._root / name).read_bytes() if self._files is None else self._call(name, self._files.cat_file)
            return json.loads(data)
        except (OSError, ValueError) as error:
            raise DataError(f"{self}/{name}: cannot be read ({error}); prepare the data set again") from error

    def open(self, name: str) -> Slice:
        """Access to parts of a file: without a copy where it lies here, else one request per part."""
        if self._files is not None:
            return lambda offset, length: pa.py_buffer(
                self._call(name, lambda path: self._files.cat_file(path, start=offset, end=offset + length))
            )
        try:
            with pa.memory_map(str(self._root / name)) as file:
                whole = file.read_buffer()
        except OSError as error:
            raise DataError(f"{self}/{name}: cannot be read ({error}); prepare the data set again") from error
        return whole.slice

    def _call(self, name: str, function: Callable):
        try:
            return function(f"{self._root}/{name}")
        except Exception as error:  # every kind of store has its own
            reason = str(error) or type(error).__name__
            raise DataError(f"{self}/{name}: cannot be read ({reason}); check the URL") from error


def _filesystem(place: Path | str):
    """(file system, path in it); None and a Path for what lies here."""
    if not is_url(place):
        return None, Path(place)
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, root = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise DataError(f"{place}: no way to read this kind of URL ({error}); install what it names") from error
    return (None, Path(root)) if isinstance(files, LocalFileSystem) else (files, root.rstrip("/"))
