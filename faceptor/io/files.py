"""Where things lie in the repository, and JSON that is written whole or not at all."""

import hashlib
import json
from pathlib import Path

from faceptor.errors import DataError
from faceptor.io.regular import read_regular
from faceptor.io.writing import write_whole

MODELS = Path("models")
RESULTS = Path("results")
RUNS = Path("runs")
SHIPPED = Path(__file__).parents[1] / "shipped" / "embedded"  # the model that comes with the package
LARGEST_JSON = 256 << 20  # bytes
GONE = "gone"


def content_hash(path: Path) -> str:
    """SHA-256 (hex) of a file, or of the names and contents of a folder's files; `GONE` where there is neither."""
    if path.is_dir():
        inside = sorted(each for each in path.rglob("*") if each.is_file())
        listed = [(each.relative_to(path).as_posix(), content_hash(each)) for each in inside]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else GONE


def write_json(path: Path, value: dict) -> None:
    """Whole or not at all; keys keep their order so that differences read well in Git."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> dict:
    """Raises DataError for what is missing or no JSON."""
    remedy = "run the stage that writes it, or fetch it with `dvc pull`"
    try:
        return json.loads(read_regular(path, largest=LARGEST_JSON, remedy=remedy))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); restore it, or run the stage that writes it") from None
