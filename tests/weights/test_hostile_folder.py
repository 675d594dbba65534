"""A model folder from anywhere: whatever it holds, one line that names the file, bounded memory, and no waiting."""

import copy
import json
import os
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceptor.errors import WeightsError, WriteError
from faceptor.io.regular import sha256_of
from faceptor.weights.folder import load_model, model_hash, save_model
from tests.limits import files_of_at_most
from tests.models.toy_models import toy_model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    model = toy_model(tasks=("age_morph2", "parsing_lapa"))
    model.enable_layer_attention("age_morph2", "paper")
    model.crops["age_morph2"] = {"kind": "whole", "size": 32, "framing": [-0.5, -0.5, 0.5, 0.5]}
    save_model(model, folder, provenance={"data": {"age_morph2": {"generated": True}}})
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """A copy to spoil."""
    for path in good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refused(folder, *words):
    """Loading fails in one line that names the file, without taking memory for what is claimed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 900, line
    assert str(folder) in line
    assert all(word in line for word in words), (words, line)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
    return line


def put(description, path, value):
    """Set what lies at a dotted path; numbers are places in lists."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        description = description[part]
    if value is DELETE:
        del description[last]
    else:
        description[last] = value


DELETE = object()
DEEP = json.loads("[" * 500 + "]" * 500)
WRONG = [  # where, what; and what the line must name beside the file
    ("model", [1], "model"),
    ("model", None, "model"),
    ("model.name", "hydra", "model"),
    ("model.name", {"a": 1}, "model"),
    ("model.encoder.width", 2**20, "encoder"),
    ("model.encoder.width", "wide", "encoder.width"),
    ("model.encoder.width", 10**19, "model"),
    ("model.inputs.face.std", [1e-300] * 3, "inputs.face.std"),
    ("model.inputs.face.mean", [1e300, 0, 0], "inputs.face.mean"),
    ("model.inputs.dense.size", 8 * 10**6, "inputs.dense.size"),
    ("model.encoder.grid", 2**20, "grid"),
    ("model.encoder.mlp_ratio", 1e300, "model.json"),
    ("model.decoder.hidden", 2**40, "decoder.hidden"),
    ("model.decoder.depth", 10**6, "decoder.depth"),
    ("model.embedding", 2**62, "model.json"),
    ("model.stranger", 1, "stranger"),
    ("tasks", {"a": 1}, "tasks"),
    ("tasks.0", "age", "tasks[0]"),
    ("tasks.0.kind", "telepathy", "telepathy"),
    ("tasks.0.kind", ["age"], "tasks[0].kind"),
    ("tasks.0.labels", [1, 2], "tasks[0].labels"),
    ("tasks.0.labels", "abc", "tasks[0].labels"),
    ("tasks.0.options", [], "tasks[0].options"),
    ("tasks.0.name", "a.b", "a.b"),
    ("tasks.0.extra", 1, "extra"),
    ("tasks.0.name", DELETE, "tasks[0]"),
    ("tasks.0.name", "a/b", "tasks[0].name"),
    ("tasks.0.options.first", -1, "options: first"),
    ("tasks.0.options.first", "0", "options: first"),
    ("tasks.0.options.stranger", 1, "options: stranger"),
    ("tasks.0.labels", [], "labels"),
    ("tasks.1.options.background", DELETE, "options: background"),
    ("tasks.1.options.background", 11, "options: background"),
    ("tasks.1.options.ignore", 3, "options: ignore"),
    ("tasks.1.options.scheme", "LaPA", "scheme"),
    ("tasks.1.options.scheme", {"flip_permutation": 5}, "scheme"),
    ("tasks.1.options.scheme", {"flip_permutation": [1] * 11}, "options: scheme"),
    ("tasks.1.name", "age_morph2", "age_morph2"),
    ("structure", [], "structure"),
    ("structure.layer_attention", 5, "model.json"),
    ("structure.layer_attention.0.mode", "telepathy", "telepathy"),
    ("structure.layer_attention.0.tasks", DELETE, "model.json"),
    ("crops", [], "crops"),
    ("crops.age_morph2", "whole", "crops.age_morph2"),
    ("crops.age_morph2.size", 10**6, "crops.age_morph2"),
    ("crops.age_morph2.kind", "star", "crops.age_morph2"),
    ("crops.age_morph2.kind", ["box"], "crops.age_morph2"),
    ("crops.age_morph2.scale", 1e-300, "crops.age_morph2"),
    ("crops.age_morph2.framing", [0, 0, 1], "crops.age_morph2.framing"),
    ("crops.age_morph2.framing", [0, 0, 1e300, 1], "crops.age_morph2.framing"),
    ("crops.age_morph2.framing", ["0", 0, 1, 1], "crops.age_morph2.framing"),
    ("weights", 5, "weights"),
    ("weights", DELETE, "weights"),
    ("provenance", 5, "provenance"),
    ("provenance.data", 5, "provenance.data"),
    ("provenance.data.age_morph2", 5, "provenance.data.age_morph2"),
    ("provenance.note", DEEP, "deep"),
    ("format", [1], "format"),
]


