"""The stages of the pipeline in order, on a handful of generated faces and a toy model."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from faceptor.config import parse, preset_text
from faceptor.errors import ConfigError, DataError, FaceptorError
from faceptor.evaluation import measure as evaluate
from faceptor.evaluation.measure import Measured, Validator
from faceptor.models.low_rank import attention_maps
from faceptor.pipeline import evaluation, run_parts, training, verdict
from faceptor.pipeline import samples as samples_of
from faceptor.pipeline.data import preprocess_set, synthesize_set
from faceptor.pipeline.evaluation import evaluate_model
from faceptor.pipeline.experiment import Experiment, resolve
from faceptor.pipeline.transfer import transfer
from faceptor.prepared.prepare import prepare
from faceptor.synthesis.writers import layout as layouts
from faceptor.tasks import KINDS, task
from faceptor.tasks.age import AgePrediction
from faceptor.training.record import differences
from faceptor.transforms.crop import CropSpec
from faceptor.weights.folder import load_model, read_description, save_model
from tests import toy
from tests.rehearsal import tinted

TASKS = ("landmarks_300w", "age_morph2", "expression_rafdb")


def small_params() -> dict:
    values = yaml.safe_load(preset_text("embedded"))
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


def resolved(values: dict) -> Experiment:
    return resolve(parse(values))


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Everything up to stage 1 and its evaluation, in a folder of its own."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(training, "PICTURES_FRAMED", 2)  # locating a face takes longer than a step here
        patch.setattr(layouts, "render", tinted)  # and drawing all of them, longer than all steps
        experiment = resolved(small_params())
        for name in experiment.params.synthesis:
            synthesize_set(experiment, name, workers=1)
            preprocess_set(experiment, name)
        training.train_joint(experiment)
        evaluate_model(experiment, "stage1")
        yield experiment, folder


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
        assert any(key.startswith("constant_") for key in row["metrics"])
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
    experiment, folder = chain
    test = folder / "data/prepared/joint/morph2/test"
    test.rename(folder / "hidden")
    try:
        with pytest.raises(FaceptorError, match=r"1 of 3 .*age_morph2"):
            evaluate_model(experiment, "stage1")
        details, numbers = report("results/evaluate/details/stage1.json"), report("results/evaluate/stage1.json")
    finally:
        (folder / "hidden").rename(test)
    assert set(details["failed"]) == {"age_morph2"} and set(details["tasks"]) == set(TASKS) - {"age_morph2"}
    assert numbers["failed"] == 1 and "expression_rafdb" in numbers and "age_morph2" not in numbers
    assert not (folder / "results/evaluate/figures/stage1/age_morph2.png").exists()
    before = json.loads((kept / "evaluate/details/stage1.json").read_text())["tasks"]
    assert details["tasks"]["expression_rafdb"] == before["expression_rafdb"]


def test_a_killed_evaluation_has_what_it_had(chain, kept, monkeypatch):
    experiment, _ = chain
    measured = evaluation.measure_test

    def killed(experiment, model, test, **rest):
        if test.task == TASKS[-1]:
            raise KeyboardInterrupt
        return measured(experiment, model, test, **rest)

    monkeypatch.setattr(evaluation, "measure_test", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(experiment, "stage1")
    assert set(report("results/evaluate/details/stage1.json")["tasks"]) == set(TASKS[:-1])


@pytest.mark.parametrize("name", ["naive", "facexformer"])
def test_baselines_go_through_the_same_stages(chain, name):
    experiment, _ = chain
    training.train_joint(experiment, name)
    model = load_model(f"models/{name}")
    assert model.config["name"] == name and set(model.tasks) == set(TASKS)
    written = evaluate_model(experiment, name)
    assert set(TASKS) == set(written["tasks"])
    assert written["about"]["parameters"] == sum(p.numel() for p in model.parameters())


def test_several_sets_may_judge_a_task(chain, kept):
    """Its own and another one, side by side; all labels of RAF-DB's faces are those of a second copy of it."""
    _, folder = chain
    values = small_params()
    values["datasets"]["again"] = values["datasets"]["rafdb"] | {"path": "rafdb", "reader": "rafdb"}
    values["evaluate"]["test_sets"] = {"expression_rafdb": ["rafdb", "again"], "age_morph2": "morph2"}
    experiment = resolved(values)
    copy = folder / "data/prepared/joint/again"
    shutil.copytree(experiment.prepared("rafdb"), copy)
    tasks = evaluate_model(experiment, "stage1")["tasks"]
    assert set(tasks) == {*TASKS, "expression_rafdb@again"}
    own, other = tasks["expression_rafdb"], tasks["expression_rafdb@again"]
    assert other["dataset"] == "again" and own["metrics"] == other["metrics"]
    shutil.rmtree(copy)


