"""The stages of the pipeline in order, on a handful of generated faces and a toy model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from faceptor.config import parse, preset_path
from faceptor.errors import ConfigError, FaceptorError
from faceptor.models.folder import load_model
from faceptor.stages import evaluation, training
from faceptor.stages.data import preprocess_set, synthesize_set
from faceptor.stages.evaluation import evaluate_model
from faceptor.stages.transfer import transfer
from tests import toy

TASKS = ("landmarks_300w", "age_morph2", "expression_rafdb")


def small_params() -> dict:
    values = yaml.safe_load(preset_path("embedded").read_text())
    keep = {"_300w": (40, 8), "morph2": (60, 12), "rafdb": (40, 14), "lfw73": (40, 8)}
    values["synthesis"] = {name: {"train": train, "test": test} for name, (train, test) in keep.items()}
    values["datasets"] = {name: block for name, block in values["datasets"].items() if name in keep}
    values["model"] = toy.MODEL.model_dump(mode="json") | {"init": "scratch"}
    values["data"]["validation"] = 0.3
    values["stage1"]["tasks"] = {name: values["stage1"]["tasks"][name] for name in TASKS}
    values["stage2"]["tasks"] = {name: {"samples": 4} for name in TASKS[1:]}
    values["transfer"]["tasks"] = {"attributes_lfw73": values["transfer"]["tasks"]["attributes_lfw73"]}
    values["transfer"]["matrix"] = {"dataset": ["lfw73"], "mode": ["prompt", "full"]}
    for stage in ("stage1", "stage2", "transfer"):
        values[stage] |= {"steps": 4, "validate_every": 2, "checkpoint_every": 2, "log_every": 1}
        values[stage]["optimiser"]["warmup"] = 1
    values["evaluate"] |= {"models": ["stage1", "stage2", "naive", "facexformer"], "test_sets": {}}
    stage1, inputs = values["stage1"], values["model"]["inputs"]
    stage1["optimiser"]["muon"] = []  # its patterns name Faceptor's parts, and the baselines train with this stage, too
    encoder = values["model"]["encoder"]
    values["baselines"] = {
        "naive": {
            "model": {
                "name": "naive", "init": "scratch", "encoder": encoder, "inputs": inputs,
                "values": {"layers": [5, 6], "width": 16, "reduction": 4},
                "maps": {"layers": [1, 2, 4, 6], "width": 16},
            },
            "train": stage1,
        },
        "facexformer": {
            "model": {
                "name": "facexformer", "init": "scratch", "inputs": inputs,
                "backbone": {"name": "convnext_atto", "options": {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}},
                "decoder": {"width": 32, "heads": 2, "hidden": 32},
            },
            "train": stage1,
        },
    }  # fmt: skip
    return values


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Everything up to stage 1 and its evaluation, in a folder of its own."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = parse(small_params())
        for name in params.synthesis:
            synthesize_set(params, name, workers=1)
            preprocess_set(params, name)
        training.train_joint(params)
        evaluate_model(params, "stage1")
        yield params, folder


@pytest.fixture
def kept(chain):
    """A copy of the results so far, which are put back afterwards."""
    _, folder = chain
    copy = folder / "kept"
    shutil.copytree(folder / "results", copy)
    yield copy
    shutil.rmtree(folder / "results")
    copy.rename(folder / "results")


def report(path: str) -> dict:
    return json.loads(Path(path).read_text())


def test_stage1_leaves_a_model_its_numbers_and_no_run(chain):
    _, folder = chain
    model = load_model("models/stage1")
    assert set(model.tasks) == set(TASKS)
    assert set(model.crops) == set(TASKS)
    assert not (folder / "runs" / "stage1").exists()
    assert (folder / "results/train/stage1/metrics.json").exists()
    details = report("results/evaluate/details/stage1.json")
    assert set(details["tasks"]) == set(TASKS) and details["failed"] == {}
    assert details["about"]["model_hash"] and set(details["about"]["data"]) == set(TASKS)
    for name, row in details["tasks"].items():
        assert any(key.startswith("trivial_") for key in row["metrics"])
        assert (folder / "results/evaluate/figures/stage1" / f"{name}.png").exists()
        assert list((folder / "results/evaluate/plots/stage1").glob(f"*/{name}.csv"))


def test_headlines_are_a_handful_and_every_number_has_an_interval(chain):
    """What `dvc metrics show` prints is one number per task and the mean skill; lists it does not print."""
    details, numbers = report("results/evaluate/details/stage1.json"), report("results/evaluate/stage1.json")
    intervals = numbers.pop("intervals")
    assert set(numbers) == {"skill", *TASKS} == set(intervals)
    for name, row in details["tasks"].items():
        assert numbers[name] == row["metrics"][row["headline"]]
        assert set(row["intervals"]) == {"skill", *row["metrics"]}
        for metric, (low, high) in row["intervals"].items():
            value = row["skill"] if metric == "skill" else row["metrics"][metric]
            assert low is None or low <= value <= high


def test_a_task_that_cannot_be_judged_costs_only_itself(chain, kept):
    params, folder = chain
    test = folder / "data/prepared/joint/morph2/test"
    test.rename(folder / "hidden")
    try:
        with pytest.raises(FaceptorError, match=r"1 of 3 .*age_morph2"):
            evaluate_model(params, "stage1")
        details, numbers = report("results/evaluate/details/stage1.json"), report("results/evaluate/stage1.json")
    finally:
        (folder / "hidden").rename(test)
    assert set(details["failed"]) == {"age_morph2"} and set(details["tasks"]) == set(TASKS) - {"age_morph2"}
    assert numbers["failed"] == 1 and "expression_rafdb" in numbers and "age_morph2" not in numbers
    assert not (folder / "results/evaluate/figures/stage1/age_morph2.png").exists()
    before = json.loads((kept / "evaluate/details/stage1.json").read_text())["tasks"]
    assert details["tasks"]["expression_rafdb"] == before["expression_rafdb"]


def test_a_killed_evaluation_has_what_it_had(chain, kept, monkeypatch):
    params, _ = chain
    measured = evaluation.measure_test

    def killed(params, model, test, **rest):
        if test.task == TASKS[-1]:
            raise KeyboardInterrupt
        return measured(params, model, test, **rest)

    monkeypatch.setattr(evaluation, "measure_test", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(params, "stage1")
    assert set(report("results/evaluate/details/stage1.json")["tasks"]) == set(TASKS[:-1])


@pytest.mark.parametrize("name", ["naive", "facexformer"])
def test_baselines_go_through_the_same_stages(chain, name):
    params, _ = chain
    training.train_joint(params, name)
    model = load_model(f"models/{name}")
    assert model.config["name"] == name and set(model.tasks) == set(TASKS)
    written = evaluate_model(params, name)
    assert set(TASKS) == set(written["tasks"])
    assert written["about"]["parameters"] == sum(p.numel() for p in model.parameters())


def test_several_sets_may_judge_a_task(chain, kept):
    """Its own and another one, side by side; all labels of RAF-DB's faces are those of a second copy of it."""
    _, folder = chain
    values = small_params()
    values["datasets"]["again"] = values["datasets"]["rafdb"] | {"path": "rafdb", "reader": "rafdb"}
    values["evaluate"]["test_sets"] = {"expression_rafdb": ["rafdb", "again"], "age_morph2": "morph2"}
    params = parse(values)
    copy = folder / "data/prepared/joint/again"
    shutil.copytree(params.prepared("rafdb"), copy)
    tasks = evaluate_model(params, "stage1")["tasks"]
    assert set(tasks) == {*TASKS, "expression_rafdb@again"}
    own, other = tasks["expression_rafdb"], tasks["expression_rafdb@again"]
    assert other["dataset"] == "again" and own["metrics"] == other["metrics"]
    shutil.rmtree(copy)


