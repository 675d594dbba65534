"""Weights as trainers write them: what they wrap around the tensors and put beside them, for every reader."""

import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceptor.errors import WeightsError
from faceptor.models import backbone as backbones
from faceptor.models.build import build_encoder
from faceptor.weights.released import faceptor, farl, import_weights, load_farl, load_released, naive
from faceptor.weights.released.checkpoint import read_checkpoint
from faceptor.weights.released.imagenet import load_backbone
from faceptor.weights.released.release import _family
from faceptor.weights.starting import starting_weights
from tests.models.test_facexformer import MOBILENET
from tests.models.test_facexformer import toy_model as facexformer_model
from tests.weights.released_files import CONFIGS, farl_state, official_state, toy_model, toy_sizes


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    toy_sizes(monkeypatch)


def named(state, change):
    return {change(name): value for name, value in state.items()}


def compiled_inside(name):
    first, dot, rest = name.partition(".")
    return f"{first}._orig_mod.{rest}" if dot else name


WRAPPED = {
    "as it is": lambda s: s,
    "compiled": lambda s: named(s, "_orig_mod.{}".format),
    "compiled within": lambda s: named(s, compiled_inside),
    "distributed": lambda s: named(s, "module.{}".format),
    "distributed twice": lambda s: named(s, "module.module.{}".format),
    "distributed and compiled": lambda s: named(s, "module._orig_mod.{}".format),
    "compiled and distributed": lambda s: named(s, "_orig_mod.module.{}".format),
    "Lightning": lambda s: {"state_dict": named(s, "model.{}".format), "epoch": 3, "hyper_parameters": {"lr": 1.0}},
    "Lightning, compiled": lambda s: {"state_dict": named(s, "model._orig_mod.{}".format)},
    "under model": lambda s: {"model": s, "optimizer": {"state": {}}},
    "under state_dict": lambda s: {"state_dict": s, "step": 7},
    "under model, then state_dict": lambda s: {"model": {"state_dict": named(s, "module.{}".format)}},
    "scalars within": lambda s: s | {"epoch": np.float64(3), "best": np.int64(5)},
    "scalars beside": lambda s: {
        "model": s,
        "best": np.float32(0.5),
        "history": np.arange(5),
        "words": np.array(["a"]),
    },
    "array within": lambda s: {
        "state_dict": s | {"mean": np.ones((3, 4), np.float32), "old": np.asfortranarray([[1]])}
    },
}


def faceptor_reads(path):
    return load_released(path).state_dict(), toy_model(faceptor).state_dict()


def naive_reads(path):
    return load_released(path).state_dict(), toy_model(naive).state_dict()


def farl_reads(path):
    encoder = build_encoder(CONFIGS[farl])
    load_farl(encoder, path)
    state = farl_state()
    return {"cls": encoder.cls_token.flatten(), "fc": encoder.blocks[3].mlp.fc1.weight}, {
        "cls": state["visual.class_embedding"],
        "fc": state["visual.transformer.resblocks.3.mlp.c_fc.weight"],
    }


def backbone_reads(path):
    backbone = facexformer_model("age_morph2", backbone=MOBILENET).backbone
    load_backbone(backbone, path)
    return backbone.net.state_dict(), {n: t for n, t in backbone_state().items() if n in backbone.net.state_dict()}


def backbone_state():
    torch.manual_seed(3)
    return backbones.create_net(MOBILENET[0], {}).state_dict()