def test_a_test_set_that_is_missing_or_does_not_fit_is_refused(chain):
    values = small_params()
    values["evaluate"]["test_sets"] = {"expression_rafdb": "rafdb", "age_morph2": "nowhere"}
    with pytest.raises(ConfigError, match=r"evaluate\.test_sets\.age_morph2: 'nowhere' is no data set"):
        resolved(values)
    for sets in ({"expression_rafdb": ["morph2"]}, {"age_morph2": []}, {"age_morph2": ["morph2", "morph2"]}):
        values["evaluate"]["test_sets"] = sets
        with pytest.raises(ConfigError, match=rf"evaluate\.test_sets\.{next(iter(sets))}"):
            resolved(values)


@pytest.mark.parametrize("mode", ["paper", "released"])
def test_stage2_of_each_task_lands_in_one_folder(chain, mode, monkeypatch):
    experiment, _ = chain
    values = small_params()
    values["model"]["layer_attention"]["mode"] = mode
    experiment = resolved(values)
    verdicts = {name: training.train_stage2(experiment, name) for name in experiment.params.stage2.tasks}
    # What a toy gains in four steps is chance; force one of each verdict, so that merging is seen to obey it.
    for name, kept in zip(verdicts, (True, False), strict=True):
        path = Path("models/stage2-tasks") / name / "verdict.json"
        path.write_text(json.dumps(verdicts[name] | {"kept": kept}))
    training.merge_stage2(experiment)
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
    experiment, _ = chain
    verdict = training.train_stage2(experiment, "age_morph2")
    assert verdict["trainable_parameters"] == 6 * experiment.params.model.decoder.width


def test_prompt_tuning_trains_queries_alone_and_forgets_nothing(chain):
    experiment, _ = chain
    result = transfer(experiment, "lfw73", "prompt")
    assert result["trainable_parameters"] == 2 * 73 * experiment.params.model.decoder.width
    assert result["forgotten"]["tensors_changed"] == 0
    assert all(row["before"] == row["after"] for row in result["forgotten"]["tasks"].values())
    assert result["forgotten"]["skill_lost"] == 0 and result["forgotten"]["interval"] == [0, 0]
    numbers = report("results/transfer/lfw73-prompt.json")
    assert set(numbers) == {"skill", "attributes_lfw73", "skill_lost", "intervals"}
    assert numbers["attributes_lfw73"] == result["tasks"]["attributes_lfw73"]["metrics"]["mean_accuracy"] >= 0


def test_full_fine_tuning_trains_everything_and_measures_what_is_forgotten(chain):
    experiment, _ = chain
    result = transfer(experiment, "lfw73", "full")
    assert result["trainable_parameters"] == result["total_parameters"]
    assert result["forgotten"]["tensors_changed"] > 0
    lost = result["forgotten"]
    assert set(lost["tasks"]) == set(TASKS)
    assert lost["interval"][0] <= lost["skill_lost"] <= lost["interval"][1]
    assert lost["skill_lost"] == pytest.approx(sum(r["skill_lost"] for r in lost["tasks"].values()) / 3, abs=1e-3)
    for row in lost["tasks"].values():
        assert row["after_interval"][0] <= row["after"] <= row["after_interval"][1]


