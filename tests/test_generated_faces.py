"""Generated faces are drawn again where they are needed: DVC keeps the marker alone. Photographs are never replaced."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from faceptor.config import parse
from faceptor.errors import ConfigError
from faceptor.stages.data import preprocess_set, synthesize_set
from faceptor.synthesis import complete
from tests.test_stages import small_params

ROOT = Path(__file__).parents[1]
FACES, PREPARED = Path("data/generated/rafdb"), Path("data/prepared/joint/rafdb")


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = small_params()
    values["synthesis"] = {"rafdb": {"train": 14, "test": 7}}
    return parse(values)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_missing_or_altered_faces_are_drawn_before_they_are_prepared(params):
    synthesize_set(params, "rafdb", workers=1)
    preprocess_set(params, "rafdb")
    faces, prepared = content(FACES), content(PREPARED)
    sheet = Path("results/synthesis/rafdb.png")
    sheet.unlink()

    for path in FACES.iterdir():  # as in a fresh checkout of DVC: the marker alone
        if path.name != "GENERATED":
            shutil.rmtree(path)
    assert not complete(FACES)
    preprocess_set(params, "rafdb")
    assert complete(FACES) and content(FACES) == faces and content(PREPARED) == prepared
    assert not sheet.exists()  # the contact sheet belongs to the other stage

    next(FACES.rglob("*.jpg")).write_bytes(b"")
    preprocess_set(params, "rafdb")
    assert content(FACES) == faces


def test_the_marker_tells_other_faces(params):
    synthesize_set(params, "rafdb", workers=1, sheet=False)
    marker = (FACES / "GENERATED").read_text()
    synthesize_set(params.model_copy(update={"seed": params.seed + 1}), "rafdb", workers=1, sheet=False)
    stated = [text.split("files: ")[1] for text in (marker, (FACES / "GENERATED").read_text())]
    assert stated[0] != stated[1]


def test_photographs_are_never_replaced(params):
    mine = FACES / "basic" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"synthesis\.rafdb"):
        synthesize_set(params, "rafdb", workers=1)
    with pytest.raises(ConfigError, match=r"datasets\.rafdb.*data/raw"):  # DVC would not see them change
        preprocess_set(params, "rafdb")
    assert mine.read_bytes() == b"mine"


def test_dvc_looks_at_the_markers_alone(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    Repo.init(str(tmp_path)).close()
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    with Repo(str(tmp_path)) as repo:
        seen = lambda path: not repo.dvcignore.is_ignored_file(str(tmp_path / path))  # noqa: E731
        assert (
            seen("data/generated/300w/GENERATED") and seen("data/raw/300w/a.jpg") and seen("models/stage1/model.json")
        )
        assert not seen("data/generated/300w/a.jpg")


DRAW = """
import sys
from pathlib import Path
from faceptor.synthesis import synthesize
synthesize("rafdb", Path(sys.argv[1]), seed=1, train=7000, test=7, workers=2)
"""


def test_workers_end_with_a_killed_synthesis(tmp_path):
    # Workers hold the pipe: reading it to the end returns when the last of them is gone.
    drawing = subprocess.Popen([sys.executable, "-c", DRAW, str(tmp_path / "rafdb")], stderr=subprocess.PIPE)
    seen = b""
    while b" 1/7007" not in seen and b" 9/7007" not in seen and b" 8/7007" not in seen:
        seen += drawing.stderr.read1(1 << 16)
    drawing.kill()
    drawing.wait()
    drawing.stderr.read()
