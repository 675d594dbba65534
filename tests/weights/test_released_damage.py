"""What can be wrong with a published file: every complaint is one line that names the file and the tensors."""

import os
import pickle
import zipfile
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faceptor.errors import ConfigError, WeightsError
from faceptor.weights.released import faceptor, farl, import_weights, load_released, naive, read_release, release
from faceptor.weights.released.checkpoint import read_checkpoint
from tests.weights.released_files import farl_state, official_state, stage2_states, toy_model, toy_sizes, write


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    toy_sizes(monkeypatch)


KNOWN = {
    "Faceptor": lambda: official_state(faceptor, toy_model(faceptor)),
    "stage 2": lambda: stage2_states(1)[0],
    "Naive Faceptor": lambda: official_state(naive, toy_model(naive)),
    "FaRL": farl_state,
}


@cache
def known_state(kind: str) -> dict[str, torch.Tensor]:
    return KNOWN[kind]()


def needed(state) -> list[str]:
    """Tensors that a model is made of."""
    unused = (
        "losses_module.",
        *farl.PRETEXT,
        "token_embedding.",
        "transformer.",
        "heads_module.interpreters.map_v2.mask_map.1.ln.",
    )
    return [name for name in state if not name.startswith(unused)]


@pytest.mark.parametrize("kind", KNOWN)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), damage=st.sampled_from(["missing", "misshapen", "extra"]))
def test_a_tensor_that_does_not_fit_is_named(tmp_path, kind, data, damage):
    state = dict(known_state(kind))
    name = data.draw(st.sampled_from(needed(state)))
    if damage == "missing":
        del state[name]
    elif damage == "misshapen":
        state[name] = torch.zeros(*state[name].shape, 2)
    else:
        name = f"{name.rpartition('.')[0]}.surplus"
        state[name] = torch.zeros(2)
    with pytest.raises(WeightsError) as caught:
        read_release(write(tmp_path / "file.pth", state))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "file.pth")) and "\n" not in message
    assert name in message or _partner(name) in message, (name, message)


def _partner(name: str) -> str:
    """Without the one of two tensors that names a task, the other is the surplus one."""
    pairs = {"query_feat": "query_embed", "conv_seg.weight": "conv_seg.bias", "conv_seg.bias": "conv_seg.weight"}
    return next((name.replace(old, new) for old, new in pairs.items() if old in name), name)


@pytest.mark.parametrize("kind", KNOWN)
def test_numbers_must_be_finite(tmp_path, kind):
    state = KNOWN[kind]()
    name = needed(state)[3]
    state[name] = torch.full_like(state[name], torch.nan)
    with pytest.raises(WeightsError, match=f"{name}: expected finite numbers"):
        read_release(write(tmp_path / "file.pth", state))


CHANGES = {
    "double precision": (lambda t: t.double(), "expected float32, found float64"),
    "whole numbers": (lambda t: t.int(), "expected float32, found int32"),
    "complex numbers": (lambda t: t.to(torch.complex64), "expected float32, found complex64"),
    "sparse": (lambda t: t.to_sparse(), "expected plain dense tensors"),
    "no numbers": (lambda t: t.to("meta"), "expected plain dense tensors"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KNOWN)
def test_numbers_of_another_type(tmp_path, kind, change):
    state = dict(known_state(kind))
    name = [name for name in needed(state) if state[name].is_floating_point()][-1]
    alter, message = CHANGES[change]
    state[name] = alter(state[name])
    with pytest.raises(WeightsError, match=f"{name}:? {message}"):
        read_release(write(tmp_path / "file.pth", state))


@pytest.mark.parametrize("kind", KNOWN)
def test_half_precision_is_widened(tmp_path, kind):
    state = {name: t.half() if t.is_floating_point() else t for name, t in known_state(kind).items()}
    wide = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    short, full = (read_checkpoint(write(tmp_path / "file.pth", tensors)) for tensors in (state, wide))
    assert short.keys() == full.keys() and all(short[name].equal(full[name]) for name in full)


NORM = "heads_module.interpreters.map_v2.mask_map.1"
SIDES = {  # what the model does not take from the file must be as published all the same
    ("Faceptor", f"{NORM}.ln.weight"): (None, "1 missing: {name}"),
    ("stage 2", f"{NORM}.ln.bias"): (torch.ones(3), r"1 misshapen: {name} expected \(16,\), found \(3,\)"),
    ("Faceptor", f"{NORM}.ln.surplus"): (torch.ones(3), "1 extra: {name}"),
    ("Faceptor", "losses_module.surplus"): (torch.ones(3), "1 tensors without a counterpart here: {name}"),
    ("Naive Faceptor", "losses_module.surplus"): (torch.ones(3), "1 tensors without a counterpart here: {name}"),
    ("Naive Faceptor", "losses_module.losses.x.classifier"): (torch.ones(3, 4), r"{name}: expected \(people, 12\)"),
    ("FaRL", "surplus.weight"): (torch.ones(3), "1 tensors without a counterpart here: {name}"),
}


@pytest.mark.parametrize(("kind", "name"), SIDES)
def test_what_is_left_out_is_checked_too(tmp_path, kind, name):
    value, message = SIDES[kind, name]
    state = dict(known_state(kind))
    state |= {name: value}
    state = {key: tensor for key, tensor in state.items() if tensor is not None}
    with pytest.raises(WeightsError, match=message.format(name=name)):
        read_release(write(tmp_path / "file.pth", state))


def test_stacked_tensors_are_measured_as_the_file_has_them(tmp_path):
    name = "heads_module.decoder.transformer_cross_attention_layers.0.multihead_attn.in_proj_weight"
    state = known_state("Faceptor") | {name: torch.ones(6, 2)}
    with pytest.raises(WeightsError, match=rf"1 misshapen: {name} expected \(48, 16\), found \(6, 2\)"):
        read_release(write(tmp_path / "file.pth", state))


def test_a_name_with_and_without_its_prefix(tmp_path):
    state = known_state("FaRL")
    torch.save({**state, "module.visual.proj": torch.ones(2)}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"module\.visual\.proj: there with and without"):
        read_release(tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"backbone_module.visual.proj": torch.ones(2), "heads_module.other.x": torch.ones(2)}, "not a release"),
        ({"conv1.weight": torch.ones(2)}, "not a release that is known here, its tensors are conv1.weight; exp"),
        ({"state_dict": {"visual.proj": "text"}}, "expected named tensors"),
        ({"state_dict": {}}, "expected named tensors"),
        ([torch.ones(2)], "expected named tensors"),
        (torch.ones(2), "expected named tensors"),
        ({"backbone_module.visual.proj": torch.ones(2)}, "not a release that is known here"),
    ],
)
def test_a_file_of_no_known_kind(tmp_path, content, message):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=message):
        read_release(tmp_path / "file.pth")