def test_low_rank_adapters_learn_beside_the_queries_and_leave_a_plain_model(chain):
    experiment, _ = chain
    rank, old = experiment.params.transfer.modes["lora"].rank, load_model("models/stage1")
    result = transfer(experiment, "lfw73", "lora")
    adapters = sum(rank * sum(linear.weight.shape) for linear in attention_maps(old))
    assert result["trainable_parameters"] == 2 * 73 * experiment.params.model.decoder.width + adapters
    new = load_model("models/transfer/lfw73-lora")
    assert set(new.state_dict()) - set(old.state_dict()) == {
        f"queries.attributes_lfw73.{n}" for n in ("content", "position")
    }
    changed = {name for name, value in old.state_dict().items() if not torch.equal(value, new.state_dict()[name])}
    assert len(changed) == len(attention_maps(old)) == result["forgotten"]["tensors_changed"]
    assert all(name.endswith(".weight") for name in changed)


def test_unknown_transfer_is_refused(chain):
    experiment, _ = chain
    with pytest.raises(ConfigError, match="expected one of lfw73"):
        transfer(experiment, "lapa", "prompt")
    with pytest.raises(ConfigError, match="expected one of prompt, decoder, full, lora"):
        transfer(experiment, "lfw73", "promt")


# --- one training of a stage at a time, resumed only as the same run ------------------------------------------------


class Recorded(Exception):
    """Ends a stage where its training would begin; holds the record."""


