"""Types as basedpyright sees them, by its section of pyproject.toml."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_types_agree():
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout)
    lines = [
        f"{Path(one['file']).relative_to(ROOT)}:{one['range']['start']['line'] + 1} {one['message']}"
        for one in found["generalDiagnostics"]
    ]
    assert not lines, "\n".join(lines)
    assert found["summary"]["filesAnalyzed"] > 30
