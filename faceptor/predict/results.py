"""One results file that grows: JSON lines, a CSV table or parquet. A run that was stopped goes on where it was.

Beside the results a file of settings says what they depend on: a run with another model or other options is refused.
After a kill the file holds whole records: the remainder of one that was being written is cut off when a run goes on.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from faceptor.errors import ConfigError, DataError
from faceptor.io.files import read_json, write_json
from faceptor.predict.stream import key_of_answer, key_of_record
from faceptor.predict.table import ABOUT, AFTER, Column, rows

STEM = "faces"
FORMATS = ("jsonl", "csv", "parquet")
AS_FORMULA = ("=", "+", "-", "@")  # a spreadsheet would calculate what begins so

Record = Mapping[str, Any]


class Results(Protocol):
    """Where records go. `answered`: keys of those that were there when it was opened."""

    path: Path
    answered: set[bytes]

    def write(self, record: Record) -> None: ...

    def close(self, *, whole: bool) -> None:
        """whole: the run came to its end."""


def open_results(
    folder: Path,
    form: str,
    settings: Mapping[str, Any],
    columns: Callable[[], Sequence[Column]],
    *,
    again: bool = False,
) -> Results:
    """The results of a folder, to go on with; `columns` is asked where there is a table.

    again: what is there is replaced. Raises ConfigError where other settings, or another run, wrote what is there.
    """
    path, about = folder / f"{STEM}.{form}", folder / f"{STEM}.{form}.settings.json"
    if again or not about.exists():
        for old in (path, folder / f"{STEM}.{form}.parts"):
            if old.exists() and not again:
                raise ConfigError(f"{old}: {about.name} is missing beside it; name another --out, or --again")
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        write_json(about, dict(settings))
    _check_settings(about, json.loads(json.dumps(settings)))
    lock = _locked(about)
    try:
        if form == "jsonl":
            return JsonLines(path, lock)
        if form == "csv":
            return Csv(path, lock, columns())
        from faceptor.predict.parquet import Parquet  # brings pyarrow

        return Parquet(path, lock, columns())
    except BaseException:
        lock.close()
        raise


def _check_settings(about: Path, now: Mapping[str, Any]) -> None:
    before = read_json(about)
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            found = f"{name} {_short(before.get(name))}, now {_short(now.get(name))}"
            raise ConfigError(f"{about}: the results beside it were made with {found}; name another --out, or --again")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _locked(about: Path) -> IO[bytes]:
    """The file of settings, held by this process until it is closed."""
    file = about.open("rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataError(f"{about.parent}: another process writes results there; wait, or name another --out") from None
    return file


class _Growing:
    """An open file at whose end records are put, from its beginning to be read first."""

    def __init__(self, path: Path, lock: IO[bytes]):
        self.path, self.lock, self.answered = path, lock, set()
        self.file = path.open("ab+")
        self.file.seek(0)

    def put(self, data: bytes) -> None:
        self.file.write(data)
        self.file.flush()

    def close(self, *, whole: bool) -> None:
        self.file.close()
        self.lock.close()


class JsonLines(_Growing):
    """A line for each photograph or frame."""

    def __init__(self, path: Path, lock: IO[bytes]):
        super().__init__(path, lock)
        whole = 0
        for number, line in enumerate(self.file, start=1):
            if not line.endswith(b"\n"):
                break  # the process was killed while it wrote
            try:
                self.answered.add(key_of_record(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError):
                self.file.close()
                raise DataError(f"{path}: line {number} is no answer; restore it, or --again") from None
            whole += len(line)
        self.file.truncate(whole)

    def write(self, record: Record) -> None:
        self.put(json.dumps(record, allow_nan=False).encode() + b"\n")


class Csv(_Growing):
    """A row for each face, one for what has none. UTF-8 with a mark at its beginning, by which spreadsheets know it."""

    MARK = b"\xef\xbb\xbf"

    def __init__(self, path: Path, lock: IO[bytes], columns: Sequence[Column]):
        super().__init__(path, lock)
        self.columns = columns
        head = self.MARK + _line([*ABOUT, *(heading for column in columns for heading in column.headings), *AFTER])
        start = self.file.read(len(head))
        if start != head:
            if len(start) == len(head):
                self.file.close()
                raise ConfigError(f"{path}: has other columns than this run; name another --out, or --again")
            self.file.truncate(0)
            self.put(head)
        self.file.seek(len(head))
        self.file.truncate(self._read(len(head)))

    def _read(self, at: int) -> int:
        """Note what was answered; where the last whole record ends."""
        waiting, end = 0, at
        for number, row in enumerate(_whole_rows(self.file), start=2):
            at += len(row)
            try:
                cells = next(csv.reader([row.decode()]))
                about = dict(zip(ABOUT, cells, strict=False))
                waiting = (waiting or max(1, int(about["faces"] or 0))) - 1
                frame = int(about["frame"]) if about["frame"] else None
                key = key_of_answer(str(Path(about["file"])), frame, about["sha256"] or cells[-1])
            except (ValueError, LookupError, csv.Error):
                self.file.close()
                raise DataError(f"{self.path}: row {number} is no answer; restore it, or --again") from None
            if not waiting:
                end = at
                self.answered.add(key)
        return end

    def write(self, record: Record) -> None:
        lines = []
        for row in rows(record, self.columns):
            if row["file"].startswith(AS_FORMULA):
                row["file"] = f"./{row['file']}"
            cells = [row.get(name) for name in ABOUT]
            for column in self.columns:
                value = row.get(column.heading)
                cells += [value] if column.names is None else value or [None] * len(column.names)
            lines.append(_line([*cells, *(row.get(name) for name in AFTER)]))
        self.put(b"".join(lines))


def _line(cells: Sequence[Any]) -> bytes:
    """Numbers to six digits."""
    text = io.StringIO()
    csv.writer(text).writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue().encode()


def _whole_rows(file: IO[bytes]) -> Iterator[bytes]:
    """Rows of a CSV file that end in a new line; a cell may hold new lines within quotes."""
    row = b""
    for line in file:
        row += line
        if row.endswith(b"\r\n") and row.count(b'"') % 2 == 0:
            yield row
            row = b""