@pytest.mark.parametrize(("where", "value", "word"), WRONG)
def test_a_description_with_a_wrong_value(folder, where, value, word):
    path = folder / "model.json"
    description = copy.deepcopy(json.loads(path.read_text()))
    put(description, where, value)
    path.write_text(json.dumps(description))
    refused(folder, word)


TEXTS = {
    "a number of 6,000 digits": '{"format": ' + "1" * 6000 + "}",
    "100,000 brackets": "[" * 100_000,
    "no section": "[1, 2]",
    "NaN": '{"format": NaN}',
    "another encoding": "\ufeff{}".encode("utf-16"),
    "bytes": b"\xff\xfe\x00",
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_description_that_is_no_json(folder, text):
    (folder / "model.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(folder, "model.json")


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("kind", ["fifo", "zero", "folder", "giant"])
def test_only_regular_files_of_a_bounded_size(folder, name, kind):
    path = folder / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    refused(folder, name)
    with pytest.raises(WeightsError):
        model_hash(folder)


def rewrite(folder, change):
    """Change the tensors, and let the description agree with the file."""
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    description = json.loads((folder / "model.json").read_text())
    description["weights"] = sha256_of(path, largest=1 << 30)
    (folder / "model.json").write_text(json.dumps(description))


@pytest.mark.parametrize("kind", [torch.int8, torch.float16, torch.float64, torch.bool])
def test_weights_of_another_type_are_not_cast(folder, kind):
    rewrite(folder, lambda tensors: tensors.update({"decoder.level": tensors["decoder.level"].to(kind)}))
    refused(folder, "decoder.level", str(kind).removeprefix("torch."), "weights.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_must_be_finite(folder, value):
    rewrite(folder, lambda tensors: tensors["decoder.level"].fill_(value))
    refused(folder, "decoder.level", "finite")


@pytest.mark.parametrize(
    "options",
    [
        {"pretrained": True},
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained_cfg_overlay": {"file": "/etc/passwd"}},
        {"depths": [10**9, 1, 1, 1]},
        {"dims": [2**20] * 4},
        {"dims": "many"},
        {"act_layer": {"a": 1}},
    ],
)
def test_a_backbone_reads_no_file_and_takes_no_memory(tmp_path, options):
    from tests.models.test_facexformer import toy_model as facexformer

    save_model(facexformer("age_morph2"), tmp_path)
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    description["model"]["backbone"]["options"] |= options
    path.write_text(json.dumps(description))
    refused(tmp_path, "model.json" if "dims" not in options else "")


# --- saving ----------------------------------------------------------------------------------------------------------


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_full_disk_leaves_the_old_folder(folder, name):
    before, note = content(folder), "x" * 2_000_000
    size = 1000 if name == "weights.safetensors" else 1_000_000  # the weights fit, the description does not
    with files_of_at_most(size), pytest.raises(WriteError) as caught:
        save_model(toy_model(tasks=("age_utkface",)), folder, provenance={"note": note})
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert content(folder) == before
    assert "age_morph2" in load_model(folder).tasks


def test_a_disk_that_cannot_be_written(folder, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    before = content(folder)
    monkeypatch.setattr("faceptor.io.writing.os.replace", refuse)
    with pytest.raises(WriteError, match="Read-only"):
        save_model(toy_model(tasks=("age_utkface",)), folder)
    assert content(folder) == before


def test_a_score_that_is_no_number_is_kept_as_none(tmp_path):
    save_model(toy_model(tasks=("age_utkface",)), tmp_path, provenance={"validation_score": float("nan")})
    assert json.loads((tmp_path / "model.json").read_text())["provenance"] == {"validation_score": None}
    load_model(tmp_path)
