"""What docs/sharing.md promises: one pushes, the others compute nothing; experiments and models go from hand to hand.

A bare Git repository, a DVC remote in a folder, and a pipeline in which a copy of a toy model stands for training.
"""

import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from dvc.cli import main as dvc
from dvc.repo import Repo

import faceptor
from faceptor.errors import WeightsError
from faceptor.pipeline import repro
from faceptor.weights.folder import model_hash, save_model
from tests.toy import model_and_criteria

ROOT = Path(__file__).parents[1]
PIPELINE = {
    "stages": {
        "train_stage1": {
            "cmd": "mkdir -p models && cp -r toy models/stage1 && cp params.yaml metrics.yaml && echo >> ../runs.txt",
            "deps": ["toy"],
            "params": ["seed"],
            "outs": ["models/stage1"],
            "metrics": [{"metrics.yaml": {"cache": False}}],
        }
    },
    "artifacts": {"stage1": {"path": "models/stage1", "type": "model"}},
}


def git(*words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *name, *words], check=True, capture_output=True)


def runs(place: Path) -> int:
    """How often the stage was run."""
    return len((place / "runs.txt").read_text().splitlines()) if (place / "runs.txt").exists() else 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """(bare repository, DVC remote), filled by somebody who ran the pipeline and pushed everything."""
    place = tmp_path_factory.mktemp("shared")
    work, bare, remote = place / "work", place / "bare.git", place / "remote"
    git("init", "-q", "--bare", "-b", "main", str(bare))
    git("clone", "-q", str(bare), str(work))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        git("checkout", "-q", "-b", "main")
        save_model(model_and_criteria()[0], work / "toy")
        (work / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
        (work / "params.yaml").write_text("seed: 1\n")
        Repo.init(str(work)).close()
        assert dvc(["remote", "add", "-q", "-d", "shared", str(remote)]) == 0
        assert repro.reproduce() == ["train_stage1"] and runs(place) == 1
        assert dvc(["push", "-q"]) == 0
        git("add", "-A")
        git("commit", "-qm", "all")
        git("tag", "-a", "stage1@v1.0.0", "-m", "the model of the paper")
        git("push", "-q", "origin", "main", "stage1@v1.0.0")
    return bare, remote


@pytest.fixture
def clone(shared, tmp_path, monkeypatch):
    """A fresh clone of the bare repository, and the folder that we are in."""
    git("clone", "-q", str(shared[0]), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path


def test_a_fresh_clone_computes_nothing_and_has_the_models(clone):
    assert dvc(["repro", "-q", "--pull", "--allow-missing"]) == 0
    assert repro.reproduce() == [] and runs(clone) == 0
    assert dvc(["pull", "-q"]) == 0
    assert model_hash(Path("models/stage1")) == model_hash(Path("toy"))


def test_an_experiment_goes_from_one_clone_to_another(clone, shared, monkeypatch):
    monkeypatch.setenv("DVC_EXP_AUTO_PUSH", "false")
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "a")
        monkeypatch.setenv(f"{name}_EMAIL", "a@b")
    assert dvc(["exp", "run", "-q", "-n", "second-seed", "-S", "seed=2"]) == 0
    assert dvc(["exp", "show", "--json"]) == 0
    with Repo() as repo:  # what `dvc exp show` prints
        assert [each.name for state in repo.experiments.show() for each in state.experiments or ()] == ["second-seed"]
    assert dvc(["exp", "push", "-q", "origin", "second-seed"]) == 0

    git("clone", "-q", str(shared[0]), str(clone / "other"))
    monkeypatch.chdir(clone / "other")
    assert dvc(["exp", "pull", "-q", "origin", "second-seed"]) == 0
    assert dvc(["exp", "apply", "-q", "second-seed"]) == 0
    assert yaml.safe_load(Path("metrics.yaml").read_text()) == {"seed": 2}
    assert repro.reproduce() == [] and Path("models/stage1").is_dir()


def test_a_model_is_loaded_out_of_another_repository(shared, tmp_path, monkeypatch):
    bare, remote = shared
    monkeypatch.chdir(tmp_path)  # no repository here
    model = faceptor.load("models/stage1", repo=str(bare), rev="main")
    expected = model_and_criteria()[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert not list(tmp_path.iterdir())
    given = faceptor.load("models/stage1", repo=str(bare), rev="stage1@v1.0.0", remote=str(remote))
    assert given.tasks == model.tasks
    for wrong in ({"folder": "models/stage9"}, {"rev": "nowhere"}, {"remote": str(tmp_path / "empty")}):
        arguments = {"folder": "models/stage1", "repo": str(bare), "rev": "main"} | wrong
        with pytest.raises(WeightsError, match=r"bare\.git: models/stage"):
            faceptor.load(**arguments)
    with pytest.raises(WeightsError, match="repo="):
        faceptor.load("models/stage1", rev="main")


def test_a_model_is_an_artifact(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dvc(["artifacts", "get", "-q", str(shared[0]), "stage1", "-o", "mine"]) == 0
    assert faceptor.load("mine").tasks


def test_every_model_of_the_pipeline_is_an_artifact():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    named = {each["path"] for each in pipeline["artifacts"].values()}
    assert named == {f"models/{name}" for name in params["evaluate"]["models"]}
    assert all(each["type"] == "model" and each["desc"] for each in pipeline["artifacts"].values())
