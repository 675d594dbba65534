"""Where things lie in the repository, and JSON that is written whole or not at all."""

import json
import os
from pathlib import Path

MODELS = Path("models")
RESULTS = Path("results")
RUNS = Path("runs")


def write_json(path: Path, value: dict) -> None:
    """Whole or not at all; keys keep their order so that differences read well in Git."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")
    os.replace(partial, path)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())
