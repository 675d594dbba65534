"""What a stage writes holds no commit, time or path: the same inputs give the same bytes anywhere, at any time."""

import subprocess
import time
from pathlib import Path

import pytest

from faceptor.config import parse
from faceptor.pipeline import training
from faceptor.pipeline.data import preprocess_set, synthesize_set
from faceptor.pipeline.evaluation import evaluate_model
from faceptor.pipeline.experiment import resolve
from tests.test_stages import small_params

TASK = "expression_rafdb"
NOT_OUTPUTS = (".git", "data/generated", "runs", "note")


def toy_params():
    values = small_params()
    values["synthesis"] = {"rafdb": {"train": 28, "test": 7}}
    values["datasets"] = {"rafdb": values["datasets"]["rafdb"]}
    values["stage1"]["tasks"] = {TASK: values["stage1"]["tasks"][TASK] | {"samples": 4}}
    values["stage1"] |= {"steps": 2}
    values["stage2"]["tasks"] = {TASK: {"samples": 4}}
    values["transfer"]["tasks"], values["transfer"]["matrix"] = {}, {"dataset": [], "mode": []}
    values["baselines"], values["evaluate"]["models"] = {}, ["stage1"]
    values["shipped"], values["experiments"] = {}, {}  # of models that are not trained here
    return resolve(parse(values))


def written_by_all_stages(folder: Path, *, note: str, zone: str, patch: pytest.MonkeyPatch) -> dict[str, bytes]:
    folder.mkdir()
    patch.chdir(folder)
    patch.setenv("TZ", zone)
    time.tzset()
    Path("note").write_text(note)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "note"], [*author, "commit", "-qm", note]):
        subprocess.run(["git", *command], check=True)
    patch.setattr(training, "PICTURES_FRAMED", 2, raising=False)  # faces to look for: slow, and not what this is about
    experiment = toy_params()
    synthesize_set(experiment, "rafdb", workers=1)
    preprocess_set(experiment, "rafdb")
    training.train_joint(experiment)
    training.train_stage2(experiment, TASK)
    training.merge_stage2(experiment)
    evaluate_model(experiment, "stage1")
    files = (path for path in sorted(Path().rglob("*")) if path.is_file())
    return {str(path): path.read_bytes() for path in files if not str(path).startswith(NOT_OUTPUTS)}


def test_stages_write_the_same_bytes_at_another_commit_in_another_folder_at_another_time(tmp_path, monkeypatch):
    first = written_by_all_stages(tmp_path / "one", note="a", zone="UTC", patch=monkeypatch)
    second = written_by_all_stages(tmp_path / "elsewhere", note="b", zone="Asia/Tokyo", patch=monkeypatch)
    assert {"models/stage1/model.json", "models/stage2/model.json", "results/evaluate/stage1.json"} <= first.keys()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert [name for name, content in first.items() if str(tmp_path).encode() in content] == []
