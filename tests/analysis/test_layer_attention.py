import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceptor.analysis import figures
from faceptor.analysis import layer_attention as la
from faceptor.errors import ConfigError, WeightsError
from faceptor.models.build import build_model
from faceptor.tasks import task
from tests.toy import MODEL

NAME = "expression_rafdb"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(MODEL, [task(NAME), task("age_morph2"), task("landmarks_300w")]).eval()


@pytest.fixture
def faces():
    return torch.rand(5, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def state(mode: str = "paper", *, kept: bool = True, seed: int = 4) -> la.Trained:
    """Stage 2 of a toy task: level vectors far from their start, so that they matter."""
    donor = build_model(MODEL, [task(NAME)])
    donor.enable_layer_attention(NAME, mode)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=generator)
        for name, tensor in donor.state_dict().items()
        if name.startswith("layer_attention.")
    }
    gain = 0.1 if kept else -0.1
    verdict = {
        "mode": mode,
        "judged": True,
        "kept": kept,
        "best_step": 10,
        "samples": 40,
        "interval": [gain - 0.05, None],
    }
    verdict |= {"skill_stage1": 0.5, "skill_stage2": 0.5 + gain, "gain": gain}
    return la.Trained(NAME, mode, tensors, verdict | {"trainable_parameters": 96}, "toy")


def measured(model, faces, **settings):
    labels = task(NAME).labels
    return la.measure_states(model, state(**settings), faces, batch=2, seed=7, labels=labels, states=la.STATES)


def wide(table, value: str, **where) -> torch.Tensor:
    """(H, N, L) of one decoder layer and state."""
    for column, chosen in where.items():
        table = table[table[column] == chosen]
    shape = (table["head"].nunique(), table["query"].nunique(), table["encoder_layer"].nunique())
    ordered = table.sort_values(["head", "query", "encoder_layer"])
    return torch.from_numpy(ordered[value].to_numpy().reshape(shape).copy())


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_mass_sums_to_one_and_stage_1_gives_all_to_the_top(model, faces, mode):
    table = measured(model, faces, mode=mode)
    keys = ["state", "decoder_layer", "head", "query"]
    assert len(table) == 3 * 2 * 2 * 7 * 6  # states, decoder layers, heads, queries, encoder layers
    assert np.allclose(table.groupby(keys)["mass"].sum(), 1, atol=1e-6)
    assert np.allclose(table.groupby(keys)["prior"].sum(), 1, atol=1e-6)
    before = table[table["state"] == la.STAGE1]
    assert np.allclose(before.loc[before["encoder_layer"] == 6, "mass"], 1, atol=1e-6)
    assert (before.loc[before["encoder_layer"] < 6, "mass"] == 0).all()
    assert before.loc[before["encoder_layer"] < 6, "preference"].isna().all()


def test_preference_of_the_first_decoder_layer_is_q_times_l(model, faces):
    trained = state()
    table = la.measure_states(model, trained, faces, batch=3, seed=7, labels=task(NAME).labels)
    level = trained.tensors[f"layer_attention.{NAME}.level"]
    attention = model.decoder.layers[0].cross_attention
    query = model.queries[NAME].content + model.queries[NAME].position  # H^0 + E
    q = (query @ attention.query.weight.T + attention.query.bias).detach().reshape(7, 2, 8)
    k = (level @ attention.key.weight.T).detach().reshape(6, 2, 8)
    expected = torch.einsum("nhd,lhd->hnl", q, k) / 8**0.5
    expected -= expected.mean(dim=-1, keepdim=True)
    found = wide(table, "preference", state=la.STAGE2, decoder_layer=1)
    assert torch.allclose(found, expected.double(), atol=1e-5)


def test_preference_deeper_uses_what_the_layer_before_gave(model, faces):
    trained, seen = state(), []
    attention = model.decoder.layers[1].cross_attention
    with la.in_state(model, la.STAGE2, trained, seed=7):
        hook = attention.query.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
        table = la.measure(model, NAME, faces, batch=5)
        hook.remove()
    level = trained.tensors[f"layer_attention.{NAME}.level"]
    q = (seen[0] @ attention.query.weight.T + attention.query.bias).detach().reshape(5, 7, 2, 8)
    k = (level @ attention.key.weight.T).detach().reshape(6, 2, 8)
    expected = (torch.einsum("bnhd,lhd->bhnl", q, k) / 8**0.5).mean(0)
    expected -= expected.mean(dim=-1, keepdim=True)
    assert torch.allclose(wide(table, "preference", decoder_layer=2), expected.double(), atol=1e-5)


def test_batches_do_not_change_the_means(model, faces):
    with la.in_state(model, la.STAGE2, state(), seed=7):
        one, many = (la.measure(model, NAME, faces, batch=size) for size in (5, 2))
    for column in ("mass", "mass_std", "preference", "prior"):
        assert np.allclose(one[column], many[column], atol=1e-6)
    spread = la.measure(model, NAME, faces[:1], batch=1)["mass_std"]
    assert np.allclose(spread, 0, atol=1e-6)


