"""Fetch the runtime of the page in docs/demo anew, after a change of VERSION: `python -m tools.demo_runtime`.

npm packs the published onnxruntime-web; the files that the page needs are taken out of it, the WebAssembly compressed.
"""

import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"  # of the package's archive
SCRIPTS = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs")
BINARY = "ort-wasm-simd-threaded.wasm"
FOLDER = Path("docs/demo/runtime")


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"], cwd=place, check=True)
        (archive,) = Path(place).glob("*.tgz")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise SystemExit(f"error: onnxruntime-web {VERSION}: expected SHA-256 {SHA256}, found {found}")
        with tarfile.open(archive) as files:
            data = {name: files.extractfile(f"package/dist/{name}").read() for name in (*SCRIPTS, BINARY)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        (FOLDER / name).write_bytes(data[name])
    (FOLDER / f"{BINARY}.gz").write_bytes(gzip.compress(data[BINARY], 9, mtime=0))
    facts = {
        "package": "onnxruntime-web",
        "version": VERSION,
        "licence": "MIT, Copyright (c) Microsoft Corporation",
        "tarball_sha256": SHA256,
        "files": {name: hashlib.sha256(each).hexdigest() for name, each in data.items()},
    }
    (FOLDER / "runtime.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
