"""Generated faces are drawn again where they are needed: DVC keeps the marker alone. Photographs are never replaced."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
from dvc.repo import Repo

from faceptor.cli import main
from faceptor.config import parse
from faceptor.errors import ConfigError
from faceptor.pipeline.data import preprocess_set, synthesize_set
from faceptor.pipeline.experiment import resolve
from faceptor.synthesis import complete
from tests.test_stages import small_params

ROOT = Path(__file__).parents[1]
FACES, PREPARED = Path("data/generated/rafdb"), Path("data/prepared/joint/rafdb")


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)  # a dozen faces: no process is worth starting
    values = small_params()
    values["synthesis"] = {"rafdb": {"train": 14, "test": 7}}
    return resolve(parse(values))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_missing_or_altered_faces_are_drawn_before_they_are_prepared(experiment):
    synthesize_set(experiment, "rafdb", workers=1)
    preprocess_set(experiment, "rafdb")
    faces, prepared = content(FACES), content(PREPARED)
    sheet = Path("results/synthesis/rafdb.webp")
    sheet.unlink()

    for path in FACES.iterdir():  # as in a fresh checkout of DVC: the marker alone
        if path.name != "GENERATED":
            shutil.rmtree(path)
    assert not complete(FACES)
    preprocess_set(experiment, "rafdb")
    assert complete(FACES) and content(FACES) == faces and content(PREPARED) == prepared
    assert not sheet.exists()  # the contact sheet belongs to the other stage

    next(FACES.rglob("*.jpg")).write_bytes(b"")
    preprocess_set(experiment, "rafdb")
    assert content(FACES) == faces


def test_the_marker_tells_other_faces(experiment):
    synthesize_set(experiment, "rafdb", workers=1, sheet=False)
    marker = (FACES / "GENERATED").read_text()
    params = experiment.params
    data = params.data.model_copy(update={"seed": params.data.seed + 1})
    other = resolve(params.model_copy(update={"data": data}))
    synthesize_set(other, "rafdb", workers=1, sheet=False)
    stated = [text.split("files: ")[1] for text in (marker, (FACES / "GENERATED").read_text())]
    assert stated[0] != stated[1]


def test_photographs_are_never_replaced(experiment):
    mine = FACES / "basic" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"synthesis\.rafdb"):
        synthesize_set(experiment, "rafdb", workers=1)
    with pytest.raises(ConfigError, match=r"datasets\.rafdb.*data/raw"):  # DVC would not see them change
        preprocess_set(experiment, "rafdb")
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


def test_a_stage_and_its_workers_end_with_a_killed_dvc(tmp_path):
    # All of them hold the pipe: reading it to the end returns when the last is gone.
    values = small_params() | {"synthesis": {"rafdb": {"train": 1400, "test": 7}}}
    (tmp_path / "params.yaml").write_text(json.dumps(values))  # which is YAML
    (tmp_path / "dvc.yaml").write_text("stages: {draw: {cmd: 'python -m faceptor synthesize rafdb --workers 2'}}")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    Repo.init(str(tmp_path)).close()
    places = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    dvc = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=tmp_path, env=os.environ | places,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seen = b""
    while not re.search(rb" [1-9]\d*/1407", seen):
        new = dvc.stdout.read1(1 << 16)
        assert new, seen.decode()
        seen += new
    dvc.kill()
    dvc.wait()
    dvc.stdout.read()


@pytest.mark.parametrize(("root", "told"), [(".", True), ("..", False)])
def test_a_failed_experiment_says_how_the_results_before_come_back(root, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    monkeypatch.setenv("DVC_ROOT", str(Path(root).resolve()))  # of the checkout, in a queued experiment another folder
    monkeypatch.setattr(sys, "argv", ["faceptor", "train", "stage1"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "params.yaml" in said and ("dvc checkout" in said) == told