@pytest.mark.parametrize("legacy", [True, False])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_file(tmp_path, legacy, share):
    torch.save(farl_state(), tmp_path / "whole.pth", _use_new_zipfile_serialization=not legacy)
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "part.pth").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=r"part\.pth: [^\n]*$"):
        read_release(tmp_path / "part.pth")


class Malice:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("legacy", [True, False, None])
def test_code_in_a_file_is_not_run(tmp_path, legacy):
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    content = {"state_dict": farl_state(), "step": Malice(f"touch {trace}")}
    if legacy is None:
        path.write_bytes(pickle.dumps(content, protocol=4))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError) as caught:
        load_released(path)
    assert not trace.exists()
    assert "weights_only" not in str(caught.value)  # no advice to drop the guard
    if legacy is not None:
        assert "holds code besides tensors (posix.system)" in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(WeightsError, match="not found; download"):
        load_released(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="a folder, expected a published file"):
        load_released(tmp_path)
    (tmp_path / "page.pth").write_text("<html>sign in</html>")
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        load_released(tmp_path / "page.pth")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("readme", "no weights")
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        load_released(tmp_path / "other.pth")


def test_a_damaged_record_is_noticed(tmp_path):
    path = write(tmp_path / "file.pth", known_state("FaRL"))
    content = bytearray(path.read_bytes())
    at = content.index(known_state("FaRL")["visual.conv1.weight"].numpy().tobytes())
    content[at : at + 4] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"data/\d+ in it fails its checksum"):
        read_release(path)


@pytest.mark.parametrize("place", ["file", "file/below", "full"])
def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, place):
    path = write(tmp_path / "weights.pth", known_state("Naive Faceptor"))
    (tmp_path / "file").write_text("mine")
    if place == "full":

        def save_model(model, folder, provenance):
            (folder / "weights.safetensors").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(release, "save_model", save_model)
    before = sorted(tmp_path.iterdir())
    with pytest.raises((WeightsError, ConfigError), match=r"a file, expected a folder|cannot be written"):
        import_weights(path, tmp_path / place)
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "file").read_text() == "mine"


def test_files_of_different_kinds_are_not_mixed(tmp_path):
    one = write(tmp_path / "one.pth", official_state(naive, toy_model(naive)))
    two = write(tmp_path / "two.pth", official_state(faceptor, toy_model(faceptor)))
    with pytest.raises(WeightsError, match=r"one.pth \(Naive Faceptor\), .*two.pth \(Faceptor\): files of different"):
        load_released([one, two])
    with pytest.raises(ConfigError, match="Naive Faceptor is one file, found 2"):
        load_released([one, one])
    with pytest.raises(ConfigError, match="Naive Faceptor has no Layer-Attention"):
        load_released(one, tasks=["age_morph2"])
    with pytest.raises(ConfigError, match="found the string 'age_morph2'"):
        load_released(one, tasks="age_morph2")
    with pytest.raises(ConfigError, match="at least one file"):
        load_released([])