def test_a_test_set_that_is_missing_or_does_not_fit_is_refused(chain):
    values = small_params()
    values["evaluate"]["test_sets"] = {"expression_rafdb": "rafdb", "age_morph2": "nowhere"}
    with pytest.raises(ConfigError, match=r"evaluate\.test_sets\.age_morph2: 'nowhere' is no data set"):
        parse(values)
    for sets in ({"expression_rafdb": ["morph2"]}, {"age_morph2": []}, {"age_morph2": ["morph2", "morph2"]}):
        values["evaluate"]["test_sets"] = sets
        with pytest.raises(ConfigError, match=rf"evaluate\.test_sets\.{next(iter(sets))}"):
            parse(values)


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_stage2_of_each_task_lands_in_one_folder(chain, mode, monkeypatch):
    params, _ = chain
    values = small_params()
    values["model"]["layer_attention"]["mode"] = mode
    params = parse(values)
    verdicts = {name: training.train_stage2(params, name) for name in params.stage2.tasks}
    # What a toy gains in four steps is chance; force one of each verdict, so that merging is seen to obey it.
    for name, kept in zip(verdicts, (True, False), strict=True):
        path = Path("models/stage2-tasks") / name / "verdict.json"
        path.write_text(json.dumps(verdicts[name] | {"kept": kept}))
    training.merge_stage2(params)
    before, after = load_model("models/stage1"), load_model("models/stage2")
    assert [entry["tasks"] for entry in after.structure()["layer_attention"]] == [["age_morph2"]]
    shared = before.state_dict()
    assert all(torch.equal(shared[name], after.state_dict()[name]) for name in shared)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        old, new = before(images), after(images)
    assert torch.equal(old["expression_rafdb"], new["expression_rafdb"])
    assert not torch.equal(old["age_morph2"], new["age_morph2"])


