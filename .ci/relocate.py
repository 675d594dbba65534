"""Make a virtual environment that was moved or copied with its checkout belong to where it lies now.

Run by its own Python, which still starts: `.venv/bin/python .ci/relocate.py`. Console scripts name their interpreter,
and the installed package its sources, by absolute paths; they are rewritten. Without it `faceptor` is not found, or is
the old folder's.
"""

import json
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAMES_INTERPRETER = 127  # longest first line of a script that kernels read


def relocate(environment: Path, package: str = "faceptor") -> bool:
    """Rewrite the paths of `environment`, which holds `package` as an editable install; whether any was another's."""
    here = environment.resolve().parent
    packages = list(environment.glob(f"lib/python*/site-packages/*{package}*"))
    origin = next((path / "direct_url.json" for path in packages if path.suffix == ".dist-info"), None)
    if origin is None or not origin.exists():
        return False  # not finished yet: whoever builds it does the rest
    there = Path(unquote(urlsplit(json.loads(origin.read_text())["url"]).path))
    if there == here:
        return False
    scripts = [path for path in (environment / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    for path in [environment / "pyvenv.cfg", *scripts]:
        replace(path, f"{there}/{environment.name}", f"{here}/{environment.name}")
    for path in packages:
        for file in path.iterdir() if path.is_dir() else [path]:
            replace(file, f"{there}", f"{here}")
    return True


def replace(path: Path, old: str, new: str) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        return  # a program, not a script
    if old not in text:
        return
    first, end, rest = text.replace(old, new).partition("\n")
    if first.startswith("#!") and (" " in first or len(first) > NAMES_INTERPRETER):
        first = f"#!/bin/sh\n'''exec' \"{first.removeprefix('#!')}\" \"$0\" \"$@\"\n' '''"  # as pip writes it
    path.write_text(first + end + rest, encoding="utf-8")


if __name__ == "__main__" and relocate(Path(sys.prefix)):
    print(f"{sys.prefix}: was built for another folder, its paths are those of this one now")
