"""What can be wrong with a published file: every complaint is one line that names the file and the tensors."""

import os
import pickle
import zipfile
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from released_files import farl_state, official_state, stage2_states, toy_model, toy_sizes, write

from faceptor.errors import ConfigError, WeightsError
from faceptor.models.released import faceptor, farl, load_released, naive, read_release


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


@pytest.mark.parametrize("legacy", [True, False, None])
def test_code_in_a_file_is_not_run(tmp_path, legacy):
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    content = {"state_dict": farl_state(), "step": Malice(f"touch {trace}")}
    if legacy is None:
        path.write_bytes(pickle.dumps(content, protocol=2))
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