def test_stage2_trains_level_vectors_alone_in_paper_mode(chain):
    params, _ = chain
    verdict = training.train_stage2(params, "age_morph2")
    assert verdict["trainable_parameters"] == 6 * params.model.decoder.width


def test_prompt_tuning_trains_queries_alone_and_forgets_nothing(chain):
    params, _ = chain
    result = transfer(params, "lfw73", "prompt")
    assert result["trainable_parameters"] == 2 * 73 * params.model.decoder.width
    assert result["forgotten"]["tensors_changed"] == 0
    assert all(row["before"] == row["after"] for row in result["forgotten"]["tasks"].values())
    assert result["forgotten"]["skill_lost"] == 0 and result["forgotten"]["interval"] == [0, 0]
    numbers = report("results/transfer/lfw73-prompt.json")
    assert set(numbers) == {"skill", "attributes_lfw73", "skill_lost", "intervals"}
    assert numbers["attributes_lfw73"] == result["tasks"]["attributes_lfw73"]["metrics"]["mean_accuracy"] >= 0


def test_full_fine_tuning_trains_everything_and_measures_what_is_forgotten(chain):
    params, _ = chain
    result = transfer(params, "lfw73", "full")
    assert result["trainable_parameters"] == result["total_parameters"]
    assert result["forgotten"]["tensors_changed"] > 0
    lost = result["forgotten"]
    assert set(lost["tasks"]) == set(TASKS)
    assert lost["interval"][0] <= lost["skill_lost"] <= lost["interval"][1]
    assert lost["skill_lost"] == pytest.approx(sum(r["skill_lost"] for r in lost["tasks"].values()) / 3, abs=1e-3)
    for row in lost["tasks"].values():
        assert row["after_interval"][0] <= row["after"] <= row["after_interval"][1]


def test_unknown_transfer_is_refused(chain):
    params, _ = chain
    with pytest.raises(ConfigError, match="expected one of lfw73"):
        transfer(params, "lapa", "prompt")
    with pytest.raises(ConfigError, match="expected one of prompt, decoder, full"):
        transfer(params, "lfw73", "promt")