def record_of(values: dict, run=training.train_joint) -> dict:
    def stop(*_, run, **__):
        raise Recorded(run.record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", stop)
        with pytest.raises(Recorded) as stopped:
            run(resolved(values))
    return stopped.value.args[0]


@pytest.fixture
def copied(chain, tmp_path, monkeypatch):
    """The folder of the chain again, to be changed."""
    shutil.copytree(chain[1], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def relabel() -> None:
    """Everybody in MORPH II is twenty."""
    csv = next(path for path in Path("data/generated/morph2").rglob("*.csv"))
    lines = csv.read_text().splitlines()
    place = lines[0].split(",").index("age")
    for row, line in enumerate(lines[1:], 1):
        cells = line.split(",")
        lines[row] = ",".join([*cells[:place], "20", *cells[place + 1 :]])
    csv.write_text("\n".join(lines) + "\n")
    experiment = resolved(small_params())
    params, folder = experiment.params, experiment.prepared("morph2")
    block = params.datasets["morph2"]
    faces = params.data.root / block.path
    prepare("morph2", faces, folder, validation=0.3, seed=params.seed, options=block.options)


def retrain_stage1() -> None:
    model = load_model("models/stage1")
    next(model.parameters()).data.mul_(1.01)
    save_model(model, "models/stage1", provenance={})


STAGES = {
    "stage1": training.train_joint,
    "naive": lambda experiment: training.train_joint(experiment, "naive"),
    "stage2": lambda experiment: training.train_stage2(experiment, "age_morph2"),
    "transfer": lambda experiment: transfer(experiment, "lfw73", "prompt"),
}
KEYS = [
    ("stage1", "model.encoder.drop_path", 0.3),
    ("stage1", "model.inputs.face.mean", [0.4, 0.5, 0.5]),
    ("stage1", "model.layer_attention.mode", "released"),
    ("stage1", "stage1.tasks.age_morph2.train.scale", 1.1),
    ("stage1", "stage1.tasks.age_morph2.augment.options.rotation", 0.2),
    ("stage1", "stage1.tasks.age_morph2.faces", 20),
    ("stage1", "stage1.optimiser.lr", 1e-4),
    ("stage1", "stage1.threads", 2),
    ("stage1", "evaluate.batch", 3),
    ("stage1", "evaluate.precision", "bf16"),
    ("stage1", "stage1.select", ["age_morph2"]),
    ("stage1", "datasets.morph2", relabel),
    ("naive", "baselines.naive.model.values.dropout", 0.25),
    ("naive", "baselines.naive.train.steps", 5),
    ("stage2", "stage1.tasks.age_morph2.train.scale", 1.1),
    ("stage2", "models/stage1", retrain_stage1),
    ("transfer", "models/stage1", retrain_stage1),
    ("transfer", "transfer.modes.prompt.lr", 1e-3),
    ("transfer", "transfer.optimiser.warmup", 2),
]


@pytest.mark.parametrize(("stage", "key", "change"), KEYS, ids=[f"{stage}: {key}" for stage, key, _ in KEYS])
def test_what_shapes_a_run_is_in_its_record(copied, stage, key, change):
    values = small_params()
    before = record_of(values, STAGES[stage])
    assert differences(before, record_of(values, STAGES[stage])) == ""
    if callable(change):
        change()
    else:
        set_leaf(values, key, change)
    said = differences(before, record_of(values, STAGES[stage]))
    assert said.startswith(key) and said.count("->") == (2 if change is relabel else 1), said


def set_leaf(values: dict, key: str, value) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        values[section] = copy.deepcopy(values[section])  # what is shared with another section stays as it is there
        values = values[section]
    values[leaf] = value


def test_another_file_of_pretrained_weights_is_another_run(copied, monkeypatch):
    values, path = small_params(), Path("data/pretrained/encoder.safetensors")
    path.parent.mkdir(parents=True)
    tensors = load_model("models/stage1").encoder.state_dict()
    save_file(tensors, path)
    scratch = record_of(values)
    values["model"] |= {"init": "released", "encoder": values["model"]["encoder"] | {"pretrained": str(path)}}
    load = lambda model, config, where: model.encoder.load_state_dict(load_file(config.encoder.pretrained))  # noqa: E731
    monkeypatch.setattr(training, "initialise", load)
    before = record_of(values)
    assert "model.encoder.pretrained" in differences(scratch, before) and differences(before, record_of(values)) == ""
    save_file({name: value * 1.01 for name, value in tensors.items()}, path)
    assert differences(before, record_of(values)).startswith("starting weights")


def test_where_and_how_fast_a_run_is_made_is_no_part_of_its_record(copied):
    values = small_params()
    before = record_of(values)
    values["data"] |= {"workers": 1, "cache_mb": 7}
    values["stage1"] |= {"log_every": 3, "checkpoint_every": 1}
    assert differences(before, record_of(values)) == ""


def test_a_second_training_is_refused_and_touches_nothing(copied):
    experiment = resolved(small_params())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    holder = subprocess.Popen([sys.executable, "-c", HOLD, "runs/stage1"], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout.readline() == b"held\n"
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(FaceptorError, match=f"runs/stage1.*process {holder.pid} "):
        training.train_joint(experiment)
    assert before == {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    holder.kill()
    holder.wait()
    record_of(small_params())  # goes on where the lock's holder was killed


HOLD = """
import sys, time
from pathlib import Path
from faceptor.io.lock import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


# --- validation ----------------------------------------------------------------------------------------------------


def test_training_on_everything(copied):
    """`validation: 0`, for one data set and then for all: the papers train on whole training sets."""
    values = small_params()
    values["datasets"]["morph2"] = values["datasets"]["morph2"] | {"validation": 0}
    preprocess_set(resolved(values), "morph2")
    training.train_joint(resolved(values))
    facts = read_description("models/stage1")["provenance"]
    assert facts["selected"] == "best validation" and facts["validated"] == ["expression_rafdb", "landmarks_300w"]
    found = training.train_stage2(resolved(values), "age_morph2")
    assert found["kept"] and not found["judged"] and found["best_step"] == 4

    with pytest.raises(ConfigError, match=r"select.*age_morph2"):
        training.train_joint(resolved(values | {"stage1": values["stage1"] | {"select": ["age_morph2"]}}))
    values["data"] = values["data"] | {"validation": 0}
    for name in ("300w", "rafdb"):
        preprocess_set(resolved(values), name)
    outcome = training.train_joint(resolved(values))
    facts = read_description("models/stage1")["provenance"]
    assert outcome.best_step == facts["best_step"] == 4 and facts["validation_score"] is None
    assert "no validation" in facts["selected"] and facts["validated"] == []


def test_selected_tasks_choose_the_step(chain):
    experiment, _ = chain
    samples = samples_of.validation_samples(experiment, experiment.params.stage1.tasks, limit=8)
    specs = {name: task(name) for name in samples}
    model = load_model("models/stage1")
    chosen = ("age_morph2", "landmarks_300w")
    score, metrics = run_parts.build_validator(experiment, samples, specs, device="cpu", select=chosen)(model)
    assert set(metrics) == set(TASKS)
    assert score == pytest.approx(sum(metrics[name]["skill"] for name in chosen) / 2)


def test_select_names_tasks_of_the_stage():
    values = small_params()
    values["stage1"]["select"] = ["age_utkface"]
    with pytest.raises(ConfigError, match=r"stage1.*select.*age_utkface"):
        resolved(values)


def test_validation_on_which_a_task_cannot_be_measured_is_refused_before_training():
    """One identity makes no pair of different people."""
    faces = [{"key": str(i), "image": np.zeros((8, 8, 3), np.uint8), "size": (8, 8), "identity": 4} for i in range(3)]
    spec, crop = task("recognition_ms1mv3"), CropSpec(kind="whole", size=32)
    constant = KINDS[spec.kind].constant_baseline(spec, None)
    with pytest.raises(DataError, match=r"^recognition_ms1mv3: validation on ms1mv3: .*1 identities"):
        each = ({spec.name: value} for value in (faces, spec, crop, constant))
        Validator(*each, batch=2, device="cpu")


def test_stage2_is_judged_on_samples_that_did_not_choose_its_step(chain, monkeypatch):
    experiment, _ = chain
    seen = {"chose": set(), "judged": set()}
    real = evaluate.measure

    def spying(who):
        def measure(model, spec, samples, *arguments, **options):
            seen[who] |= {samples[i]["key"] for i in range(len(samples))}
            return real(model, spec, samples, *arguments, **options)

        return measure

    monkeypatch.setattr(evaluate, "measure", spying("chose"))
    monkeypatch.setattr(verdict, "measure", spying("judged"))
    found = training.train_stage2(experiment, "age_morph2")
    whole = len(samples_of.validation_samples(experiment, ["age_morph2"], limit=None)["age_morph2"])
    assert not seen["chose"] & seen["judged"] and len(seen["chose"] | seen["judged"]) == whole
    assert found["judged"] and found["samples"] == len(seen["judged"]) >= whole // 3
    low, high = found["interval"]
    assert low <= found["gain"] <= high and found["kept"] == (low > 0)
    assert found["gain"] == pytest.approx(found["skill_stage2"] - found["skill_stage1"])
    assert found["seeds"] == [experiment.params.seed]


def test_halves_part_groups_and_are_even():
    groups = [f"person {i // 3}" for i in range(60)]
    some, others = verdict.halves(groups)
    assert sorted(some + others) == list(range(60)) and abs(len(some) - len(others)) <= 3
    assert not {groups[i] for i in some} & {groups[i] for i in others}
    assert verdict.halves(groups) == (some, others)
    assert max(some) > 30 > min(some) and max(others) > 30 > min(others)


@pytest.mark.parametrize(("better", "kept"), [(0.0, False), (0.02, False), (2.0, True)])
def test_a_gain_within_its_interval_is_no_gain(better, kept):
    """Ages of 60 faces, guessed 4 years off on average; stage 2 is nearer by so many years, give or take two."""
    spec, rng = task("age_morph2"), np.random.default_rng(5)
    truth = rng.uniform(20, 60, 60)
    off = np.abs(rng.normal(0, 5, 60)) + 3
    change = rng.normal(-better, 2, 60)

    def measured(errors) -> Measured:
        metric, best_constant = (KINDS[spec.kind].metric(spec) for _ in range(2))
        for age, error in zip(truth, errors, strict=True):
            metric.update(AgePrediction(age + error, np.zeros(101)), {"age": age})
            best_constant.update(AgePrediction(40.0, np.zeros(101)), {"age": age})
        return Measured(spec, metric, best_constant)

    assert verdict.verdict(measured(off), measured(off + change), seed=1)["kept"] is kept
