"""The command line with bad input: one clear line, a non-zero exit, never a half-written output."""

import io
import json
import pickle
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from faceptor import cli
from faceptor.config import preset_names, preset_text
from faceptor.pipeline import training, transfer
from faceptor.training.loop import Outcome
from tests.command import entered
from tests.datasets import published


@pytest.fixture
def project(tmp_path):
    """A folder with parameters whose data sets are tiny ones in the published layouts."""
    values = yaml.safe_load(preset_text("embedded"))
    values["data"] |= {"root": "raw", "validation": 0.2, "max_rejects": 0.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """`python -m faceptor ...` in a folder."""
    command = [sys.executable, "-m", "faceptor", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def faceptor(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """The same in this process."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = entered(*arguments)
    return subprocess.CompletedProcess(["faceptor", *arguments], code, out.getvalue(), err.getvalue())


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
    values = yaml.safe_load((project / "params.yaml").read_text())
    del values["synthesis"]["_300w"]  # else its faces would be drawn
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    line = refused(started(project, "preprocess", "300w"))
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


def test_training_ends_with_one_line_about_the_weights_kept(project, monkeypatch):
    outcome = Outcome(7, 0.5, 10, record={"stage1.steps": 9})
    monkeypatch.setattr(training, "train_joint", lambda *arguments, **options: outcome)
    result = faceptor(project, "train", "stage1")
    [line] = result.stdout.splitlines()
    assert not result.returncode and "stage1: " in line and " 7 " in line
    assert "stage1.steps" not in line


def test_evaluating_a_model_that_is_not_there(project):
    assert "models/stage9/model.json: not found" in refused(faceptor(project, "evaluate", "stage9"))


def test_a_transfer_needs_the_evaluation_of_its_start_before_it_trains(project, monkeypatch):
    monkeypatch.setattr(transfer, "transfer", lambda *arguments, **options: pytest.fail("it trains"))
    result = faceptor(project, "transfer", "lapa", "prompt")
    assert result.returncode == 2
    assert "results/evaluate/details" in result.stderr


def test_switching_presets_and_back(project):
    assert faceptor(project, "params", "use", "base").returncode == 0
    assert (project / "params.yaml").read_text() == preset_text("base")
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


# --- what the command line says of itself ----------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "torchvision", "timm", "numpy", "pandas", "dvc", "matplotlib", "cv2", "pyarrow", "papermill")


def commands(group=None, path=()):
    """Every verb, as the words that call it, with the groups themselves."""
    group = group or typer.main.get_command(cli.app)
    yield path
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("verb", commands(), ids=" ".join)
def test_help_teaches_with_an_example(verb):
    result = CliRunner().invoke(cli.app, [*verb, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout


def parse(words: list[str]) -> None:
    """Parse a command as the command line does, without running it; raises what it would say.

    Words that only name a verb (`faceptor predict` in a sentence) need no arguments.
    """
    command, words = typer.main.get_command(cli.app), [word for word in words if word != "--help"]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        context = command.make_context("faceptor", [*words])
        _, command, words = command.resolve_command(context, words)
    if words:
        command.make_context("faceptor", words)


def documented() -> list[tuple[str, str]]:
    """The `faceptor ...` commands of the pipeline and the help texts, each with where it stands; for the pages see
    test_docs."""
    texts = {name: (ROOT / name).read_text() for name in ("dvc.yaml", "Makefile")}
    for verb in commands():
        texts[f"help of faceptor {' '.join(verb)}"] = help_of(verb)
    found = []
    for where, text in texts.items():
        quoted = re.findall(r"`((?:python -m )?faceptor [a-z][^`]*)`", text)
        lines = re.findall(r"^(?:.*cmd: |\s*@?)((?:python -m )?faceptor [a-z].*)$", text, re.MULTILINE)
        for command in (*quoted, *lines):
            found += [(where, part.strip()) for part in command.split("#")[0].split("&&")]
    return found


def help_of(verb) -> str:
    command = typer.main.get_command(cli.app)
    for word in verb:
        command = command.commands[word]
    return command.help or command.callback.__doc__ or ""


@pytest.mark.parametrize(("where", "command"), documented())
def test_every_command_parses(where, command):
    words = shlex.split(command.removeprefix("python -m "))
    assert words.pop(0) == "faceptor"
    parse(words)


def test_a_command_that_is_none_does_not_parse():
    for words in (["predikt"], ["predict", "--no-such-option"], ["params", "used"], ["transfer", "lapa"]):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parse(words)


PROGRAM = """
import sys
from faceptor import cli
for words in {calls!r}:
    sys.argv = ["faceptor", *words]
    try:
        cli.main()
    except SystemExit:
        pass
    heavy = [name for name in {heavy!r} if name in sys.modules]
    assert not heavy, (words, heavy)
import faceptor
assert set(faceptor.__all__) <= set(dir(faceptor)), dir(faceptor)
"""


def test_help_and_misspelt_names_do_not_wait_for_libraries(tmp_path):
    description = {"tasks": [{"name": "age_morph2"}, {"name": "landmarks_300w"}]}
    (tmp_path / "model.json").write_text(json.dumps(description))
    misspelt = ["predict", "x.jpg", "--out", "o", "--model", ".", "--task", "age_morf2"]
    calls = [["--help"], *([*verb, "--help"] for verb in commands()), ["predikt"], ["params", "used"], misspelt]
    program = PROGRAM.format(calls=calls, heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "age_morf2" in line and "'age_morph2'" in line and "landmarks_300w" in line


def test_the_lazy_names_of_the_package_are_there():
    import faceptor

    assert all(callable(getattr(faceptor, name)) for name in ("load", "load_released", "predict"))
    with pytest.raises(AttributeError):
        faceptor.lod  # noqa: B018
