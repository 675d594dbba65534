"""docs/export.md: its commands run, on toy models in the places of those that it names."""

import re
import shlex
from pathlib import Path

import torch
from typer.testing import CliRunner

from faceptor.cli import app
from faceptor.deploy.formats import run_onnx
from faceptor.tasks import task
from faceptor.weights.folder import load_model, save_model
from tests.models.toy_models import toy_model

PAGE = Path(__file__).parents[2] / "docs/export.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("faceptor ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_its_commands_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"encoder": {"depth": 1, "layers": (1,)}, "decoder": {"depth": 1}}
    model = toy_model(tasks=("age_morph2", "recognition_ms1mv3"), **small)
    for place in ("models/stage1", "faceptor/shipped/embedded"):
        save_model(model, Path(place))
    model.add_task(task("parsing_lapa"))
    save_model(model, Path("models/transfer/lapa-prompt"))
    for words in commands():
        if words[0] == "demo":  # tests/browser builds it
            continue
        result = CliRunner().invoke(app, words)
        assert not result.exit_code, (words, result.output, result.exception)
    assert list(load_model("models/stage1-without").tasks) == ["recognition_ms1mv3", "parsing_lapa"]
    (answers,) = run_onnx(Path("age.onnx"), [torch.rand(4, 3, 32, 32)])
    assert answers.shape == (4, 101)
