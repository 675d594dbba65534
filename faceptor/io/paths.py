"""Where the repository is.

A notebook runs in the repository root under papermill and in notebooks/ under JupyterLab; paths that start at `ROOT`
hold in both.
"""

import shutil
from pathlib import Path

from faceptor.errors import ConfigError

IN_ROOT = "params.yaml"


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (default: the working folder) upwards, that holds params.yaml."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / IN_ROOT).is_file():
            return folder
    raise ConfigError(f"{start}: expected {IN_ROOT} here or in a folder above, found none; start inside the repository")


def replace_folder(partial: Path, out: Path) -> None:
    """Put a finished folder in its place; one that was there before goes only after that."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def __getattr__(name: str) -> Path:
    # Found when asked for, so that importing this module outside a repository is no error.
    if name != "ROOT":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return find_root()
