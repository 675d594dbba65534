"""The command line with bad input: one clear line, a non-zero exit, never a half-written output."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from faceptor.config import preset_names, preset_path
from tests.datasets import published


@pytest.fixture
def project(tmp_path):
    """A folder with parameters whose data sets are tiny ones in the published layouts."""
    values = yaml.safe_load(preset_path("embedded").read_text())
    values["data"] |= {"root": "raw", "validation": 0.2, "max_rejects": 0.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def faceptor(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "faceptor", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def refused(result: subprocess.CompletedProcess) -> str:
    """The one line of a refusal."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def relaxed(folder: Path, name: str) -> None:
    """Let a data set have other counts than published, as a test's tiny one does."""
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["datasets"][name].setdefault("options", {})["strict_counts"] = False
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def test_missing_folder(project):
    line = refused(faceptor(project, "preprocess", "300w"))
    assert "raw/_300w" in line
    assert "faceptor synthesize 300w" in line


def test_misspelt_parameter(project):
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["stage1"]["optimizer"] = {}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    line = refused(faceptor(project, "preprocess", "300w"))
    assert "stage1.optimizer: unknown key; did you mean 'optimiser'?" in line


def test_unknown_names_list_the_valid_ones(project):
    assert "expected one of 300w" in refused(faceptor(project, "preprocess", "301w"))
    assert "expected one of stage1, facexformer, naive, stage2, merge" in refused(faceptor(project, "train", "stage3"))
    assert ", ".join(preset_names()) in refused(faceptor(project, "params", "use", "huge"))


def test_one_bad_file_is_listed_and_the_rest_goes_on(project):
    root = project / "raw" / "_300w"
    published.w300(root)
    relaxed(project, "_300w")
    points = sorted((root / "helen" / "trainset").glob("*.pts"))[0]
    lines = points.read_text().splitlines()
    points.write_text("\n".join([*lines[:3], *lines[4:]]))
    result = faceptor(project, "preprocess", "300w")
    assert result.returncode == 0, result.stderr
    rejects = (project / "data/prepared/joint/_300w/rejects.jsonl").read_text()
    assert points.name in rejects
    assert "67" in rejects


def test_too_many_bad_files_stop_the_stage_and_leave_nothing(project):
    root = project / "raw" / "_300w"
    published.w300(root)
    relaxed(project, "_300w")
    for points in root.rglob("*.pts"):
        points.write_text(points.read_text().replace("}", "1 2\n}"))
    refused(faceptor(project, "preprocess", "300w"))
    assert not list((project / "data/prepared").rglob("*.arrow"))


def test_a_pickle_that_runs_code_is_refused(project):
    class Evil:
        def __reduce__(self):
            return __import__("os").system, (f"touch {project / 'ran'}",)

    root = project / "raw" / "ms1mv3"
    published.ms1mv3(root)
    relaxed(project, "ms1mv3")
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["datasets"]["ms1mv3"]["verification"] = ["lfw"]
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    (root / "lfw.bin").write_bytes(pickle.dumps(([Evil()], [True])))
    line = refused(faceptor(project, "preprocess", "ms1mv3"))
    assert "lfw.bin" in line
    assert not (project / "ran").exists()


def test_training_without_prepared_data_says_what_to_run(project):
    assert "run `faceptor preprocess" in refused(faceptor(project, "train", "stage1"))
    assert not (project / "models").exists()


def test_evaluating_a_model_that_is_not_there(project):
    assert "models/stage9/model.json: not found" in refused(faceptor(project, "evaluate", "stage9"))


def test_switching_presets_and_back(project):
    assert faceptor(project, "params", "use", "base").returncode == 0
    assert (project / "params.yaml").read_text() == preset_path("base").read_text()
    assert faceptor(project, "params", "use", "embedded").returncode == 0
    assert "equals preset embedded" in faceptor(project, "params", "check").stdout


def test_doctor_tells_absent_from_prepared(project):
    published.w300(project / "raw" / "_300w")
    relaxed(project, "_300w")
    faceptor(project, "preprocess", "300w")
    facts = json.loads(faceptor(project, "doctor", "--json").stdout)["datasets"]
    assert facts["300w"]["state"] == "prepared"
    assert facts["celeba"]["state"] == "absent"
    assert facts["celeba"]["ask"]


VERBS = (
    *("synthesize", "preprocess", "train", "evaluate", "transfer", "predict", "notebook", "budget"),
    *("readme", "doctor", "params"),
)


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_with_an_example(verb, tmp_path):
    result = faceptor(tmp_path, verb, "--help")
    assert result.returncode == 0
    assert verb in result.stdout
    assert "Example" in result.stdout or verb in ("readme", "doctor", "params")
