"""What lies outside the program is one line and an exit code; a fault of the program keeps its traceback."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from faceptor.cli import trouble
from faceptor.config import preset_text
from faceptor.errors import ConfigError, FaceptorError, WriteError
from faceptor.io.files import read_json, write_json
from faceptor.io.writing import whole_file, write_whole
from faceptor.models.build import build_model
from faceptor.pipeline import experiment
from faceptor.pipeline.data import preprocess_set
from faceptor.pipeline.evaluation import save_figure
from faceptor.tasks import task
from faceptor.training.checkpoint import save_atomic
from faceptor.weights.folder import load_model, save_model
from tests.command import entered
from tests.datasets import published
from tests.limits import files_of_at_most
from tests.toy import MODEL


def run(monkeypatch, capsys, error: BaseException):
    """`faceptor params check` where reading params.yaml fails so: exit code and what stderr holds."""

    def fail(path):
        raise error

    monkeypatch.setattr("faceptor.pipeline.experiment.load_params", fail)
    monkeypatch.delenv(trouble.TRACEBACK_VARIABLE, raising=False)
    return entered("params", "check"), capsys.readouterr().err


OUTSIDE = [
    ConfigError("stage1.steps: expected a number"),
    *(OSError(number, os.strerror(number), "some/file") for number in (errno.ENOSPC, errno.EROFS, errno.EACCES)),
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    ModuleNotFoundError("No module named 'dvclive.x'", name="dvclive.x"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    BrokenProcessPool("A process in the process pool was terminated abruptly"),
    RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed."),
]


@pytest.mark.parametrize("error", OUTSIDE, ids=lambda error: f"{type(error).__name__} {error}"[:50])
def test_one_line_and_an_exit_code(monkeypatch, capsys, error):
    code, told = run(monkeypatch, capsys, error)
    assert code == 2
    assert told.startswith("error: ") and told.count("\n") == 1
    if getattr(error, "filename", None):
        assert "some/file" in told


@pytest.mark.parametrize("module, extra", [("sklearn.metrics", "train"), ("papermill", "notebooks"), ("json5", None)])
def test_a_library_that_is_not_there_is_told_with_the_extra_that_brings_it(module, extra):
    line = trouble.said(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert line is None if extra is None else f"pip install 'faceptor[{extra}]'" in line


def test_an_interruption_has_its_own_exit_code(monkeypatch, capsys):
    code, told = run(monkeypatch, capsys, KeyboardInterrupt())
    assert code == 130
    assert told.count("\n") == 1


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RuntimeError("x"), OSError("no number")], ids=repr)
def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, capsys, error):
    with pytest.raises(type(error)):
        run(monkeypatch, capsys, error)


def test_every_traceback_on_request(monkeypatch):
    monkeypatch.setenv(trouble.TRACEBACK_VARIABLE, "1")
    with pytest.raises(ConfigError):
        trouble.guarded(lambda: (_ for _ in ()).throw(ConfigError("x")))


SPEAKS = "from faceptor.cli import trouble; import sys; trouble.speakable(); "


@pytest.mark.parametrize(
    ("verb", "out", "code"),
    [
        ("[print('x' * 99, flush=True) for _ in range(9999)]", "closed", trouble.PIPE_CLOSED),
        ("print('x')", "closed", trouble.PIPE_CLOSED),  # noticed when the verb is over
        ("print('x')", "/dev/full", trouble.ERROR),
        ("print('caf\\udce9 \\u2260')", "pipe", 0),
    ],
)
def test_standard_output_that_cannot_take_it(verb, out, code):
    if out == "/dev/full" and not os.path.exists(out):
        pytest.skip("no /dev/full here")
    program = f"{SPEAKS}trouble.guarded(lambda: {verb}); sys.exit(trouble.flushed(0))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    if out == "closed":
        reading, stdout = os.pipe()
        os.close(reading)
    else:
        stdout = subprocess.PIPE if out == "pipe" else os.open(out, os.O_WRONLY)
    result = subprocess.run([sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, env=environment)
    if out != "pipe":
        os.close(stdout)
    assert result.returncode == code
    assert result.stderr.count(b"\n") == (out == "/dev/full")
    assert out != "pipe" or result.stdout == b"caf\\udce9 \\u2260\n"


# --- writing ---------------------------------------------------------------------------------------------------------


def _picture(path):
    from matplotlib.figure import Figure

    save_figure(Figure(), path)


def _sheet(path):
    from faceptor.synthesis.contact_sheet import contact_sheet
    from faceptor.synthesis.writers.layout import Tile

    image = np.eye(99, dtype=np.uint8)[..., None] * np.uint8([255, 0, 99])
    contact_sheet([Tile(group="a", caption="b", image=image)], title="t", path=path)


def _model(path):
    save_model(build_model(MODEL, [task("age_morph2")]), path.parent)


WRITERS = {
    "checkpoint": lambda path: save_atomic({"a": torch.zeros(9999)}, path),
    "weights.safetensors": _model,
    "tensors": lambda path: _through(path, lambda part: save_file({"a": torch.zeros(9999)}, part)),
    "report.json": lambda path: write_json(path, {"a": "x" * 9999}),
    "figure.png": _picture,
    "sheet.webp": _sheet,
    "text": lambda path: write_whole(path, "x" * 9999),
}


def _through(path, write):
    with whole_file(path) as partial:
        write(partial)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_error_that_names_the_file_and_loses_nothing(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"what was there")
    with files_of_at_most(700), pytest.raises(FaceptorError, match=name) as told:
        WRITERS[name](path)
    assert isinstance(told.value, WriteError) and "\n" not in str(told.value)
    assert path.read_bytes() == b"what was there"
    assert [file.name for file in tmp_path.iterdir()] == [name]  # no leftover


def test_preparing_data_on_a_full_disk_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(preset_text("embedded"))
    values["data"] |= {"root": "raw", "validation": 0.2}
    values["datasets"]["rafdb"] |= {"path": "rafdb", "options": {"strict_counts": False}}
    published.rafdb(tmp_path / "raw" / "rafdb")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    found = experiment.load(tmp_path / "params.yaml")
    with files_of_at_most(3000), pytest.raises(WriteError, match="rafdb"):
        preprocess_set(found, "rafdb")
    assert not list(tmp_path.rglob("card.json"))
    preprocess_set(found, "rafdb")  # room again: it goes on
    assert list(tmp_path.rglob("card.json"))


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(WriteError, match="x"):
        write_whole(tmp_path / "x", "text")
    assert not list(tmp_path.glob(".*"))


def test_an_error_of_ours_while_writing_stays_what_it_is(tmp_path):
    with pytest.raises(KeyError), whole_file(tmp_path / "x") as partial:
        partial.write_text("half")
        raise KeyError("a fault")
    assert not list(tmp_path.iterdir())


def test_a_model_written_whole_loads(tmp_path):
    _model(tmp_path / "weights.safetensors")
    assert list(load_model(tmp_path).tasks) == ["age_morph2"]


def test_presets_do_not_lose_params_on_a_full_disk(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("mine")
    with files_of_at_most(100):
        assert entered("params", "use", "base") == 2
    assert "params.yaml" in capsys.readouterr().err
    assert (tmp_path / "params.yaml").read_text() == "mine"


@pytest.mark.parametrize("content", ["{", "<<<<<<< HEAD\n{}", "[" * 99999, "\xff"])
def test_damaged_results(tmp_path, content):
    path = tmp_path / "stage2.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(FaceptorError, match=r"stage2\.json"):
        read_json(path)
    path.write_text(json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}


def test_pictures_written_whole_open(tmp_path):
    _picture(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.format == "PNG"
