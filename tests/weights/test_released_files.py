"""Published files: recognised by their tensors, accounted for tensor by tensor, written as folders that stand alone."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import faceptor as package
from faceptor.cli import app
from faceptor.config import EncoderConfig
from faceptor.errors import ConfigError, FaceptorError, WeightsError
from faceptor.models.build import build_encoder
from faceptor.pipeline.experiment import preset
from faceptor.tasks import task
from faceptor.weights.folder import load_model
from faceptor.weights.loading import plan
from faceptor.weights.released import (
    faceptor,
    facexformer,
    farl,
    import_weights,
    load_farl,
    load_released,
    naive,
    read_release,
)
from faceptor.weights.released.published import TASK_NAMES
from tests.models.model_goldens import released_state
from tests.weights.released_files import (
    BASE,
    CONFIGS,
    FULL,
    farl_state,
    official_state,
    stage2_states,
    toy_model,
    toy_sizes,
    write,
)

QUERIED = tuple(name for name in FULL if name != "recognition_ms1mv3")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    toy_sizes(monkeypatch)


def same_weights(model, other) -> bool:
    mine, theirs = model.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# --- what comes out is what went in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    ("module", "tasks", "title"),
    [
        (faceptor, BASE, "Faceptor, stage 1, 7 tasks"),
        (faceptor, FULL, "Faceptor, stage 1, 13 tasks"),
        (naive, BASE, "Naive Faceptor, 7 tasks"),
    ],
    ids=["base", "full", "naive"],
)
def test_a_file_becomes_its_model(tmp_path, module, tasks, title, wrapped):
    model = toy_model(module, tasks=tasks)
    path = write(tmp_path / "weights.pth", official_state(module, model), wrapped=wrapped)
    release = read_release(path)
    assert release.title == title and set(release.model.tasks) == set(tasks)
    assert same_weights(release.model, model) and not release.model.training
    (left_out,) = release.dropped
    assert (left_out.what, left_out.tensors, left_out.numbers) == ("classifier of recognition", 1, 36)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        for name, values in model(images).items():
            assert torch.equal(values, release.model(images)[name])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(QUERIED), unique=True, min_size=1, max_size=5), st.integers(0, 3))
def test_any_selection_of_tasks_survives(tasks, seed):
    model = toy_model(faceptor, tasks=[*tasks, "recognition_ms1mv3"], seed=seed)
    assert same_weights(faceptor.from_states([official_state(faceptor, model)], origins=["a file"]), model)


def test_reading_draws_nothing(tmp_path):
    path = write(tmp_path / "naive.pth", official_state(naive, toy_model(naive)))
    torch.manual_seed(3)
    load_released(path)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


def test_full_has_the_published_size_and_tasks(monkeypatch):
    """The real sizes, without memory: every tensor of the published stage-1 Full file has its place."""
    monkeypatch.undo()
    shapes = {name: value.to("meta") for name, value in released_state("faceptor_full").items()}
    monkeypatch.setattr(faceptor, "built_with", lambda make, tensors, *, origin: plan(make))
    model = faceptor.from_states([shapes], origins=["full"])
    assert sum(parameter.numel() for parameter in model.parameters()) == 103_335_681
    assert set(model.tasks) == set(FULL) and len(FULL) == 13


# --- stage 2 ---------------------------------------------------------------------------------------------------------


def test_one_stage_2_file_serves_every_query_or_those_named(tmp_path):
    (state,) = stage2_states(1)
    path = write(tmp_path / "stage2.pth", state)
    everyone = load_released(path)
    ((key, level),) = everyone.layer_attention.items()
    assert set(key.split("+")) == set(QUERIED) and level.mode == "released"
    some = load_released(path, tasks=["age_morph2", "affect_rafdb"])  # the published name will do
    assert list(some.layer_attention) == ["age_morph2+expression_rafdb"]
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        all_raw, some_raw = everyone(images), some(images)
        top = load_released(write(tmp_path / "1.pth", {n: t for n, t in state.items() if "new_" not in n}))(images)
    for name in FULL:
        expected = all_raw if name in ("age_morph2", "expression_rafdb") else top
        torch.testing.assert_close(some_raw[name], expected[name], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(all_raw["age_utkface"], top["age_utkface"], atol=1e-4)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(QUERIED), unique=True, min_size=2, max_size=4), st.booleans())
def test_merged_files_answer_as_each_alone(tasks, with_stage1):
    states = stage2_states(len(tasks))
    alone = {
        name: faceptor.from_states([state], tasks=[name], origins=[name])
        for name, state in zip(tasks, states, strict=True)
    }
    origins = list(tasks)
    if with_stage1:
        states = [{n: t for n, t in states[0].items() if "new_" not in n}, *states]
        origins = ["stage 1", *tasks]
    merged = faceptor.from_states(states, tasks=tasks, origins=origins)
    assert list(merged.layer_attention) == tasks
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        raw = merged(images)
        for name, model in alone.items():
            torch.testing.assert_close(raw[name], model(images, [name])[name], atol=1e-5, rtol=1e-5)


def test_files_of_different_models_do_not_merge():
    first, second = stage2_states(2)
    second["heads_module.decoder.level_embed.weight"] = second["heads_module.decoder.level_embed.weight"] + 1
    second["heads_module.extra"] = torch.ones(1)
    with pytest.raises(WeightsError, match=r"b: 2 tensors outside Layer-Attention differ from a: heads_module"):
        faceptor.from_states([first, second], tasks=["age_morph2", "age_utkface"], origins=["a", "b"])


@pytest.mark.parametrize(
    ("count", "tasks", "message"),
    [
        (2, (), r"2 stage-2 files, but 0 tasks are named; .* name one per file"),
        (2, ("age_morph2",), "2 stage-2 files, but 1 tasks are named"),
        (2, ("age_morph2", "age_morph2"), "each may be named once"),
        (2, ("age_morph2", "age"), "task 'age' has no queries in this file; expected some of .*age_morph2"),
        (1, ("recognition_ms1mv3",), "task 'recognition_ms1mv3' has no queries"),
    ],
)
def test_tasks_of_stage_2_are_checked(count, tasks, message):
    with pytest.raises(ConfigError, match=message):
        faceptor.from_states(stage2_states(count), tasks=tasks, origins=[f"file {i}" for i in range(count)])


def test_stage_1_takes_no_task_and_no_company():
    state = official_state(faceptor, toy_model(faceptor))
    with pytest.raises(ConfigError, match="a stage-1 file has no Layer-Attention"):
        faceptor.from_states([state], tasks=["age_morph2"], origins=["base.pth"])
    with pytest.raises(ConfigError, match="expected one stage-1 file at most, found 2"):
        faceptor.from_states([state, state], origins=["a", "b"])


# --- FaceXFormer -----------------------------------------------------------------------------------------------------


def test_facexformer_is_recognised_below_its_own_wrapping(tmp_path, monkeypatch):
    seen = {}

    def from_state(state, *, origin):
        seen.update(names=list(state), origin=origin)
        return toy_model(naive)

    monkeypatch.setattr(facexformer, "from_state", from_state)
    torch.save({"state_dict_backbone": {"face_decoder.a": torch.ones(2)}}, tmp_path / "model.pt")
    release = read_release(tmp_path / "model.pt")
    assert seen == {"names": ["face_decoder.a"], "origin": str(tmp_path / "model.pt")}
    assert release.title.startswith("FaceXFormer") and release.licence.weights == "not stated" and not release.dropped


# --- FaRL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extras", [True, False])
def test_farl_file_starts_an_encoder(tmp_path, extras):
    state = farl_state()
    path = write(tmp_path / "farl.pth", state)
    encoder = build_encoder(EncoderConfig(**CONFIGS[farl].model_dump() | {"extras": extras}))
    load_farl(encoder, path)
    table = state["visual.positional_embedding"]
    torch.testing.assert_close(encoder.pos_embed, farl.resize_table(table, grid=4))
    assert torch.equal(encoder.cls_token[0, 0], state["visual.class_embedding"])

    imported, again = tmp_path / "imported", build_encoder(EncoderConfig(**CONFIGS[farl].model_dump()))
    release = import_weights(path, imported)
    assert release.model is None and [part.tensors for part in release.dropped] == [4]
    path.unlink()
    for source in (imported, imported / "encoder.safetensors"):
        load_farl(again, source)
        assert all(torch.equal(again.state_dict()[name], value) for name, value in encoder.state_dict().items())


def test_farl_is_no_model(tmp_path):
    path = write(tmp_path / "farl.pth", farl_state())
    with pytest.raises(WeightsError, match=r"FaRL pre-training, an encoder, which has no tasks; .*encoder.pretrained"):
        load_released(path)
    import_weights(path, tmp_path / "farl")
    with pytest.raises(WeightsError, match=r"a pre-trained encoder without tasks.*encoder.pretrained: .*safetensors"):
        load_model(tmp_path / "farl")
    about = json.loads((tmp_path / "farl/encoder.json").read_text())
    assert about["licence"]["weights"] == "MIT" and about["files"][0]["name"] == "farl.pth"
    assert about["encoder"]["width"] == 16 and about["encoder"]["grid"] == 3  # the table of the file
    assert about["input"]["size"] == 3 * 16 and about["input"]["mean"][0] == 0.48145466


def test_the_wrong_file_for_an_encoder(tmp_path):
    path = write(tmp_path / "naive.pth", official_state(naive, toy_model(naive)))
    with pytest.raises(WeightsError, match=r"expected FaRL's tensors visual\.\*, found backbone_module"):
        load_farl(build_encoder(CONFIGS[farl]), path)


@pytest.mark.parametrize("shape", [(11, 16), (16,), (0, 16)])
def test_a_position_table_that_is_no_square(tmp_path, shape):
    path = write(tmp_path / "farl.pth", farl_state() | {"visual.positional_embedding": torch.ones(shape)})
    with pytest.raises(WeightsError, match=r"visual.positional_embedding: expected one row and a square number"):
        read_release(path)


# --- folders and the command line ------------------------------------------------------------------------------------


def test_the_folder_stands_alone(tmp_path):
    model = toy_model(faceptor, tasks=FULL)
    path = write(tmp_path / "full.pth", official_state(faceptor, model))
    import_weights(path, tmp_path / "model")
    path.unlink()
    loaded = package.load(tmp_path / "model")
    assert same_weights(loaded, model)
    about = json.loads((tmp_path / "model/model.json").read_text())
    assert about["provenance"]["licence"] | {"remark": ""} == {"code": "MIT", "weights": "not stated", "remark": ""}
    assert about["provenance"]["dropped"][0]["what"] == "classifier of recognition"
    assert about["model"]["inputs"]["face"]["mean"] == [0.5, 0.5, 0.5]
    full = preset("full")
    assert loaded.crops == {name: full.crop(name, "test").to_dict() for name in FULL}
    assert loaded.crops["landmarks_300w"]["scale"] == 0.8 and loaded.crops["parsing_lapa"]["warp"] == 0.8
    with pytest.raises(FaceptorError, match="nothing is overwritten"):
        import_weights(path, tmp_path / "model")


def test_an_imported_folder_can_be_extended_and_saved(tmp_path):
    path = write(tmp_path / "naive.pth", official_state(naive, toy_model(naive)))
    import_weights(path, tmp_path / "model")
    model = load_model(tmp_path / "model")
    model.add_task(task("attributes_lfw73"))
    assert model(torch.rand(1, 3, 32, 32), ["attributes_lfw73"])["attributes_lfw73"].shape == (1, 73)


def run(*arguments):
    return CliRunner().invoke(app, ["import-weights", *map(str, arguments)])


def test_the_verb_tells_what_it_did(tmp_path):
    path = write(tmp_path / "base.pth", official_state(faceptor, toy_model(faceptor)))
    result = run(path, "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    for words in ("Faceptor, stage 1, 7 tasks", "left out: classifier of recognition (1 tensors", "not stated"):
        assert words in result.output
    first, second = (write(tmp_path / f"{i}.pth", state) for i, state in enumerate(stage2_states(2)))
    arguments = (first, second, "--task", "age_morph2", "--task", "expression_rafdb", "--out", tmp_path / "merged")
    report = json.loads(run(*arguments, "--json").stdout)
    assert report["title"] == "Faceptor, stage 2, 13 tasks" and len(report["files"]) == 2
    owners = [entry["tasks"] for entry in report["structure"]["layer_attention"]]
    assert owners == [["age_morph2"], ["expression_rafdb"]]
    assert list(load_model(tmp_path / "merged").layer_attention) == ["age_morph2", "expression_rafdb"]
    result = run(write(tmp_path / "farl.pth", farl_state()), "--out", tmp_path / "farl")
    assert "set model.encoder.pretrained to" in result.output and "weights MIT" in result.output


def test_every_published_task_name_is_a_task():
    assert set(TASK_NAMES.values()) == set(QUERIED)