def test_one_face_has_the_prior_when_all_tokens_match_alike(model, faces):
    # Without key weights for content nothing but L_t tells tokens apart: mass is the softmax of the preference.
    trained = state()
    with la.in_state(model, la.STAGE2, trained, seed=7), torch.no_grad():
        model.decoder.projection.weight.zero_()
        for parameter in model.decoder.position.parameters():
            parameter.zero_()
        table = la.measure(model, NAME, faces, batch=5)
    assert np.allclose(table["mass"], table["prior"], atol=1e-6)


def test_untrained_is_where_training_started_and_the_model_comes_back(model, faces):
    trained = state()
    torch.manual_seed(7)
    model.enable_layer_attention(NAME, "paper")
    drawn = model.layer_attention[NAME].level.detach().clone()
    with la.in_state(model, la.UNTRAINED, trained, seed=7):
        assert torch.equal(model.layer_attention[NAME].level, drawn)
    with la.in_state(model, la.STAGE2, trained, seed=7):
        assert torch.equal(model.layer_attention[NAME].level, trained.tensors[f"layer_attention.{NAME}.level"])
    assert model.layer_attention_key(NAME) == ""


def test_trained_tasks_are_read_kept_or_not(tmp_path):
    for kept in (True, False):
        toy, folder = state(kept=kept), tmp_path / str(kept) / NAME
        folder.mkdir(parents=True)
        save_file(dict(toy.tensors), folder / "layer_attention.safetensors")
        (folder / "verdict.json").write_text(json.dumps(dict(toy.verdict)))
        found = la.load_trained(tmp_path / str(kept), [NAME])
        assert found[NAME].tensors.keys() == toy.tensors.keys()
        assert la.verdicts(found)["kept"].tolist() == [kept]
        assert la.verdicts(found)["gain"].iloc[0] == pytest.approx(0.1 if kept else -0.1)
    with pytest.raises(WeightsError, match="train stage2 --task age_morph2"):
        la.load_trained(tmp_path / "True", ["age_morph2"])
    with pytest.raises(ConfigError, match="found none"):
        la.load_trained(tmp_path, [])


def test_tensors_of_another_model_are_refused(model):
    toy = state()
    wrong = la.Trained(
        NAME, "paper", {f"layer_attention.{NAME}.level": torch.zeros(6, 8)}, toy.verdict, "w.safetensors"
    )
    with pytest.raises(WeightsError, match=r"w\.safetensors.*misshapen"), la.in_state(model, la.STAGE2, wrong, seed=0):
        pass
    assert model.layer_attention_key(NAME) == ""


def test_summaries_and_words(model, faces):
    table = measured(model, faces, kept=False)
    use = la.use_of_layers(table)
    assert list(use.index) == [(NAME, name) for name in la.STATES]
    assert use.loc[(NAME, la.STAGE1), "layers in use"] == pytest.approx(1)
    assert 1 < use.loc[(NAME, la.STAGE2), "layers in use"] <= 6
    by_layer = la.mass_by_layer(table)
    assert np.allclose(by_layer.groupby(["state", "decoder_layer"])["mass"].sum(), 1, atol=1e-6)
    words = la.conclusions(table, {NAME: state(kept=False)})
    assert "not kept" in words[0] and "0 of 1 tasks: none" in words[-1]


def test_what_was_not_judged_says_so(model, faces):
    """`validation: 0`: no sample is left to judge by."""
    trained = state()
    verdict = {key: value for key, value in trained.verdict.items() if key in ("mode", "kept", "trainable_parameters")}
    found = {NAME: replace(trained, verdict=verdict | {"judged": False})}
    assert la.verdicts(found)["gain"].isna().all()
    assert "not judged" in la.conclusions(measured(model, faces), found)[0]


def test_figures_have_titles_and_labelled_axes(model, faces):
    table = measured(model, faces)
    for figure in (
        figures.mass_bars(la.mass_by_layer(table)),
        figures.head_maps(la.mass_by_head(table)),
        figures.preference_maps(la.by_query(table)),
        figures.query_mass_maps(la.by_query(table)),
    ):
        assert figure.get_suptitle()
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_faces_are_spread_over_the_validation_split(monkeypatch):
    from faceptor.pipeline.experiment import preset
    from tests.toy import FakeSplit

    split = FakeSplit(0, size=10)
    taken = []
    monkeypatch.setattr(la, "held_out_split", lambda folder: "val")
    monkeypatch.setattr(la, "open_split", lambda folder, name: Recorder(split, taken))
    images = la.validation_faces(preset("embedded"), task(NAME), root=la.Path("/nowhere"), count=4)
    assert images.shape == (4, 3, 64, 64) and images.min() >= 0 and images.max() <= 1.001
    assert taken == [0, 3, 6, 9]


class Recorder:
    def __init__(self, split, taken):
        self.split, self.taken = split, taken

    def __len__(self):
        return len(self.split)

    def __getitem__(self, index):
        self.taken.append(index)
        return self.split[index]