READERS = {
    "Faceptor": (faceptor_reads, lambda: official_state(faceptor, toy_model(faceptor))),
    "Naive Faceptor": (naive_reads, lambda: official_state(naive, toy_model(naive))),
    "FaRL": (farl_reads, farl_state),
    "backbone": (backbone_reads, backbone_state),
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_wrapping_changes_nothing(tmp_path, wrapping):
    state = farl_state()
    torch.save(WRAPPED[wrapping](state), tmp_path / "file.pth")
    found = read_checkpoint(tmp_path / "file.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("wrapping", ["Lightning, compiled", "scalars beside"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_sees_through_the_wrapping(tmp_path, reader, wrapping):
    read, make = READERS[reader]
    torch.save(WRAPPED[wrapping](make()), tmp_path / "file.pth")
    found, expected = read(tmp_path / "file.pth")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("wrapping", [name for name in WRAPPED if name.startswith(("as", "compiled", "distributed"))])
def test_safetensors_have_prefixes_too(tmp_path, wrapping):
    state = WRAPPED[wrapping](farl_state())
    save_file({name: value.clone() for name, value in state.items()}, tmp_path / "file.safetensors")
    found = read_checkpoint(tmp_path / "file.safetensors")
    assert found.keys() == farl_state().keys()


def test_what_is_skipped_is_told(tmp_path, capsys):
    torch.save(farl_state() | {"best_score": np.float64(3)}, tmp_path / "file.pth")
    read_checkpoint(tmp_path / "file.pth")
    assert "skipped, because no tensors: best_score (of NumPy)" in capsys.readouterr().err


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_published_facexformer_is_recognised_in_any_wrapping(tmp_path, wrapping):
    state = {"linear_fuse.weight": torch.ones(2, 2), "face_decoder.landmarks_token.weight": torch.ones(1, 2)}
    wrapped = WRAPPED[wrapping](state)
    torch.save({"state_dict_backbone": state, "epoch": 1} if wrapped is state else wrapped, tmp_path / "model.pt")
    path = tmp_path / "model.pt"
    assert _family(path, read_checkpoint(path)) == "FaceXFormer"


@pytest.mark.parametrize(
    "odd",
    [3, 2.5, "text", [1, 2], None, {"a": 1}, {1, 2}, np.dtype("f4"), torch.float32],
)
def test_anything_else_among_the_tensors_is_refused(tmp_path, capsys, odd):
    torch.save(farl_state() | {"odd": odd}, tmp_path / "file.pth")
    if isinstance(odd, np.dtype):
        read_checkpoint(tmp_path / "file.pth")
        assert "skipped, because no tensors: odd (of NumPy)" in capsys.readouterr().err
        return
    with pytest.raises(WeightsError, match=r"file\.pth: [^\n]*$"):
        read_checkpoint(tmp_path / "file.pth")


class Malice:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("place", ["within an array", "as a type"])
def test_values_of_numpy_bring_no_code_along(tmp_path, monkeypatch, place):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    odd = np.array([Malice()], dtype=object) if place == "within an array" else Malice()
    torch.save(farl_state() | {"odd": odd}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"code besides tensors"):
        read_checkpoint(tmp_path / "file.pth")
    assert not ran


def test_values_of_numpy_are_taken_only_while_a_file_is_read(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    torch.save(farl_state() | {"odd": np.float64(1)}, tmp_path / "file.pth")
    read_checkpoint(tmp_path / "file.pth")
    assert set(torch.serialization.get_safe_globals()) == before


# --- hostile files ----------------------------------------------------------------------------------------------------


def hollow(shape):
    return torch.zeros(1).expand(*shape)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.int64])
def test_an_expanded_tensor_takes_no_memory(tmp_path, kind):
    torch.save(
        farl_state() | {"visual.ln_post.weight": torch.zeros(1, dtype=kind).expand(2**38)}, tmp_path / "file.pth"
    )
    assert (tmp_path / "file.pth").stat().st_size < 1e6
    for read in (read_checkpoint, load_released):
        with pytest.raises(WeightsError, match=r"visual\.ln_post\.weight"):
            read(tmp_path / "file.pth")


def test_one_tensor_under_many_names_takes_no_memory(tmp_path):
    one = torch.zeros(300_000)
    torch.save({f"visual.{number}": one for number in range(2000)}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"file\.pth: .*GiB"):
        read_checkpoint(tmp_path / "file.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kind", ["fifo", "zero"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, suffix, kind):
    path = tmp_path / f"file.{suffix}"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (
        load_released,
        lambda path: import_weights(path, tmp_path / "out"),
        lambda path: import_weights(path, tmp_path / "out", backbone=MOBILENET[0]),
        lambda path: load_farl(build_encoder(CONFIGS[farl]), path),
        lambda path: load_backbone(facexformer_model("age_morph2", backbone=MOBILENET).backbone, path),
        lambda path: starting_weights(CONFIGS[naive].model_copy(update={"encoder": CONFIGS[farl].model_copy(
            update={"pretrained": path})})),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=f"file.{suffix}"):
            read(path)
    assert not (tmp_path / "out").exists()
